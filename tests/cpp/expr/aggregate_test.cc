#include "headrace/expr/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch BatchOf(ColumnPtr column) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kRow,
                                                std::vector<Field>{{"v", column->type, true}});
  batch.num_rows = column->length;
  batch.columns = {std::move(column)};
  return batch;
}

Result<std::unique_ptr<AggregateFunction>> Make(const std::string& function,
                                                const DataTypePtr& type, int column = 0) {
  return AggregateFunction::Make({function, column, "out"},
                                 Schema(RecordShape::kRow, std::vector<Field>{{"v", type, true}}));
}

/// Accumulators of some groups, at an offset inside a wider row as operators keep them.
class Groups {
 public:
  static constexpr int kOffset = 16;

  Groups(const AggregateFunction& function, int count) : function_(function) {
    for (int i = 0; i < count; ++i) {
      rows_.emplace_back(static_cast<size_t>(kOffset + function.accumulator_bytes()) / 8, -1);
      function.Init(at(i));
    }
  }
  char* row(int group) { return reinterpret_cast<char*>(rows_[static_cast<size_t>(group)].data()); }
  char* at(int group) { return row(group) + kOffset; }
  std::string Text(int group) {
    auto builder = ColumnBuilder::Make(function_.output_type()).value();
    function_.AppendResult(at(group), builder.get());
    return TextAt(*builder->Finish(), 0);
  }

 private:
  const AggregateFunction& function_;
  std::vector<std::vector<int64_t>> rows_;
};

/// One result over all rows of the column.
std::string Over(const std::string& function, const ColumnPtr& column) {
  auto made = Make(function, column->type);
  if (!made.ok()) return made.status().ToString();
  Groups groups(**made, 1);
  std::vector<char*> accumulators(static_cast<size_t>(column->length), groups.row(0));
  const Status status = (*made)->Update(BatchOf(column), nullptr, accumulators.data(),
                                        Groups::kOffset, column->length);
  return status.ok() ? groups.Text(0) : status.ToString();
}

/// What the functions mean, row by row over texts of values; the reference.
std::string Naive(const std::string& function, const Column& column,
                  const std::vector<int32_t>& rows) {
  std::vector<double> values;
  std::vector<std::string> texts;
  for (int32_t row : rows) {
    if (column.IsNull(row)) continue;
    texts.push_back(TextAt(column, row));
    values.push_back(std::stod(texts.back()));
  }
  const bool real = column.type->is_floating();
  if (function == "count") return std::to_string(values.size());
  if (values.empty()) return "None";
  if (function == "first") return texts.front();
  if (function == "last") return texts.back();
  size_t best = 0;
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i];
    if (function == "min" ? values[i] < values[best] : values[i] > values[best]) best = i;
  }
  if (function == "min" || function == "max") return texts[best];
  // The values of the test are multiples of 1/8 or ints: all sums are exact.
  if (function == "sum" && !real) return std::to_string(static_cast<int64_t>(sum));
  return DescribeValue([&] {
    ByteWriter out;
    EncodeFloat(function == "sum" ? sum : sum / static_cast<double>(values.size()), &out);
    return out.Take();
  }());
}

TEST(Aggregate, AgreesWithNaiveLoopsOverGroupsRowsAndNulls) {
  constexpr int kGroups = 5;
  for (const DataTypePtr& type :
       {Int8Type(), Int16Type(), Int32Type(), Int64Type(), Float32Type(), Float64Type()}) {
    for (const char* function : {"sum", "count", "avg", "min", "max", "first", "last"}) {
      for (const bool nulls : {true, false}) {
        for (const bool select : {true, false}) {
          SCOPED_TRACE(std::string(function) + " " + type->ToString());
          ColumnPtr column = Column::Slice(RandomColumn(type, 400, 8), 7, 300);
          if (!nulls) {
            auto valid = std::make_shared<Column>(*column);
            valid->validity.reset();
            column = valid;
          }
          std::mt19937 random(9);
          std::vector<int32_t> rows;
          for (int32_t i = 0; i < 300; ++i) {
            if (!select || random() % 3 == 0) rows.push_back(i);
          }
          const auto made = Make(function, type).value();
          Groups groups(*made, kGroups);
          std::vector<char*> accumulators;
          std::map<int, std::vector<int32_t>> of_group;
          for (int32_t row : rows) {
            // Group 4 stays empty.
            const int group = static_cast<int>(random() % (kGroups - 1));
            accumulators.push_back(groups.row(group));
            of_group[group].push_back(row);
          }
          ASSERT_TRUE(made->Update(BatchOf(column), select ? rows.data() : nullptr,
                                   accumulators.data(), Groups::kOffset,
                                   static_cast<int64_t>(rows.size()))
                          .ok());
          for (int group = 0; group < kGroups; ++group) {
            EXPECT_EQ(groups.Text(group), Naive(function, *column, of_group[group]));
          }
        }
      }
    }
  }
}

