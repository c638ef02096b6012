#pragma once

#include "headrace/types/arrow_c_data.h"
#include "headrace/types/batch.h"

namespace headrace {

/// Reads an Arrow schema: a struct becomes a kRow schema of its children, anything else one field
/// `value`. Takes nothing over: the caller still releases `schema`.
Result<SchemaPtr> ImportSchema(const ArrowSchema& schema);

/// Takes over an Arrow struct array (moves it; `array->release` is null afterwards) as a batch
/// without copying any buffer; the columns keep the array alive. Buffers, offsets and lengths are
/// checked against each other, as far as the interface tells; an index into a dictionary is checked
/// where it is used. A struct array with nulls at the top level, or an offset, is handled
/// (offset pushed into the columns).
Result<RecordBatch> ImportBatch(ArrowArray* array, const SchemaPtr& schema);

/// Fills `out` with the batch as a struct array whose buffers are ours, uncopied; `out->release`
/// gives them up from any thread. Object columns are refused (kInvalidArgument): encode or type
/// them first.
Status ExportBatch(const RecordBatch& batch, ArrowArray* out);
Status ExportSchema(const Schema& schema, ArrowSchema* out);

}  // namespace headrace
