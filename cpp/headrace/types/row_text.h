#pragma once

#include <cstdint>
#include <string>

#include "headrace/types/batch.h"

namespace headrace {

/// Appends what Python's print() shows for the record at `row`: str() of a scalar, "(1, 'a')" for a
/// tuple, "Row(a=1, b='x')" for a row. Struct columns show as tuples, maps as dicts.
/// kInvalidArgument for object columns: only the host language can print those.
Status AppendRowText(const RecordBatch& batch, int64_t row, std::string* out);

/// str() and repr() of one value of a native column.
Status AppendValueStr(const Column& column, int64_t row, std::string* out);
Status AppendValueRepr(const Column& column, int64_t row, std::string* out);

}  // namespace headrace
