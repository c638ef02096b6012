#pragma once

#include "headrace/base/bytes.h"
#include "headrace/types/column_builder.h"

namespace headrace {

/// Appends one encoded value (value_codec.h) to a column of type `type`: the way back from what
/// EncodeColumnValue wrote for a column of that type. None becomes null. kCorruption when the bytes
/// are malformed or of another type. `hooks` decodes object columns (may be null when there are
/// none).
Status AppendEncodedValue(const DataType& type, ObjectHooks* hooks, ByteReader* in,
                          ColumnBuilder* out);

}  // namespace headrace
