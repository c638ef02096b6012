#include "headrace/state/key_dictionary.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/types/column_builder.h"
#include "headrace/types/value_codec.h"
#include "state/snapshot_store.h"
#include "types/column_of.h"

namespace headrace {
namespace {

std::string EncodedFloat(double value) {
  ByteWriter out;
  EncodeKeyFloat(value, &out);
  return out.Take();
}

TEST(KeyDictionaryTest, ids_are_dense_in_order_of_insertion) {
  KeyDictionary keys(128);
  EXPECT_EQ(keys.LookupOrInsertInt(42), 0u);
  EXPECT_EQ(keys.LookupOrInsertString("a"), 1u);
  EXPECT_EQ(keys.LookupOrInsertEncoded(EncodedFloat(42)), 2u);
  EXPECT_EQ(keys.LookupOrInsertInt(42), 0u);
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys.live_keys(), 3);
  EXPECT_EQ(keys.FormOf(0), KeyDictionary::Form::kInt);
  EXPECT_EQ(keys.IntOf(0), 42);
  EXPECT_EQ(keys.FormOf(1), KeyDictionary::Form::kString);
  EXPECT_EQ(keys.BytesOf(1), "a");
  EXPECT_EQ(keys.FormOf(2), KeyDictionary::Form::kEncoded);
  EXPECT_EQ(keys.EncodedKey(2), EncodedFloat(42));
}

TEST(KeyDictionaryTest, encoded_ints_and_strings_meet_the_fast_tables) {
  KeyDictionary keys(128);
  const KeyId number = keys.LookupOrInsertInt(-7);
  const KeyId text = keys.LookupOrInsertString("text");
  EXPECT_EQ(keys.LookupOrInsertEncoded(keys.EncodedKey(number)), number);
  EXPECT_EQ(keys.LookupEncoded(keys.EncodedKey(text)), text);
  EXPECT_EQ(keys.LookupEncoded(EncodedFloat(1)), kNoKey);
  EXPECT_EQ(keys.size(), 2u);
}

TEST(KeyDictionaryTest, key_group_is_that_of_the_canonical_bytes) {
  KeyDictionary keys(128);
  for (const KeyId id : {keys.LookupOrInsertInt(123456789), keys.LookupOrInsertString("word"),
                         keys.LookupOrInsertEncoded(EncodedFloat(0.5))}) {
    EXPECT_EQ(keys.KeyGroupOf(id), KeyGroupOf(keys.EncodedKey(id), 128));
  }
}

TEST(KeyDictionaryTest, prefix_and_compare_order_as_canonical_bytes_do) {
  KeyDictionary keys(128);
  std::mt19937_64 random(3);
  // The first length of two bytes, and the next one that begins with the same byte.
  for (const size_t size : {128, 256}) keys.LookupOrInsertString(std::string(size, 'a'));
  for (int i = 0; i < 60; ++i) {
    keys.LookupOrInsertInt(static_cast<int64_t>(random() >> (random() % 64)));
    keys.LookupOrInsertString(std::string(random() % 300, 'a' + random() % 3));
    keys.LookupOrInsertString("same-prefix-" + std::to_string(random() % 100));
    keys.LookupOrInsertEncoded(EncodedFloat(static_cast<double>(random() % 9)));
  }
  for (KeyId a = 0; a < keys.size(); ++a) {
    for (KeyId b = 0; b < keys.size(); ++b) {
      const int expected = keys.EncodedKey(a).compare(keys.EncodedKey(b));
      ASSERT_EQ(keys.Compare(a, b) < 0, expected < 0);
      ASSERT_EQ(keys.Compare(a, b) == 0, expected == 0);
      if (keys.Prefix(a) != keys.Prefix(b)) {
        ASSERT_EQ(keys.Prefix(a) < keys.Prefix(b), expected < 0);
      }
    }
  }
}

TEST(KeyDictionaryTest, batches_of_every_integer_width_give_the_same_ids) {
  KeyDictionary keys(128);
  for (const DataTypePtr& type : {Int8Type(), Int16Type(), Int32Type(), Int64Type()}) {
    auto made = ColumnBuilder::Make(type);
    ASSERT_TRUE(made.ok());
    for (const int64_t value : {5, -5, 100, 5}) (*made)->AppendInt(value);
    const ColumnPtr column = (*made)->Finish();
    KeyId ids[3];
    ASSERT_TRUE(keys.LookupOrInsertBatch(*column, 1, 3, ids).ok());
    EXPECT_EQ(ids[0], keys.LookupOrInsertInt(-5));
    EXPECT_EQ(ids[1], keys.LookupOrInsertInt(100));
    EXPECT_EQ(ids[2], keys.LookupOrInsertInt(5));
  }
  EXPECT_EQ(keys.size(), 3u);
}

TEST(KeyDictionaryTest, null_is_a_key_of_its_own) {
  KeyDictionary keys(128);
  auto ints = ColumnBuilder::Make(Int64Type());
  (*ints)->AppendInt(0);
  (*ints)->AppendNull();
  auto strings = ColumnBuilder::Make(StringType());
  (*strings)->AppendNull();
  (*strings)->AppendString("");
  KeyId of_ints[2];
  KeyId of_strings[2];
  ASSERT_TRUE(keys.LookupOrInsertBatch(*(*ints)->Finish(), 0, 2, of_ints).ok());
  ASSERT_TRUE(keys.LookupOrInsertBatch(*(*strings)->Finish(), 0, 2, of_strings).ok());
  EXPECT_EQ(of_ints[1], of_strings[0]);
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys.EncodedKey(of_ints[1]), std::string(1, '\0'));
}