TEST(Aggregate, MergeOfPartsIsTheAggregateOfTheWhole) {
  for (const DataTypePtr& type : {Int64Type(), Float64Type()}) {
    for (const char* function : {"sum", "count", "avg", "min", "max", "first", "last"}) {
      SCOPED_TRACE(std::string(function) + " " + type->ToString());
      const ColumnPtr column = RandomColumn(type, 90, 10);
      const auto made = Make(function, type).value();
      Groups groups(*made, 4);
      for (int part = 0; part < 3; ++part) {
        std::vector<char*> accumulators(30, groups.row(part));
        ASSERT_TRUE(made->Update(BatchOf(Column::Slice(column, part * 30, 30)), nullptr,
                                 accumulators.data(), Groups::kOffset, 30)
                        .ok());
      }
      // The empty accumulator is neutral on both sides.
      ASSERT_TRUE(made->Merge(groups.at(0), groups.at(3)).ok());
      ASSERT_TRUE(made->Merge(groups.at(3), groups.at(0)).ok());
      ASSERT_TRUE(made->Merge(groups.at(3), groups.at(1)).ok());
      ASSERT_TRUE(made->Merge(groups.at(3), groups.at(2)).ok());
      EXPECT_EQ(groups.Text(3), Over(function, column));
    }
  }
}

TEST(Aggregate, SequenceOrdersFirstAndLastAcrossAccumulators) {
  for (const bool last : {false, true}) {
    const auto made = Make(last ? "last" : "first", Int64Type()).value();
    Groups groups(*made, 2);
    std::vector<char*> late(2, groups.row(0));
    std::vector<char*> early(2, groups.row(1));
    ASSERT_TRUE(
        made->Update(BatchOf(Int64s({30, 40})), nullptr, late.data(), Groups::kOffset, 2, 100)
            .ok());
    ASSERT_TRUE(
        made->Update(BatchOf(Int64s({10, 20})), nullptr, early.data(), Groups::kOffset, 2, 0).ok());
    ASSERT_TRUE(made->Merge(groups.at(0), groups.at(1)).ok());
    EXPECT_EQ(groups.Text(0), last ? "40" : "10");
  }
}

TEST(Aggregate, IntegerSumThatLeavesInt64NamesTheColumn) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Over("sum", Int64s({most, -1, 1})), std::to_string(most));
  const auto made = Make("sum", Int64Type()).value();
  for (int64_t sign : {1, -1}) {
    Groups groups(*made, 2);
    std::vector<char*> accumulators(3, groups.row(0));
    const Status status = made->Update(BatchOf(Int64s({sign * most, sign, sign})), nullptr,
                                       accumulators.data(), Groups::kOffset, 3);
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(status.message().find("'v'"), std::string::npos);
    made->Init(groups.at(0));
    for (int group : {0, 1}) {
      accumulators.assign(1, groups.row(group));
      ASSERT_TRUE(made->Update(BatchOf(Int64s({sign * most})), nullptr, accumulators.data(),
                               Groups::kOffset, 1)
                      .ok());
    }
    EXPECT_EQ(made->Merge(groups.at(0), groups.at(1)).code(), StatusCode::kResourceExhausted);
  }
}

TEST(Aggregate, AverageOfIntegersIsExactBeyondInt64) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  const int64_t least = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(Over("avg", Int64s({most, most, most})), "9.223372036854776e+18");
  EXPECT_EQ(Over("avg", Int64s({most, most, -most, -most, 4})), "0.8");
  EXPECT_EQ(Over("avg", Int64s({least, least})), "-9.223372036854776e+18");
  EXPECT_EQ(Over("avg", Int64s({-1, -2})), "-1.5");
}

