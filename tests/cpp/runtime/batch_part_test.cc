#include "headrace/runtime/batch_part.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "testing/test_rows.h"

namespace headrace {
namespace {

RecordBatch Keys(int64_t from, int64_t to) {
  std::vector<TestRow> rows;
  for (int64_t key = from; key < to; ++key) rows.push_back({0, key, 0, 0, 2 * key});
  return MakeTestBatch(rows, 1);
}

BatchPart Part(RecordBatch batch, const std::vector<int32_t>& rows) {
  BatchPart part;
  part.batch = std::move(batch);
  part.num_rows = static_cast<int64_t>(rows.size());
  auto buffer = Buffer::Allocate(rows.size() * sizeof(int32_t));
  std::memcpy(buffer->mutable_data(), rows.data(), rows.size() * sizeof(int32_t));
  part.rows = buffer;
  return part;
}

std::vector<int64_t> KeysOf(const RecordBatch& batch) {
  std::vector<int64_t> keys;
  for (int64_t i = 0; i < batch.num_rows; ++i) {
    EXPECT_EQ(TestRowAt(batch, i).time, 2 * TestRowAt(batch, i).key);
    keys.push_back(batch.key->Values<int64_t>()[i]);
  }
  return keys;
}

TEST(BatchPart, PartsBecomeOneBatchInTheirOrder) {
  BatchPart whole;
  whole.batch = Keys(100, 102);
  whole.num_rows = 2;
  const auto taken = TakeParts({Part(Keys(0, 10), {1, 2, 7}), whole, Part(Keys(50, 60), {9})});
  ASSERT_TRUE(taken.ok());
  ASSERT_EQ(taken->size(), 1u);
  EXPECT_EQ(KeysOf((*taken)[0]), (std::vector<int64_t>{1, 2, 7, 100, 101, 59}));
  EXPECT_EQ((*taken)[0].key, (*taken)[0].columns[1]);
}

TEST(BatchPart, WholeBatchIsNotCopied) {
  BatchPart whole;
  whole.batch = Keys(0, 10);
  whole.num_rows = 10;
  const auto taken = TakeParts({whole});
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ((*taken)[0].columns, whole.batch.columns);
}

TEST(BatchPart, HasItsShareOfTheBytes) {
  const RecordBatch batch = Keys(0, 10);
  BatchPart whole;
  whole.batch = batch;
  whole.num_rows = 10;
  EXPECT_EQ(whole.SizeBytes(), batch.SizeBytes());
  EXPECT_EQ(Part(batch, {3, 4}).SizeBytes(), batch.SizeBytes() / 5);
}

}  // namespace
}  // namespace headrace
