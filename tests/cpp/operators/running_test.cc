#include <gtest/gtest.h>

#include <map>
#include <random>

#include "headrace/operators/running_aggregate.h"
#include "headrace/operators/running_field.h"
#include "testing/operator_harness.h"
#include "types/column_of.h"

namespace headrace {
namespace {

SchemaPtr TripleSchema(DataTypePtr value_type) {
  return std::make_shared<const Schema>(RecordShape::kTuple,
                                        std::vector<Field>{{"word", StringType(), true},
                                                           {"n", std::move(value_type), true},
                                                           {"note", StringType(), true}});
}

RecordBatch Triples(const DataTypePtr& value_type, const std::vector<std::string>& words,
                    const std::vector<std::optional<int64_t>>& values,
                    const std::vector<std::string>& notes) {
  RecordBatch batch;
  batch.schema = TripleSchema(value_type);
  batch.num_rows = static_cast<int64_t>(words.size());
  batch.columns = {Strings({words.begin(), words.end()}), IntsOf<int64_t>(value_type, values),
                   Strings({notes.begin(), notes.end()})};
  batch.key = batch.columns[0];
  return batch;
}

OperatorHarness::Options Restoring(uint64_t seed) {
  OperatorHarness::Options options;
  options.restore_after_each = true;
  options.room_rows_max = 3;
  options.seed = seed;
  return options;
}

TEST(RunningAggregate, GivesTheValueAfterEachRow) {
  RunningAggregateSpec spec;
  spec.key_fields = {{"word", StringType(), true}};
  spec.aggregates = {{"sum", 1, "total"}, {"count", -1, "rows"}, {"max", 1, "top"}};
  spec.input_schema = TripleSchema(Int64Type());
  OperatorHarness harness(RunningAggregate(spec), Restoring(1));
  ASSERT_TRUE(harness.Open().ok());
  std::mt19937_64 random(1);
  struct Sums {
    int64_t total = 0, rows = 0, top = INT64_MIN;
  };
  std::map<std::string, Sums> sums;
  std::vector<std::string> expected;
  for (int step = 0; step < 20; ++step) {
    std::vector<std::string> words;
    std::vector<std::optional<int64_t>> values;
    for (int i = 0; i < 50; ++i) {
      words.push_back("w" + std::to_string(random() % 9));
      values.push_back(static_cast<int64_t>(random() % 100));
      Sums& now = sums[words.back()];
      now.total += *values.back();
      ++now.rows;
      now.top = std::max(now.top, *values.back());
      expected.push_back("Row(word='" + words.back() + "', total=" + std::to_string(now.total) +
                         ", rows=" + std::to_string(now.rows) + ", top=" + std::to_string(now.top) +
                         ")");
    }
    ASSERT_TRUE(
        harness.Process(Triples(Int64Type(), words, values, std::vector<std::string>(50))).ok());
  }
  EXPECT_EQ(harness.OutputText(), expected);
}

TEST(RunningAggregate, RefusesTwoColumnsOfOneName) {
  RunningAggregateSpec spec;
  spec.key_fields = {{"word", StringType(), true}};
  spec.aggregates = {{"count", -1, "word"}};
  spec.input_schema = TripleSchema(Int64Type());
  EXPECT_NE(RunningAggregateSchema(spec).status().message().find("'word'"), std::string::npos);
}

TEST(RunningField, KeepsTheOtherFieldsOfTheFirstRecordAsFlinkDoes) {
  for (const char* function : {"sum", "min", "max"}) {
    SCOPED_TRACE(function);
    RunningFieldSpec spec;
    spec.function = function;
    spec.column = 1;
    spec.key_columns = {0};
    spec.input_schema = TripleSchema(Int32Type());
    OperatorHarness harness(RunningField(spec), Restoring(2));
    ASSERT_TRUE(harness.Open().ok());
    ASSERT_TRUE(
        harness.Process(Triples(Int32Type(), {"a", "b", "a"}, {5, 1, 3}, {"x", "y", "z"})).ok());
    ASSERT_TRUE(harness.Process(Triples(Int32Type(), {"b", "a"}, {7, 4}, {"u", "v"})).ok());
    const std::string f = function;
    const std::vector<int> a = f == "sum"   ? std::vector<int>{5, 8, 12}
                               : f == "min" ? std::vector<int>{5, 3, 3}
                                            : std::vector<int>{5, 5, 5};
    const std::vector<int> b = f == "sum"   ? std::vector<int>{1, 8}
                               : f == "min" ? std::vector<int>{1, 1}
                                            : std::vector<int>{1, 7};
    const auto text = [](const char* word, int value, const char* note) {
      return "('" + std::string(word) + "', " + std::to_string(value) + ", '" + note + "')";
    };
    EXPECT_EQ(
        harness.OutputText(),
        (std::vector<std::string>{text("a", a[0], "x"), text("b", b[0], "y"), text("a", a[1], "x"),
                                  text("b", b[1], "y"), text("a", a[2], "x")}));
    EXPECT_EQ(harness.output()[0].batch.columns[1]->type->kind(), TypeKind::kInt32);
  }
}

TEST(RunningField, FailsWhenTheSumLeavesTheFieldsType) {
  RunningFieldSpec spec;
  spec.function = "sum";
  spec.column = 1;
  spec.key_columns = {0, 2};
  spec.input_schema = TripleSchema(Int8Type());
  OperatorHarness harness(RunningField(spec), {});
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Triples(Int8Type(), {"a", "a"}, {100, 27}, {"x", "x"})).ok());
  const Status status = harness.Process(Triples(Int8Type(), {"a"}, {1}, {"x"}));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("'n'"), std::string::npos);
}

TEST(RunningField, NamesWhatIsWrong) {
  RunningFieldSpec spec;
  spec.function = "sum";
  spec.column = 9;
  spec.input_schema = TripleSchema(Int64Type());
  EXPECT_NE(RunningFieldSchema(spec).status().message().find("field 9"), std::string::npos);
  spec.column = 0;
  EXPECT_FALSE(RunningFieldSchema(spec).ok());
}

}  // namespace
}  // namespace headrace
