#include <gtest/gtest.h>

#include <thread>

#include "headrace/types/batch.h"
#include "headrace/types/key_codec.h"
#include "testing/test_objects.h"
#include "types/column_of.h"

namespace headrace {
namespace {

ColumnPtr ObjectInts(TestObjects* objects, int64_t start, int64_t count) {
  std::vector<Object> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(objects->Int(start + i));
  return Column::OfObjects(std::make_shared<ObjectBlock>(objects, std::move(values)));
}

TEST(ObjectColumn, SliceAndTakeShareTheBlockAndTouchNoValue) {
  TestObjects objects;
  ColumnPtr column;
  {
    TestObjects::HostLock lock(&objects);
    column = ObjectInts(&objects, 0, 10);
  }
  // No lock: the hooks would abort if a value were touched.
  const ColumnPtr slice = Column::Slice(column, 2, 6);
  const std::vector<int32_t> rows = {5, 0, 3};
  const ColumnPtr taken = *Column::Take(slice, rows.data(), 3);
  const std::vector<int32_t> again = {2, 1};
  const ColumnPtr twice = *Column::Take(Column::Slice(taken, 0, 3), again.data(), 2);
  const ColumnPtr joined = *Column::Concat({taken, Column::Slice(slice, 1, 2)});
  EXPECT_EQ(taken->objects, column->objects);
  EXPECT_EQ(joined->objects, column->objects);
  TestObjects::HostLock lock(&objects);
  EXPECT_EQ(Texts(*slice), (std::vector<std::string>{"2", "3", "4", "5", "6", "7"}));
  EXPECT_EQ(Texts(*taken), (std::vector<std::string>{"7", "2", "5"}));
  EXPECT_EQ(Texts(*twice), (std::vector<std::string>{"5", "2"}));
  EXPECT_EQ(Texts(*joined), (std::vector<std::string>{"7", "2", "5", "3", "4"}));
  EXPECT_EQ(objects.live(), 10);
}

TEST(ObjectColumn, BlockIsDroppedOnceWhenTheLastColumnGoes) {
  TestObjects objects;
  ColumnPtr slice;
  {
    TestObjects::HostLock lock(&objects);
    slice = Column::Slice(ObjectInts(&objects, 0, 5), 1, 2);
  }
  EXPECT_EQ(objects.live(), 5);
  EXPECT_EQ(objects.queued(), 0u);
  std::thread([moved = std::move(slice)]() mutable { moved.reset(); }).join();
  EXPECT_EQ(objects.queued(), 1u);
  EXPECT_EQ(objects.live(), 5);
  TestObjects::HostLock lock(&objects);
  EXPECT_EQ(objects.live(), 0);
}

TEST(ObjectColumn, ConcatOfTwoBlocksSharesTheValues) {
  TestObjects objects;
  TestObjects::HostLock lock(&objects);
  const ColumnPtr nulls = *Column::OfNulls(ObjectType(), 2);
  ColumnPtr joined = *Column::Concat(
      {ObjectInts(&objects, 0, 2), nulls, Column::Slice(ObjectInts(&objects, 5, 3), 1, 2)});
  EXPECT_EQ(Texts(*joined), (std::vector<std::string>{"0", "1", "None", "None", "6", "7"}));
  // Two ints and two Nones and two ints; the 5 died with its block.
  EXPECT_EQ(objects.live(), 6);
  joined.reset();
  EXPECT_EQ(objects.live(), 0);
}

TEST(ObjectColumn, BuilderGivesUpUnfinishedValues) {
  TestObjects objects;
  TestObjects::HostLock lock(&objects);
  {
    auto builder = ColumnBuilder::Make(ObjectType()).value();
    builder->AppendNull();
    builder->AppendObject(objects.Str("a"), &objects);
    EXPECT_EQ(objects.live(), 1);
  }
  EXPECT_EQ(objects.live(), 0);
}

TEST(ObjectColumn, KeysHaveTheSameFormAsThoseOfTypedColumns) {
  TestObjects objects;
  TestObjects::HostLock lock(&objects);
  std::vector<Object> values = {objects.Int(7), objects.Str("x"), objects.None()};
  const ColumnPtr column =
      Column::OfObjects(std::make_shared<ObjectBlock>(&objects, std::move(values)));
  KeyView view(*column);
  Key key;
  ASSERT_TRUE(view.Read(0, &key).ok());
  EXPECT_TRUE(key == Key::OfInt(7));
  ASSERT_TRUE(view.Read(1, &key).ok());
  EXPECT_TRUE(key == Key::OfStr("x"));
  ASSERT_TRUE(view.Read(2, &key).ok());
  EXPECT_EQ(key.form, KeyForm::kBytes);
}

TEST(ObjectColumnDeathTest, TouchingAValueWithoutTheLockAborts) {
  TestObjects objects;
  Object value = nullptr;
  {
    TestObjects::HostLock lock(&objects);
    value = objects.Int(1);
  }
  EXPECT_DEATH(objects.Share(value), "lock_held");
  objects.Drop({value});
}

}  // namespace
}  // namespace headrace
