#include "testing/test_rows.h"

#include <sstream>

namespace headrace {

SchemaPtr TestRowSchema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      RecordShape::kTuple,
      std::vector<Field>{
          {"kind", Int64Type()}, {"key", Int64Type()}, {"x", Int64Type()}, {"y", Int64Type()}});
  return schema;
}

RecordBatch MakeTestBatch(const std::vector<TestRow>& rows, int key_column) {
  constexpr int64_t TestRow::*kMembers[] = {&TestRow::kind, &TestRow::key, &TestRow::x, &TestRow::y,
                                            &TestRow::time};
  RecordBatch batch;
  batch.schema = TestRowSchema();
  batch.num_rows = static_cast<int64_t>(rows.size());
  for (const auto member : kMembers) {
    auto buffer = Buffer::Allocate(rows.size() * sizeof(int64_t));
    auto* to = reinterpret_cast<int64_t*>(buffer->mutable_data());
    for (size_t i = 0; i < rows.size(); ++i) to[i] = rows[i].*member;
    if (batch.columns.size() == 4) {
      batch.timestamps = std::move(buffer);
    } else {
      batch.columns.push_back(Column::OfFixed(Int64Type(), batch.num_rows, std::move(buffer)));
    }
  }
  if (key_column >= 0) batch.key = batch.columns[key_column];
  return batch;
}

TestRow TestRowAt(const RecordBatch& batch, int64_t row) {
  return {batch.columns[0]->Values<int64_t>()[row], batch.columns[1]->Values<int64_t>()[row],
          batch.columns[2]->Values<int64_t>()[row], batch.columns[3]->Values<int64_t>()[row],
          batch.TimestampAt(row)};
}

std::string TestRowLine(const TestRow& row) {
  return std::to_string(row.kind) + " " + std::to_string(row.key) + " " + std::to_string(row.x) +
         " " + std::to_string(row.y) + " " + std::to_string(row.time);
}

TestRow TestRowOfLine(const std::string& line) {
  TestRow row;
  std::istringstream in(line);
  in >> row.kind >> row.key >> row.x >> row.y >> row.time;
  return row;
}

}  // namespace headrace
