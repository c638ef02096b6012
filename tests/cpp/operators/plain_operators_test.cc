#include <gtest/gtest.h>

#include "headrace/operators/event_time_column.h"
#include "headrace/operators/flatten_dictionary.h"
#include "headrace/operators/key_by_fields.h"
#include "headrace/operators/project.h"
#include "headrace/operators/text_encode.h"
#include "headrace/operators/union.h"
#include "testing/operator_harness.h"
#include "types/column_of.h"

namespace headrace {
namespace {

OperatorHarness::Options Stateless() {
  OperatorHarness::Options options;
  options.keyed = false;
  options.room_rows_max = 2;
  return options;
}

RecordBatch Flights() {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kRow,
                                                std::vector<Field>{{"carrier", StringType(), true},
                                                                   {"origin", StringType(), true},
                                                                   {"delay", Int64Type(), true}});
  batch.num_rows = 3;
  batch.columns = {Strings({"UA", "AA", "UA"}), Strings({"EWR", "JFK", "LGA"}), Int64s({5, 6, 7})};
  batch.timestamps = Int64s({10, 20, 30})->values;
  return batch;
}

TEST(KeyByFields, TakesOneColumnAsItIs) {
  OperatorHarness harness(KeyByFields({1}), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  const RecordBatch batch = Flights();
  ASSERT_TRUE(harness.Process(batch).ok());
  EXPECT_EQ(harness.output()[0].batch.key, batch.columns[1]);
  EXPECT_EQ(harness.output()[0].batch.columns, batch.columns);
}

TEST(KeyByFields, MakesAStructOfSeveralColumnsAlsoOfSlices) {
  OperatorHarness harness(KeyByFields({0, 1}), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Flights().Slice(1, 2)).ok());
  EXPECT_EQ(Texts(*harness.output()[0].batch.key),
            (std::vector<std::string>{"('AA', 'JFK')", "('UA', 'LGA')"}));
}

TEST(KeyByFields, NamesWhatCannotBeAKey) {
  const Schema schema(RecordShape::kRow, {{"a", ListType({"item", Int64Type(), true}), true},
                                          {"b", Int64Type(), true}});
  EXPECT_NE(KeyFieldsOf(schema, {0}).status().message().find("'a'"), std::string::npos);
  EXPECT_NE(KeyFieldsOf(schema, {2}).status().message().find("2"), std::string::npos);
  EXPECT_NE(KeyFieldsOf(schema, {1, 1}).status().message().find("twice"), std::string::npos);
  EXPECT_EQ(KeyFieldsOf(schema, {1}).value()[0].name, "b");
}

TEST(Project, ChoosesAndRenames) {
  const SchemaPtr output =
      ProjectedSchema(*Flights().schema, {2, 0}, {"d", "c"}, RecordShape::kRow).value();
  OperatorHarness harness(Project({2, 0}, output), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Flights()).ok());
  EXPECT_EQ(harness.OutputText()[1], "Row(d=6, c='AA') @20");
  EXPECT_FALSE(ProjectedSchema(*Flights().schema, {3}, {}, RecordShape::kTuple).ok());
}

TEST(Union, PassesBatchesOfEveryInputWithoutTheirKeys) {
  OperatorHarness harness(Union(nullptr), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  RecordBatch batch = Flights();
  batch.key = batch.columns[0];
  ASSERT_TRUE(harness.Process(batch, 0).ok());
  ASSERT_TRUE(harness.Process(batch, 1).ok());
  EXPECT_EQ(harness.output().size(), 2u);
  EXPECT_EQ(harness.output()[1].batch.key, nullptr);
}

TEST(FlattenDictionary, ReplacesCodesByValues) {
  RecordBatch batch = Flights();
  batch.columns[0] =
      DictionaryOf<int64_t>(Int32Type(), {1, 0, std::nullopt}, Strings({"AA", "UA"}));
  std::vector<Field> fields = batch.schema->fields();
  fields[0].type = batch.columns[0]->type;
  batch.schema = std::make_shared<const Schema>(RecordShape::kRow, fields);
  OperatorHarness harness(FlattenDictionary(FlattenedSchema(batch.schema)), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(batch).ok());
  const RecordBatch& plain = harness.output()[0].batch;
  EXPECT_EQ(plain.columns[0]->type->kind(), TypeKind::kString);
  EXPECT_EQ(Texts(*plain.columns[0]), (std::vector<std::string>{"'UA'", "'AA'", "None"}));
  EXPECT_TRUE(plain.schema->fields()[0].type->Equals(*StringType()));
}

TEST(TextEncode, WritesRecordsAsPythonDoes) {
  OperatorHarness harness(TextEncode(), Stateless());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Flights()).ok());
  EXPECT_EQ(harness.output()[0].batch.columns[0]->StringAt(0),
            "Row(carrier='UA', origin='EWR', delay=5)");
}

TEST(EventTimeColumn, ReadsEveryUnitAndSharesMilliseconds) {
  const auto in = [](const char* format, std::vector<std::optional<int64_t>> values) {
    RecordBatch batch;
    const auto type = std::make_shared<const DataType>(TypeKind::kTimestamp, format);
    batch.schema =
        std::make_shared<const Schema>(RecordShape::kScalar, std::vector<Field>{{"t", type, true}});
    batch.num_rows = static_cast<int64_t>(values.size());
    batch.columns = {IntsOf<int64_t>(type, values)};
    return batch;
  };
  EXPECT_EQ(WithEventTimesFrom(in("tss:", {-2}), 0).value().TimestampAt(0), -2000);
  EXPECT_EQ(WithEventTimesFrom(in("tsu:", {-1}), 0).value().TimestampAt(0), -1);
  EXPECT_EQ(WithEventTimesFrom(in("tsn:UTC", {1999999}), 0).value().TimestampAt(0), 1);
  const RecordBatch millis = in("tsm:", {1, 2, 3}).Slice(1, 2);
  const RecordBatch timed = WithEventTimesFrom(millis, 0).value();
  EXPECT_EQ(timed.timestamps, millis.columns[0]->values);
  EXPECT_EQ(timed.TimestampAt(1), 3);
  EXPECT_NE(WithEventTimesFrom(in("tsm:", {1, std::nullopt}), 0).status().message().find("row 1"),
            std::string::npos);
  EXPECT_FALSE(WithEventTimesFrom(in("tss:", {INT64_MAX}), 0).ok());
  EXPECT_FALSE(WithEventTimesFrom(Flights(), 0).ok());
}

}  // namespace
}  // namespace headrace
