#pragma once

#include <string_view>

#include "headrace/base/status.h"
#include "headrace/types/data_type.h"

namespace headrace {

/// The type whose DataType::ToString() is `text`, as it stands in schema fingerprints. Types whose
/// text does not tell everything (foreign, dictionary, decimal, times other than date32, time64[us]
/// and timestamp[ms]), and rows with a field name that holds one of "<>,:", are kUnimplemented.
Result<DataTypePtr> ParseTypeText(std::string_view text);

}  // namespace headrace
