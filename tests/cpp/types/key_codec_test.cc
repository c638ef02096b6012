#include "headrace/types/key_codec.h"

#include <gtest/gtest.h>

#include "headrace/base/hash.h"
#include "headrace/types/key_groups_of_ints.h"
#include "headrace/types/value_codec.h"
#include "types/column_of.h"

namespace headrace {
namespace {

constexpr int kParallelism = 128;

// Frozen: state on disk is found by these numbers. A failure here means that old checkpoints cannot
// be read.
TEST(KeyCodec, GoldenKeyGroups) {
  struct Golden {
    std::string bytes;
    uint64_t hash;
    int group;
  };
  using namespace std::string_literals;
  const Golden goldens[] = {
      {"\x03\x00"s, 0x7462ed7b2cc08f56, 86},
      {"\x03\x02"s, 0x0b97ce6cd0a064b2, 50},
      {"\x03\x01"s, 0xe065b0bfdf57b3d5, 85},
      {"\x03\x80\x80\x80\x80\x80\x40"s, 0x5b01537c21f6b1b4, 52},
      {"\x06\x00"s, 0x548e68bde3d2215a, 90},
      {"\x06\x01"
       "a"s,
       0x61d11e1d23091297, 23},
      {"\x06\x06\xe6\x97\xa5\xe6\x9c\xac"s, 0x6ce2e2041cc2f91d, 29},
      {"\x05\x00\x00\x00\x00\x00\x00\xf8\x3f"s, 0x7c1af116036cc619, 25},
      {"\x02"s, 0xc9f42e6c9e93dfff, 127},
      {"\x00"s, 0xc44bdff4074eecdb, 91},
      {"\x09\x02\x03\x02\x06\x01"
       "a"s,
       0x3fd502c4fad85d62, 98},
  };
  for (const Golden& golden : goldens) {
    EXPECT_EQ(Hash64(golden.bytes), golden.hash) << DescribeValue(golden.bytes);
    EXPECT_EQ(KeyGroupOf(golden.bytes, kParallelism), golden.group);
    EXPECT_EQ(Key::OfCanonical(golden.bytes).Group(kParallelism), golden.group);
  }
}

TEST(KeyCodec, FastPathsAgreeWithTheEncoder) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    const int64_t number = static_cast<int64_t>(random() >> (random() % 64));
    ByteWriter encoded;
    EncodeInt(i % 2 ? number : -number, &encoded);
    ASSERT_EQ(KeyGroupOfInt(i % 2 ? number : -number, 32768), KeyGroupOf(encoded.view(), 32768));
  }
  for (size_t size : {0, 1, 100, 127, 128, 255, 256, 257, 5000}) {
    const std::string text(size, 'x');
    ByteWriter encoded;
    EncodeStr(text, &encoded);
    ASSERT_EQ(KeyGroupOfStr(text, 32768), KeyGroupOf(encoded.view(), 32768)) << size;
  }
}

TEST(KeyCodec, GroupsOfManyIntsAreThoseOfEachAlone) {
  std::mt19937_64 random(2);
  std::vector<int64_t> keys = {0, 1, -1, 63, 64, -64, -65, INT64_MAX, INT64_MIN};
  // The first and the last key of each size.
  for (int digits = 1; digits < 10; ++digits) {
    const int64_t end = int64_t{1} << (7 * digits - 1);
    keys.insert(keys.end(), {end - 1, end, -end, -end - 1});
  }
  while (keys.size() < 1000) keys.push_back(static_cast<int64_t>(random() >> (random() % 64)));
  std::vector<uint16_t> groups(keys.size());
  for (const int max_parallelism : {1, 2, 100, 128, 4096, 32767, 32768}) {
    for (const int64_t count : {0, 1, 127, 128, 129, 1000}) {
      KeyGroupsOfInts(keys.data(), count, max_parallelism, groups.data());
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(groups[i], KeyGroupOfInt(keys[i], max_parallelism)) << keys[i];
      }
    }
  }
}

TEST(KeyView, KeyHasOneFormWhateverItsColumn) {
  const ColumnPtr wide = Int64s({5, std::nullopt});
  const ColumnPtr narrow = IntsOf<int8_t>(Int8Type(), {5});
  const ColumnPtr coded = DictionaryOf<int8_t>(Int8Type(), {1, std::nullopt}, Int64s({4, 5}));
  for (const ColumnPtr& column : {wide, narrow, coded}) {
    KeyView view(*column);
    Key key;
    ASSERT_TRUE(view.Read(0, &key).ok());
    EXPECT_TRUE(key == Key::OfInt(5));
  }
  const ColumnPtr text = Strings({"ab", std::nullopt});
  const ColumnPtr coded_text = DictionaryOf<int8_t>(Int8Type(), {0}, text);
  for (const ColumnPtr& column : {text, coded_text}) {
    KeyView view(*column);
    Key key;
    ASSERT_TRUE(view.Read(0, &key).ok());
    EXPECT_TRUE(key == Key::OfStr("ab"));
  }
  for (const ColumnPtr& column : {wide, coded, text}) {
    KeyView view(*column);
    Key key;
    ASSERT_TRUE(view.Read(1, &key).ok());
    EXPECT_EQ(key.form, KeyForm::kBytes);
    EXPECT_EQ(key.bytes, std::string_view("\0", 1));
  }
}

TEST(KeyView, OneTrueAndOnePointZeroAreThreeKeys) {
  const std::vector<ColumnPtr> columns = {Int64s({1}), IntsOf<int64_t>(BoolType(), {1}),
                                          Doubles({1.0})};
  std::vector<std::string> encoded;
  for (const ColumnPtr& column : columns) {
    KeyView view(*column);
    Key key;
    ByteWriter out;
    ASSERT_TRUE(view.Read(0, &key).ok());
    key.Encode(&out);
    encoded.push_back(out.Take());
  }
  EXPECT_NE(encoded[0], encoded[1]);
  EXPECT_NE(encoded[0], encoded[2]);
  EXPECT_NE(encoded[1], encoded[2]);
}

TEST(KeyView, GroupsAgreeWithReadForEveryType) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = Column::Slice(RandomColumn(type, 50, 6), 5, 40);
    KeyView view(*column);
    std::vector<uint16_t> groups(40);
    ASSERT_TRUE(view.Groups(40, kParallelism, groups.data()).ok());
    for (int64_t i = 0; i < 40; ++i) {
      Key key;
      ByteWriter direct;
      ByteWriter through_key;
      ASSERT_TRUE(view.Read(i, &key).ok());
      ASSERT_TRUE(EncodeColumnValue(*column, i, true, &direct).ok());
      key.Encode(&through_key);
      EXPECT_EQ(direct.view(), through_key.view());
      EXPECT_EQ(groups[static_cast<size_t>(i)], KeyGroupOf(direct.view(), kParallelism));
    }
  }
}

TEST(KeyView, ColumnsWithoutNullsOfferTheirValues) {
  const ColumnPtr ints = Column::Slice(Int64s({1, 2, 3}), 1, 2);
  EXPECT_TRUE(KeyView(*ints).all_ints());
  EXPECT_EQ(KeyView(*ints).ints()[0], 2);
  EXPECT_FALSE(KeyView(*Int64s({1, std::nullopt})).all_ints());
  EXPECT_TRUE(KeyView(*Strings({"a"})).all_strings());
  EXPECT_FALSE(KeyView(*Strings({"a", std::nullopt})).all_strings());
}

}  // namespace
}  // namespace headrace
