#include "headrace/operators/key_column_builder.h"

#include <gtest/gtest.h>

#include "headrace/operators/encoded_value.h"
#include "types/column_of.h"

namespace headrace {
namespace {

TEST(EncodedValue, GivesBackEveryNativeType) {
  for (const DataTypePtr& type : NativeTypes()) {
    for (uint32_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(type->ToString());
      const ColumnPtr column = RandomColumn(type, 50, seed);
      auto builder = ColumnBuilder::Make(type).value();
      for (int64_t row = 0; row < column->length; ++row) {
        ByteWriter encoded;
        ASSERT_TRUE(EncodeColumnValue(*column, row, /*as_key=*/false, &encoded).ok());
        ByteReader in(encoded.view());
        const Status status = AppendEncodedValue(*type, nullptr, &in, builder.get());
        ASSERT_TRUE(status.ok()) << status.ToString();
        ASSERT_TRUE(in.done());
      }
      EXPECT_EQ(Texts(*builder->Finish()), Texts(*column));
    }
  }
}

TEST(EncodedValue, GivesBackDecimalsOfAnySizeAndSign) {
  const auto type = std::make_shared<const DataType>(TypeKind::kDecimal128, "d:38,12");
  auto builder = ColumnBuilder::Make(type).value();
  for (const int64_t low : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{-1250000},
                            int64_t{99999999999999}, INT64_MAX, INT64_MIN}) {
    const int64_t words[2] = {low, low < 0 ? -1 : 0};
    builder->AppendFixedBytes({reinterpret_cast<const char*>(words), 16});
  }
  const ColumnPtr column = builder->Finish();
  for (int64_t row = 0; row < column->length; ++row) {
    ByteWriter encoded;
    ASSERT_TRUE(EncodeColumnValue(*column, row, true, &encoded).ok());
    ByteReader in(encoded.view());
    ASSERT_TRUE(AppendEncodedValue(*type, nullptr, &in, builder.get()).ok());
  }
  const ColumnPtr back = builder->Finish();
  EXPECT_EQ(Texts(*back), Texts(*column));
  EXPECT_EQ(std::memcmp(back->values->data(), column->values->data(), 16 * 7), 0);
}

TEST(EncodedValue, RefusesBytesOfAnotherTypeAndCutOffBytes) {
  ByteWriter text;
  EncodeStr("some text", &text);
  auto ints = ColumnBuilder::Make(Int64Type()).value();
  ByteReader wrong(text.view());
  EXPECT_EQ(AppendEncodedValue(*Int64Type(), nullptr, &wrong, ints.get()).code(),
            StatusCode::kCorruption);
  auto strings = ColumnBuilder::Make(StringType()).value();
  for (size_t size = 0; size < text.size(); ++size) {
    ByteReader cut(text.view().substr(0, size));
    EXPECT_EQ(AppendEncodedValue(*StringType(), nullptr, &cut, strings.get()).code(),
              StatusCode::kCorruption);
  }
}

TEST(KeyColumnBuilder, RebuildsKeysOfEveryNativeTypeFromADictionary) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = RandomColumn(type, 40, 7);
    KeyDictionary keys(128);
    std::vector<KeyId> ids(40);
    if (!keys.LookupOrInsertBatch(*column, 0, 40, ids.data()).ok()) continue;
    auto builder = KeyColumnBuilder::Make({Field{"key", type, true}}, nullptr).value();
    for (const KeyId id : ids) ASSERT_TRUE(builder->Append(keys, id).ok());
    const KeyColumnBuilder::Finished finished = builder->Finish();
    EXPECT_EQ(Texts(*finished.key), Texts(*column));
    EXPECT_EQ(finished.columns[0], finished.key);
  }
}

TEST(KeyColumnBuilder, RebuildsStructKeysFieldByField) {
  const std::vector<Field> fields = {{"a", Int64Type(), true}, {"b", StringType(), true}};
  auto key = std::make_shared<Column>();
  key->type = StructType(fields);
  key->length = 3;
  key->children = {Int64s({1, std::nullopt, 3}), Strings({"x", "y", std::nullopt})};
  KeyDictionary keys(128);
  std::vector<KeyId> ids(3);
  ASSERT_TRUE(keys.LookupOrInsertBatch(*key, 0, 3, ids.data()).ok());
  auto builder = KeyColumnBuilder::Make(fields, nullptr).value();
  for (const KeyId id : ids) ASSERT_TRUE(builder->Append(keys, id).ok());
  const KeyColumnBuilder::Finished finished = builder->Finish();
  EXPECT_EQ(Texts(*finished.key), Texts(*key));
  ASSERT_EQ(finished.columns.size(), 2u);
  EXPECT_EQ(Texts(*finished.columns[1]), Texts(*key->children[1]));
}

}  // namespace
}  // namespace headrace