TEST(KeyDictionaryTest, long_string_columns_with_nulls_are_looked_up_row_by_row) {
  auto made = ColumnBuilder::Make(StringType());
  std::vector<std::string> expected;
  for (int row = 0; row < 500; ++row) {
    if (row % 190 == 130) {
      (*made)->AppendNull();
      expected.push_back("None");
    } else {
      expected.push_back("key-" + std::to_string(row % 300));
      (*made)->AppendString(expected.back());
    }
  }
  KeyDictionary keys(128);
  std::vector<KeyId> ids(expected.size());
  ASSERT_TRUE(keys.LookupOrInsertBatch(*(*made)->Finish(), 0, 500, ids.data()).ok());
  std::map<std::string, KeyId> model;
  for (size_t row = 0; row < ids.size(); ++row) {
    ASSERT_EQ(model.try_emplace(expected[row], ids[row]).first->second, ids[row]) << row;
  }
  EXPECT_EQ(keys.size(), model.size());
}

TEST(KeyDictionaryTest, struct_and_float_columns_go_by_canonical_bytes) {
  KeyDictionary keys(128);
  auto floats = ColumnBuilder::Make(Float64Type());
  (*floats)->AppendFloat(0.0);
  (*floats)->AppendFloat(-0.0);
  KeyId ids[2];
  ASSERT_TRUE(keys.LookupOrInsertBatch(*(*floats)->Finish(), 0, 2, ids).ok());
  EXPECT_EQ(ids[0], ids[1]);
  auto pairs = ColumnBuilder::Make(StructType({{"a", Int64Type()}, {"b", StringType()}}));
  ASSERT_TRUE(pairs.ok());
  for (int i = 0; i < 2; ++i) {
    (*pairs)->children()[0]->AppendInt(1);
    (*pairs)->children()[1]->AppendString("x");
    (*pairs)->CloseStruct();
  }
  ASSERT_TRUE(keys.LookupOrInsertBatch(*(*pairs)->Finish(), 0, 2, ids).ok());
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(keys.size(), 2u);
}

