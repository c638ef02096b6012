#include "headrace/types/column_builder.h"

#include <gtest/gtest.h>

#include "types/column_of.h"

namespace headrace {
namespace {

TEST(ColumnBuilder, AppendFromCopiesEveryTypeAndTheBuilderIsReusable) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    const ColumnPtr column = Column::Slice(RandomColumn(type, 700, 1), 13, 680);
    auto builder = ColumnBuilder::Make(type).value();
    for (int round = 0; round < 2; ++round) {
      for (int64_t i = 0; i < column->length; ++i) builder->AppendFrom(*column, i);
      EXPECT_EQ(builder->length(), column->length);
      const ColumnPtr copy = builder->Finish();
      EXPECT_EQ(Texts(*copy), Texts(*column));
      EXPECT_EQ(builder->length(), 0);
    }
    EXPECT_EQ(builder->Finish()->length, 0);
  }
}

TEST(ColumnBuilder, ColumnWithoutNullsHasNoValidityBitmap) {
  EXPECT_EQ(Int64s({1, 2, 3})->validity, nullptr);
  EXPECT_EQ(Strings({"a"})->validity, nullptr);
  const ColumnPtr late_null = Int64s({1, 2, 3, 4, 5, 6, 7, 8, 9, std::nullopt});
  ASSERT_NE(late_null->validity, nullptr);
  for (int64_t i = 0; i < 9; ++i) EXPECT_FALSE(late_null->IsNull(i));
  EXPECT_TRUE(late_null->IsNull(9));
}

TEST(ColumnBuilder, AppendFromReadsThroughDictionaries) {
  const ColumnPtr column =
      DictionaryOf<int32_t>(Int32Type(), {1, std::nullopt, 0}, Strings({"a", "b"}));
  auto builder = ColumnBuilder::Make(StringType()).value();
  for (int64_t i = 0; i < 3; ++i) builder->AppendFrom(*column, i);
  EXPECT_EQ(Texts(*builder->Finish()), (std::vector<std::string>{"'b'", "None", "'a'"}));
}

TEST(ColumnBuilder, ForeignAndDictionaryTypesAreRefused) {
  const auto foreign = std::make_shared<const DataType>(TypeKind::kForeign, "vu");
  EXPECT_EQ(ColumnBuilder::Make(foreign).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ColumnBuilder::Make(ListType({"item", foreign, true})).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(ColumnBuilderDeathTest, AppendOfAnotherTypeAborts) {
  auto builder = ColumnBuilder::Make(StringType()).value();
  EXPECT_DEATH(builder->AppendInt(1), "AppendInt");
}

}  // namespace
}  // namespace headrace
