#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/types/batch.h"

namespace headrace {

/// The record of the test operators: four int64 columns and an event time. A plain value.
struct TestRow {
  int64_t kind = 0;  ///< which step made it
  int64_t key = 0;
  int64_t x = 0;
  int64_t y = 0;
  TimestampMs time = 0;

  auto operator<=>(const TestRow&) const = default;
};

/// Fields kind, key, x, y.
SchemaPtr TestRowSchema();
/// `key_column` (0 to 3) also becomes the key; -1: none.
RecordBatch MakeTestBatch(const std::vector<TestRow>& rows, int key_column = -1);
TestRow TestRowAt(const RecordBatch& batch, int64_t row);
/// "kind key x y time", one line of a sink.
std::string TestRowLine(const TestRow& row);
/// The row of such a line; zeros for what is not there.
TestRow TestRowOfLine(const std::string& line);

}  // namespace headrace