TEST(KeyDictionaryTest, dictionary_column_adds_only_values_that_rows_refer_to) {
  KeyDictionary keys(128);
  const ColumnPtr column =
      DictionaryOf<int32_t>(Int32Type(), {2, 0, 2}, Strings({"a", "unused", "b"}));
  KeyId ids[3];
  ASSERT_TRUE(keys.LookupOrInsertBatch(*column, 0, 3, ids).ok());
  EXPECT_EQ(keys.BytesOf(ids[0]), "b");
  EXPECT_EQ(keys.BytesOf(ids[1]), "a");
  EXPECT_EQ(ids[2], ids[0]);
  EXPECT_EQ(keys.size(), 2u);
}

TEST(KeyDictionaryTest, index_outside_of_the_dictionary_of_a_column_is_refused) {
  for (const int index : {-1, 2}) {
    KeyDictionary keys(128);
    const ColumnPtr column = DictionaryOf<int32_t>(Int32Type(), {index}, Strings({"a", "b"}));
    KeyId id = 0;
    EXPECT_EQ(keys.LookupOrInsertBatch(*column, 0, 1, &id).code(), StatusCode::kInvalidArgument);
  }
}

// Objects are pointers to their canonical bytes.
class TextHooks final : public ObjectHooks {
 public:
  void Drop(std::vector<Object>) override {}
  Status EncodeKey(Object value, std::string* out) override {
    if (value == nullptr) return Status::InvalidArgument("a list cannot be a key");
    out->append(*static_cast<std::string*>(value));
    return Status::Ok();
  }
  Status Encode(Object, ByteWriter*) override { return Status::Unimplemented("test"); }
  Result<Object> Decode(std::string_view) override { return Status::Unimplemented("test"); }
  Object Share(Object value) override { return value; }
  std::string Describe(Object) override { return "object"; }
};

TEST(KeyDictionaryTest, objects_are_encoded_by_their_hooks) {
  KeyDictionary keys(128);
  TextHooks hooks;
  ByteWriter seven;
  EncodeInt(7, &seven);
  std::string a = seven.Take();
  std::string b = EncodedFloat(1.5);
  auto block = std::make_shared<ObjectBlock>(&hooks, std::vector<Object>{&a, &a, &b, nullptr});
  const ColumnPtr column = Column::OfObjects(block);
  KeyId ids[4];
  ASSERT_TRUE(keys.LookupOrInsertBatch(*column, 0, 3, ids).ok());
  EXPECT_EQ(ids[0], keys.LookupOrInsertInt(7));
  EXPECT_EQ(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[0]);
  EXPECT_EQ(keys.LookupOrInsertBatch(*column, 0, 4, ids).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(keys.LookupOrInsertBatch(*column, 3, 1, ids).code(), StatusCode::kInvalidArgument);
}

TEST(KeyDictionaryTest, equals_a_map_while_it_grows) {
  KeyDictionary keys(128);
  std::mt19937_64 random(5);
  std::map<std::string, KeyId> words;
  std::map<int64_t, KeyId> numbers;
  for (int i = 0; i < 200'000; ++i) {
    const int64_t number = static_cast<int64_t>(random() % 50'000);
    const std::string word = "w" + std::to_string(random() % 50'000);
    const KeyId number_id = keys.LookupOrInsertInt(number);
    const KeyId word_id = keys.LookupOrInsertString(word);
    ASSERT_EQ(numbers.emplace(number, number_id).first->second, number_id);
    ASSERT_EQ(words.emplace(word, word_id).first->second, word_id);
  }
  EXPECT_EQ(keys.size(), numbers.size() + words.size());
}

Status Take(KeyDictionary* keys, uint64_t number) {
  TableMeta meta;
  meta.kind = TableKind::kDictionary;
  testing::SnapshotStore store;
  return store.Write(*keys->Snapshot(meta, number), false);
}

TEST(KeyDictionaryTest, released_id_is_used_again_only_after_its_checkpoint) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  const KeyId id = keys.LookupOrInsertString("a");
  keys.AddUse(id);
  ASSERT_TRUE(Take(&keys, 1).ok());
  keys.DropUse(id);
  keys.ReleaseIdle(100);
  EXPECT_EQ(keys.LookupEncoded(std::string("\x06\x01") + "a"), kNoKey);
  EXPECT_EQ(keys.LookupOrInsertString("b"), id + 1);
  ASSERT_TRUE(Take(&keys, 2).ok());  // holds the tombstone
  keys.OnCheckpointComplete(1);
  EXPECT_EQ(keys.LookupOrInsertString("c"), id + 2);
  keys.OnCheckpointComplete(2);
  EXPECT_EQ(keys.LookupOrInsertString("d"), id);
}

TEST(KeyDictionaryTest, id_that_no_snapshot_saw_is_free_at_once) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  ASSERT_TRUE(Take(&keys, 1).ok());
  const KeyId id = keys.LookupOrInsertInt(1);
  keys.ReleaseIdle(100);
  EXPECT_EQ(keys.live_keys(), 0);
  EXPECT_EQ(keys.LookupOrInsertInt(2), id);
}

TEST(KeyDictionaryTest, used_keys_stay_and_the_listener_hears_of_the_others) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  std::vector<KeyId> released;
  keys.SetReleaseListener([&](KeyId id) { released.push_back(id); });
  const KeyId used = keys.LookupOrInsertInt(1);
  keys.AddUse(used);
  keys.AddUse(used);
  keys.DropUse(used);
  const KeyId unused = keys.LookupOrInsertInt(2);
  keys.ReleaseIdle(100);
  EXPECT_EQ(released, std::vector<KeyId>{unused});
  EXPECT_TRUE(keys.live(used));
  keys.DropUse(used);
  keys.ReleaseIdle(100);
  EXPECT_FALSE(keys.live(used));
}

