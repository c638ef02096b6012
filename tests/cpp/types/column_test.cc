#include "headrace/types/column.h"

#include <gtest/gtest.h>

#include "headrace/types/bitmap.h"
#include "types/column_of.h"

namespace headrace {
namespace {

std::vector<std::string> Part(const std::vector<std::string>& all, int64_t start, int64_t count) {
  return {all.begin() + start, all.begin() + start + count};
}

TEST(Column, SliceShowsTheRowsOfEveryTypeAndSharesTheirMemory) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = RandomColumn(type, 50, 1);
    const auto all = Texts(*column);
    const ColumnPtr slice = Column::Slice(column, 11, 30);
    EXPECT_EQ(Texts(*slice), Part(all, 11, 30));
    EXPECT_EQ(slice->values, column->values);
    EXPECT_EQ(slice->validity, column->validity);
    EXPECT_EQ(Texts(*Column::Slice(slice, 3, 5)), Part(all, 14, 5));
    EXPECT_EQ(Column::Slice(column, 50, 0)->length, 0);
    EXPECT_EQ(Column::Slice(column, 0, 50), column);
  }
}

TEST(Column, TakeGivesRowsInTheOrderAskedForEveryType) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = RandomColumn(type, 60, 2);
    const ColumnPtr slice = Column::Slice(column, 9, 40);
    const auto all = Texts(*slice);
    std::vector<int32_t> rows = {39, 0, 0, 7, 22, 5, 38, 1};
    const auto taken = Column::Take(slice, rows.data(), static_cast<int64_t>(rows.size()));
    ASSERT_TRUE(taken.ok());
    std::vector<std::string> wanted;
    for (int32_t row : rows) wanted.push_back(all[static_cast<size_t>(row)]);
    EXPECT_EQ(Texts(**taken), wanted);
    // What was taken can be sliced and taken again.
    const ColumnPtr again = Column::Slice(*taken, 2, 5);
    const std::vector<int32_t> more = {4, 2};
    EXPECT_EQ(Texts(**Column::Take(again, more.data(), 2)),
              (std::vector<std::string>{wanted[6], wanted[4]}));
    EXPECT_EQ((*Column::Take(slice, nullptr, 0))->length, 0);
  }
}

TEST(Column, ConcatPutsPartsOfEveryTypeBehindEachOther) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr a = RandomColumn(type, 30, 3);
    const ColumnPtr b = RandomColumn(type, 20, 4);
    auto wanted = Part(Texts(*a), 3, 21);
    const auto tail = Part(Texts(*b), 1, 13);
    wanted.insert(wanted.end(), tail.begin(), tail.end());
    const auto joined =
        Column::Concat({Column::Slice(a, 3, 21), Column::Slice(b, 5, 0), Column::Slice(b, 1, 13)});
    ASSERT_TRUE(joined.ok());
    EXPECT_EQ(Texts(**joined), wanted);
  }
}

TEST(Column, ConcatOfOnePartIsThatPart) {
  const ColumnPtr column = Int64s({1, 2});
  EXPECT_EQ(*Column::Concat({column}), column);
  EXPECT_EQ(*Column::Concat({Column::Slice(column, 0, 0), column}), column);
}

