#include "headrace/types/batch.h"

#include <gtest/gtest.h>

#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch KeyedBatch() {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(
      RecordShape::kRow, std::vector<Field>{{"k", StringType(), true}, {"v", Int64Type(), true}});
  batch.num_rows = 4;
  batch.columns = {Strings({"a", "b", "a", "c"}), Int64s({1, 2, 3, 4})};
  batch.timestamps = Int64s({10, 20, 30, 40})->values;
  batch.key = batch.columns[0];
  return batch;
}

TEST(RecordBatch, SliceCutsColumnsTimestampsAndKeyAlike) {
  const RecordBatch batch = KeyedBatch();
  const RecordBatch slice = batch.Slice(1, 3).Slice(1, 2);
  EXPECT_EQ(slice.num_rows, 2);
  EXPECT_EQ(Texts(*slice.columns[1]), (std::vector<std::string>{"3", "4"}));
  EXPECT_EQ(slice.TimestampAt(0), 30);
  EXPECT_EQ(slice.TimestampAt(1), 40);
  EXPECT_EQ(slice.key, slice.columns[0]);
}

TEST(RecordBatch, TakeSelectsColumnsTimestampsAndKeyAlike) {
  RecordBatch batch = KeyedBatch().Slice(1, 3);
  const std::vector<int32_t> rows = {2, 0};
  auto taken = batch.Take(rows.data(), 2);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(Texts(*taken->columns[0]), (std::vector<std::string>{"'c'", "'b'"}));
  EXPECT_EQ(taken->TimestampAt(0), 40);
  EXPECT_EQ(taken->TimestampAt(1), 20);
  EXPECT_EQ(taken->key, taken->columns[0]);
  batch.key = Int64s({7, 8, 9});
  taken = batch.Take(rows.data(), 2);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(Texts(*taken->key), (std::vector<std::string>{"9", "7"}));
}

TEST(RecordBatch, RowsWithoutTimestampsHaveNone) {
  RecordBatch batch = KeyedBatch();
  batch.timestamps.reset();
  EXPECT_EQ(batch.TimestampAt(2), kNoTimestamp);
  EXPECT_EQ(batch.Timestamps(), nullptr);
  EXPECT_EQ(batch.Slice(1, 2).TimestampAt(0), kNoTimestamp);
}

TEST(RecordBatch, SizeCountsAKeyThatIsAColumnOnce) {
  RecordBatch batch = KeyedBatch();
  const int64_t shared = batch.SizeBytes();
  EXPECT_EQ(shared, (16 + 4) + 32 + 32);
  batch.key = Int64s({1, 2, 3, 4});
  EXPECT_EQ(batch.SizeBytes(), shared + 32);
}

TEST(Schema, FieldsAreFoundByNameAndMissingOnesNamed) {
  const RecordBatch batch = KeyedBatch();
  EXPECT_EQ(batch.schema->IndexOf("v"), 1);
  EXPECT_EQ(batch.schema->IndexOf("w"), -1);
  EXPECT_EQ(batch.schema->Require("k").value(), 0);
  const Status status = batch.schema->Require("w").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "no field 'w'; the fields are 'k', 'v'");
}

TEST(Schema, TextAndEqualityFollowShapeNamesAndTypes) {
  const RecordBatch batch = KeyedBatch();
  EXPECT_EQ(batch.schema->ToString(), "row<k: string, v: int64>");
  EXPECT_EQ(Schema::Objects()->ToString(), "object");
  EXPECT_TRUE(batch.schema->Equals(*KeyedBatch().schema));
  EXPECT_FALSE(batch.schema->Equals(Schema(RecordShape::kTuple, batch.schema->fields())));
  EXPECT_FALSE(batch.schema->Equals(*Schema::Objects()));
}

TEST(DataType, TextNamesParametersAndChildren) {
  std::vector<std::string> texts;
  for (const DataTypePtr& type : NativeTypes()) texts.push_back(type->ToString());
  EXPECT_EQ(texts, (std::vector<std::string>{"null",
                                             "bool",
                                             "int8",
                                             "int16",
                                             "int32",
                                             "int64",
                                             "float32",
                                             "float64",
                                             "string",
                                             "binary",
                                             "date32",
                                             "time64[us]",
                                             "timestamp[ms]",
                                             "timestamp[us, +02:30]",
                                             "duration[s]",
                                             "decimal128(20,3)",
                                             "list<int64>",
                                             "list<list<string>>",
                                             "struct<a: int32, b: string>",
                                             "struct<l: list<bool>, s: struct<x: float64>>",
                                             "map<key: string, value: int64>"}));
}

TEST(DataType, EqualityIgnoresTheNameOfListItems) {
  EXPECT_TRUE(ListType({"item", Int64Type()})->Equals(*ListType({"element", Int64Type()})));
  EXPECT_FALSE(ListType({"item", Int64Type()})->Equals(*ListType({"item", Int32Type()})));
  EXPECT_FALSE(StructType({{"a", Int64Type()}})->Equals(*StructType({{"b", Int64Type()}})));
  EXPECT_FALSE(
      DataType(TypeKind::kTimestamp, "tsm:").Equals(DataType(TypeKind::kTimestamp, "tsm:UTC")));
}

}  // namespace
}  // namespace headrace