TEST(KeyDictionaryTest, restored_key_that_nothing_uses_is_released) {
  KeyDictionary written(128);
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  for (const int64_t number : {1, 2}) {
    const KeyId id = written.LookupOrInsertInt(number);
    ASSERT_TRUE(keys.RestoreKey(id, written.EncodedKey(id), written.KeyGroupOf(id)).ok());
  }
  keys.AddUse(0);
  keys.FinishRestore(/*clean=*/true);
  keys.ReleaseIdle(10);
  EXPECT_TRUE(keys.live(0));
  EXPECT_FALSE(keys.live(1));
}

TEST(KeyDictionaryTest, no_more_keys_are_released_than_asked_for) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  for (int64_t key = 0; key < 5; ++key) keys.LookupOrInsertInt(key);
  keys.ReleaseIdle(2);
  EXPECT_EQ(keys.live_keys(), 3);
}

TEST(KeyDictionaryTest, a_release_looks_at_eight_keys_for_each_it_may_release) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  for (int64_t key = 0; key < 8; ++key) keys.AddUse(keys.LookupOrInsertInt(key));
  const KeyId unused = keys.LookupOrInsertInt(8);
  keys.ReleaseIdle(1);
  EXPECT_TRUE(keys.live(unused));
  keys.ReleaseIdle(1);
  EXPECT_FALSE(keys.live(unused));
}

TEST(KeyDictionaryTest, memory_of_churning_keys_is_given_back) {
  KeyDictionary keys(128);
  keys.TrackIdleKeys();
  int64_t after_first = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 5000; ++i) {
      keys.LookupOrInsertString("key-" + std::to_string(round) + "-" + std::to_string(i));
    }
    keys.ReleaseIdle(1'000'000);
    ASSERT_EQ(keys.live_keys(), 0);
    if (round == 0) after_first = keys.memory_bytes();
  }
  EXPECT_LT(keys.memory_bytes(), after_first + 200'000);
}

}  // namespace
}  // namespace headrace
