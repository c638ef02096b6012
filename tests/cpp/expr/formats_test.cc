#include <cstring>

#include "golden_file.h"
#include "headrace/expr/aggregate.h"
#include "types/column_of.h"

namespace headrace {
namespace {

// The accumulators of a column's rows: what a slice table holds for a key.
std::string Accumulated(const std::string& function, const ColumnPtr& column) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kRow,
                                                std::vector<Field>{{"v", column->type, true}});
  batch.num_rows = column->length;
  batch.columns = {column};
  const auto made = AggregateFunction::Make({function, 0, "out"}, *batch.schema);
  EXPECT_TRUE(made.ok()) << function;
  const auto size_bytes = static_cast<size_t>((*made)->accumulator_bytes());
  std::vector<int64_t> words(size_bytes / 8);
  char* accumulator = reinterpret_cast<char*>(words.data());
  (*made)->Init(accumulator);
  const std::vector<char*> accumulators(static_cast<size_t>(column->length), accumulator);
  EXPECT_TRUE((*made)->Update(batch, nullptr, accumulators.data(), 0, column->length, 7).ok());
  return std::string(accumulator, size_bytes);
}

TEST(ExprFormats, AccumulatorsAreTheGoldenFile) {
  std::string bytes;
  for (const char* function :
       {"sum", "count", "avg", "min", "max", "first", "last", "var", "stddev"}) {
    for (const ColumnPtr& column :
         {Int64s({3, std::nullopt, -9, 1LL << 62}), Doubles({0.5, -2.0, std::nullopt, 8.0})}) {
      bytes += std::string(function) + " " + column->type->ToString() + "\n";
      bytes += Accumulated(function, column) + "\n";
    }
  }
  ExpectGolden("expr/golden/accumulators.bin", bytes);
}

}  // namespace
}  // namespace headrace
