#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "headrace/operators/operator.h"
#include "testing/test_rows.h"

namespace headrace {

/// Keeps rows with x % modulus != remainder; the others go to the side output "rejected".
OperatorFactoryPtr TestFilter(int64_t modulus, int64_t remainder);
/// Makes column `column` (1 to 3) the key.
OperatorFactoryPtr TestKeyBy(int column);
/// Makes one TestRow of each row.
using TestRowMaker = std::function<TestRow(const RecordBatch& batch, int64_t row)>;
OperatorFactoryPtr TestEachRow(TestRowMaker make);
/// Replaces x by (3 · x + add) mod 1000.
OperatorFactoryPtr TestMap(int64_t add);
/// One string column with TestRowLine() of each row, as a FileSink takes it.
OperatorFactoryPtr TestLines();
SchemaPtr TestLinesSchema();
/// Every row `copies` times (y = number of the copy), made one at a time under the output's room.
OperatorFactoryPtr TestRepeat(int64_t copies);

/// What a keyed test operator does with each row of its key. Plain data.
struct TestKeyedSpec {
  int64_t step = 1;  ///< written rows get kinds 10 · step + 1, 2, 3
  int64_t window_ms = 100;
  int64_t count_every = 1;  ///< counts that are a multiple of it are emitted
  int key_column = 1;       ///< as the key_by before it
  bool takes_late =
      false;  ///< late rows are emitted with kind 10 · step + 4; else they fail the job
  double failure_odds = 0;  ///< how often a batch fails with kIoError
};
/// Uses every kind of keyed state and does not depend on the order of rows:
/// - a native value counts the rows of the key: emits the count, timed at the end of time;
/// - rows under a window namespace hold count and sum of x, emitted by a timer at its end;
/// - a map of x % 7 → count and a list of y are summed up by a timer at the end of time.
/// A row whose window has fired is late: no window takes it, all else does.
OperatorFactoryPtr TestKeyed(const TestKeyedSpec& spec);
/// The rows TestKeyed makes of all its input, in any order. `late`: those of the input (as they
/// went in) that it called late; their windows are those of the other rows.
std::vector<TestRow> TestKeyedOracle(const TestKeyedSpec& spec, const std::vector<TestRow>& input,
                                     const std::vector<TestRow>& late = {});

/// Appends rows as lines to files of `directory`, published with checkpoints.
OperatorFactoryPtr TestFileSink(std::string directory);

}  // namespace headrace
