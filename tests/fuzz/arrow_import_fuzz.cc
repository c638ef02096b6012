// Arrow data of any shape is imported or refused; what was imported can be read, sliced, taken,
// joined, encoded and exported, and everything is released once.
#include <numeric>
#include <string>
#include <vector>

#include "arrow_array_of_bytes.h"
#include "fuzz_input.h"
#include "headrace/base/check.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/types/arrow_bridge.h"
#include "headrace/types/key_codec.h"
#include "headrace/types/row_text.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kRowsMax = 32;

// What is written into state or taken for a key must be read again at a restore.
void Encode(const Column& column) {
  KeyView keys(column);
  for (int64_t row = 0; row < column.length; ++row) {
    for (const bool as_key : {false, true}) {
      ByteWriter out;
      if (!EncodeColumnValue(column, row, as_key, &out).ok()) continue;
      ByteReader in(out.view());
      const Status read = SkipValue(&in);
      HR_CHECK(read.ok() && in.done());
      HR_CHECK(!DescribeValue(out.view()).empty());
    }
    std::string text;
    (void)AppendValueRepr(column, row, &text);
    Key key;
    if (keys.Read(row, &key).ok()) key.Group(128);
  }
}

// Keys are found as they were put in, whatever way a column is read.
void LookUp(const Column& column) {
  KeyDictionary keys(128);
  std::vector<KeyId> ids(static_cast<size_t>(column.length));
  std::vector<KeyId> again = ids;
  if (!keys.LookupOrInsertBatch(column, 0, column.length, ids.data()).ok()) return;
  HR_CHECK(keys.LookupOrInsertBatch(column, 0, column.length, again.data()).ok());
  HR_CHECK(ids == again);
  for (int64_t row = 0; row < column.length; ++row) {
    ByteWriter canonical;
    HR_CHECK(EncodeColumnValue(column, row, /*as_key=*/true, &canonical).ok());
    HR_CHECK(keys.EncodedKey(ids[static_cast<size_t>(row)]) == canonical.view());
  }
}

// The encodings of all rows, one after the other; of rows that cannot be encoded the message.
std::vector<std::string> Values(const Column& column) {
  std::vector<std::string> values;
  for (int64_t row = 0; row < column.length; ++row) {
    ByteWriter out;
    const Status encoded = EncodeColumnValue(column, row, /*as_key=*/false, &out);
    values.push_back(encoded.ok() ? out.Take() : StatusCodeName(encoded.code()).data());
  }
  return values;
}

void Use(const ColumnPtr& column) {
  Encode(*column);
  LookUp(*column);
  HR_CHECK_GE(Column::SizeBytes(*column), 0);
  const std::vector<std::string> values = Values(*column);
  const int64_t half = column->length / 2;
  const ColumnPtr front = Column::Slice(column, 0, half);
  const ColumnPtr back = Column::Slice(column, half, column->length - half);
  const Result<ColumnPtr> joined = Column::Concat({front, back});
  if (joined.ok()) HR_CHECK(Values(**joined) == values);
  std::vector<int32_t> rows(static_cast<size_t>(column->length));
  std::iota(rows.rbegin(), rows.rend(), 0);
  const Result<ColumnPtr> reversed = Column::Take(column, rows.data(), column->length);
  if (reversed.ok()) {
    HR_CHECK(Values(**reversed) == std::vector<std::string>(values.rbegin(), values.rend()));
  }
  const Result<ColumnPtr> plain = Column::DecodeDictionary(column);
  if (plain.ok()) HR_CHECK_EQ((*plain)->length, column->length);
}

void ExportAndImport(const RecordBatch& batch) {
  ArrowArray array;
  ArrowSchema schema;
  if (!ExportBatch(batch, &array).ok()) return;
  HR_CHECK(ExportSchema(*batch.schema, &schema).ok());
  const Result<SchemaPtr> imported_schema = ImportSchema(schema);
  HR_CHECK(imported_schema.ok());
  const Result<RecordBatch> again = ImportBatch(&array, *imported_schema);
  HR_CHECK(again.ok());
  HR_CHECK_EQ(again->columns.size(), batch.columns.size());
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    HR_CHECK(Values(*again->columns[i]) == Values(*batch.columns[i]));
  }
  schema.release(&schema);
}

void Import(FuzzInput* in) {
  const FuzzedType type = FuzzedType::Read(in);
  const int64_t length = in->Below(kRowsMax);
  ArrowSchema schema;
  MakeSchema(type, "root", &schema);
  const Result<SchemaPtr> imported = ImportSchema(schema);
  schema.release(&schema);
  if (!imported.ok()) return;
  ArrowArray array;
  MakeArray(type, length, in, &array);
  const Result<RecordBatch> batch = ImportBatch(&array, *imported);
  HR_CHECK(array.release == nullptr);
  if (!batch.ok()) return;
  for (const ColumnPtr& column : batch->columns) {
    HR_CHECK_EQ(column->length, batch->num_rows);
    Use(column);
  }
  batch->SizeBytes();
  ExportAndImport(*batch);
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  headrace::Import(&in);
  HR_CHECK_EQ(headrace::UnreleasedNodes(), 0);
  return 0;
}