TEST(Aggregate, NanIsLargestInAnyOrder) {
  const double nan = std::nan("");
  EXPECT_EQ(Over("min", Doubles({nan, 1.0, 2.0})), "1.0");
  EXPECT_EQ(Over("min", Doubles({1.0, nan})), "1.0");
  EXPECT_EQ(Over("min", Doubles({nan})), "nan");
  EXPECT_EQ(Over("max", Doubles({nan, 1.0})), "nan");
  EXPECT_EQ(Over("max", Doubles({1.0, nan, 2.0})), "nan");
  EXPECT_EQ(Over("max", Doubles({-std::numeric_limits<double>::infinity()})), "-inf");
}

TEST(Aggregate, NothingIsNullButCountIsZero) {
  const ColumnPtr nulls = Int64s({std::nullopt, std::nullopt});
  for (const char* function : {"sum", "avg", "min", "max", "first", "last", "var", "stddev"}) {
    EXPECT_EQ(Over(function, nulls), "None") << function;
  }
  EXPECT_EQ(Over("count", nulls), "0");
  EXPECT_EQ(Over("var", Int64s({5})), "None");
}

TEST(Aggregate, VarianceIsThatOfASampleAndMerges) {
  const ColumnPtr column = Int64s({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_NEAR(std::stod(Over("var", column)), 32.0 / 7, 1e-12);
  EXPECT_NEAR(std::stod(Over("stddev", column)), std::sqrt(32.0 / 7), 1e-12);
  const auto made = Make("var", Int64Type()).value();
  Groups groups(*made, 2);
  for (int part = 0; part < 2; ++part) {
    std::vector<char*> accumulators(4, groups.row(part));
    ASSERT_TRUE(made->Update(BatchOf(Column::Slice(column, part * 4, 4)), nullptr,
                             accumulators.data(), Groups::kOffset, 4)
                    .ok());
  }
  ASSERT_TRUE(made->Merge(groups.at(0), groups.at(1)).ok());
  EXPECT_NEAR(std::stod(groups.Text(0)), 32.0 / 7, 1e-12);
}

TEST(Aggregate, TypesWithAnOrderKeepTheirType) {
  EXPECT_EQ(Over("max", IntsOf<int64_t>(BoolType(), {0, 1, std::nullopt})), "True");
  EXPECT_EQ(Over("first", IntsOf<int64_t>(BoolType(), {0, 1})), "False");
  EXPECT_EQ(Over("min", IntsOf<int64_t>(Date32Type(), {3, -1})), "datetime.date(1969, 12, 31)");
  EXPECT_EQ(Over("last", IntsOf<int64_t>(TimestampMsType(), {0, 1000})),
            "datetime.datetime(1970, 1, 1, 0, 0, 1)");
  EXPECT_EQ(Make("min", Int8Type()).value()->output_type()->ToString(), "int8");
  EXPECT_EQ(Make("sum", Int8Type()).value()->output_type()->ToString(), "int64");
  EXPECT_EQ(Make("sum", Float32Type()).value()->output_type()->ToString(), "float64");
}

TEST(Aggregate, DictionariesAggregateAsTheirValues) {
  const ColumnPtr column =
      DictionaryOf<int8_t>(Int8Type(), {1, 1, std::nullopt, 0, 2}, Int64s({5, 7, std::nullopt}));
  EXPECT_EQ(Over("sum", column), "19");
  EXPECT_EQ(Over("count", column), "3");
}

TEST(Aggregate, CountOfRowsNeedsNoColumn) {
  const auto made = Make("count", StringType(), -1).value();
  Groups groups(*made, 1);
  std::vector<char*> accumulators(3, groups.row(0));
  ASSERT_TRUE(made->Update(BatchOf(Strings({"a", std::nullopt, "b"})), nullptr, accumulators.data(),
                           Groups::kOffset, 3)
                  .ok());
  EXPECT_EQ(groups.Text(0), "3");
  EXPECT_EQ(Over("count", Strings({"a", std::nullopt, "b"})), "2");
}

TEST(Aggregate, WhatIsNotDefinedIsRefused) {
  const auto code = [](const std::string& function, const DataTypePtr& type, int column = 0) {
    return Make(function, type, column).status().code();
  };
  EXPECT_EQ(code("median", Int64Type()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("sum", StringType()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("avg", StringType()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("min", StringType()), StatusCode::kUnimplemented);
  EXPECT_EQ(code("last", StringType()), StatusCode::kUnimplemented);
  EXPECT_EQ(code("sum", BoolType()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("sum", TimestampMsType()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("count", ObjectType()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("sum", Int64Type(), -1), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("sum", Int64Type(), 1), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace headrace
