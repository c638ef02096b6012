#include "headrace/runtime/batch_concat.h"

#include <gtest/gtest.h>

#include "testing/test_objects.h"
#include "testing/test_rows.h"

namespace headrace {
namespace {

TEST(BatchConcatTest, KeepsRowsTimesAndTheKeyAsColumn) {
  const RecordBatch batch = *ConcatBatches(
      {MakeTestBatch({{1, 2, 3, 4, 5}}, 1), MakeTestBatch({{6, 7, 8, 9, 10}, {0, 1, 0, 1, 0}}, 1)});
  ASSERT_EQ(batch.num_rows, 3);
  EXPECT_EQ(TestRowAt(batch, 1), (TestRow{6, 7, 8, 9, 10}));
  EXPECT_EQ(batch.key, batch.columns[1]);
}

// Objects whose fan-out copies are told apart.
class CopyCountingObjects final : public TestObjects {
 public:
  Result<Object> CopyForFanOut(Object value) override {
    ++copies;
    return Share(value);
  }
  int copies = 0;
};

TEST(BatchConcatTest, CopyMutableObjectsAsksTheHostForEachValueAndLeavesNativeColumnsAlone) {
  CopyCountingObjects objects;
  {
    TestObjects::HostLock lock(&objects);
    RecordBatch batch = MakeTestBatch({{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}});
    batch.columns[0] = Column::OfObjects(std::make_shared<const ObjectBlock>(
        &objects, std::vector<Object>{objects.Int(1), objects.Str("two")}));
    {
      const RecordBatch copy = *CopyMutableObjects(batch);
      EXPECT_EQ(objects.copies, 2);
      EXPECT_EQ(copy.columns[1], batch.columns[1]);
      EXPECT_NE(copy.columns[0], batch.columns[0]);
      EXPECT_EQ(objects.Text(copy.columns[0]->ObjectAt(1)), "'two'");
    }
  }
  EXPECT_EQ(objects.live(), 0);
}

}  // namespace
}  // namespace headrace