TEST(Column, ConcatRefusesDifferentTypesAndNothing) {
  EXPECT_EQ(Column::Concat({Int64s({1}), Strings({"a"})}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Column::Concat({}).status().code(), StatusCode::kInvalidArgument);
}

TEST(Column, DictionaryDecodesToItsValuesWithNullsOnBothSides) {
  const ColumnPtr values = Strings({"red", std::nullopt, "blue"});
  const ColumnPtr column = DictionaryOf<int8_t>(Int8Type(), {2, std::nullopt, 0, 1, 2}, values);
  const std::vector<std::string> wanted = {"'blue'", "None", "'red'", "None", "'blue'"};
  EXPECT_EQ(Texts(*column), wanted);
  const auto plain = Column::DecodeDictionary(Column::Slice(column, 1, 4));
  ASSERT_TRUE(plain.ok());
  EXPECT_TRUE((*plain)->type->Equals(*StringType()));
  EXPECT_EQ(Texts(**plain), Part(wanted, 1, 4));
  EXPECT_TRUE((*plain)->IsNull(0));
  EXPECT_TRUE((*plain)->IsNull(2));
  EXPECT_EQ(*Column::DecodeDictionary(values), values);
}

TEST(Column, DictionaryIndexOutOfRangeIsRefused) {
  const ColumnPtr bad = DictionaryOf<int32_t>(Int32Type(), {0, 3}, Strings({"a", "b"}));
  EXPECT_EQ(Column::DecodeDictionary(bad).status().code(), StatusCode::kInvalidArgument);
  const ColumnPtr negative = DictionaryOf<int32_t>(Int32Type(), {-1}, Strings({"a", "b"}));
  EXPECT_EQ(Column::DecodeDictionary(negative).status().code(), StatusCode::kInvalidArgument);
  const ColumnPtr empty = DictionaryOf<int32_t>(Int32Type(), {std::nullopt}, Strings({}));
  EXPECT_EQ(Texts(**Column::DecodeDictionary(empty)), std::vector<std::string>{"None"});
}

TEST(Column, TakeSharesTheDictionary) {
  const ColumnPtr column = DictionaryOf<int16_t>(Int16Type(), {0, 1, 1}, Strings({"a", "b"}));
  const std::vector<int32_t> rows = {2, 0};
  const auto taken = Column::Take(column, rows.data(), 2);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ((*taken)->dictionary, column->dictionary);
  EXPECT_EQ(Texts(**taken), (std::vector<std::string>{"'b'", "'a'"}));
}

TEST(Column, ConcatMergesDictionariesAndKeepsEntriesOnce) {
  const ColumnPtr a = DictionaryOf<int8_t>(Int8Type(), {0, 1, std::nullopt}, Strings({"x", "y"}));
  const ColumnPtr b = DictionaryOf<int8_t>(Int8Type(), {1, 0}, Strings({"y", "z"}));
  const auto joined = Column::Concat({a, b, a});
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ((*joined)->dictionary->length, 3);
  EXPECT_TRUE((*joined)->type->Equals(*a->type));
  EXPECT_EQ(Texts(**joined),
            (std::vector<std::string>{"'x'", "'y'", "None", "'z'", "'y'", "'x'", "'y'", "None"}));
}

TEST(Column, ConcatRefusesMoreEntriesThanTheIndexCanName) {
  std::vector<ColumnPtr> parts;
  for (int part = 0; part < 2; ++part) {
    std::vector<std::optional<std::string>> values;
    for (int i = 0; i < 100; ++i) values.push_back(std::to_string(part * 100 + i));
    parts.push_back(DictionaryOf<int8_t>(Int8Type(), {99}, Strings(values)));
  }
  EXPECT_EQ(Column::Concat(parts).status().code(), StatusCode::kResourceExhausted);
}

TEST(Column, NullsOfEveryTypeAreNull) {
  auto types = NativeTypes();
  types.push_back(ObjectType());
  types.push_back(DictionaryOf<int8_t>(Int8Type(), {}, Strings({}))->type);
  for (const DataTypePtr& type : types) {
    SCOPED_TRACE(type->ToString());
    const auto nulls = Column::OfNulls(type, 9);
    ASSERT_TRUE(nulls.ok());
    EXPECT_EQ(Texts(**nulls), std::vector<std::string>(9, "None"));
    for (int64_t i = 0; i < 9; ++i) EXPECT_TRUE((*nulls)->IsNull(i));
    EXPECT_EQ(Texts(**Column::Concat({*nulls, Column::Slice(*nulls, 2, 3)})).size(), 12u);
  }
}

TEST(Column, SizeCountsTheSliceAndNotTheWhole) {
  EXPECT_EQ(Column::SizeBytes(*Int64s({1, 2, 3, 4})), 32);
  EXPECT_EQ(Column::SizeBytes(*Column::Slice(Int64s({1, 2, 3, 4}), 1, 2)), 16);
  EXPECT_EQ(Column::SizeBytes(*Strings({"abc", "", "de"})), 12 + 5);
  EXPECT_EQ(Column::SizeBytes(*Column::Slice(Strings({"abc", "", "de"}), 1, 2)), 8 + 2);
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = RandomColumn(type, 100, 5);
    const int64_t whole = Column::SizeBytes(*column);
    EXPECT_GT(whole, 0);
    EXPECT_LE(Column::SizeBytes(*Column::Slice(column, 10, 20)), whole);
    EXPECT_EQ(Column::SizeBytes(*Column::Slice(column, 10, 0)), 0);
  }
}

TEST(Bitmap, CopyAndCountAgreeWithBitByBit) {
  std::mt19937 random(7);
  std::vector<uint8_t> bits(64);
  for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random());
  for (int round = 0; round < 300; ++round) {
    const int64_t from = static_cast<int64_t>(random() % 60);
    const int64_t to = static_cast<int64_t>(random() % 30);
    const int64_t count = static_cast<int64_t>(random() % 300);
    std::vector<uint8_t> copy(64, 0xff);
    CopyBits(bits.data(), from, copy.data(), to, count);
    int64_t set = 0;
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(GetBit(copy.data(), to + i), GetBit(bits.data(), from + i));
      set += GetBit(bits.data(), from + i);
    }
    for (int64_t i = 0; i < to; ++i) ASSERT_TRUE(GetBit(copy.data(), i));
    ASSERT_TRUE(GetBit(copy.data(), to + count));
    ASSERT_EQ(CountSetBits(bits.data(), from, count), set);
  }
}

}  // namespace
}  // namespace headrace
