// Keys that no state uses any more leave a running job, and only while no operator holds their ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "runtime/job_test_graph.h"

namespace headrace {
namespace {

struct Observed {
  std::atomic<int64_t> rows{0};
  std::atomic<int64_t> live_keys_max{0};
  std::atomic<int64_t> ids{0};
  std::atomic<int64_t> blocked{0};
  std::atomic<int64_t> wrong_ids{0};
};

// Keeps one value a key and clears it with the same row. Gives a row for each row, so that it stops
// in the middle of batches while it holds the ids of the rest.
class VisitOperator final : public Operator {
 public:
  explicit VisitOperator(std::shared_ptr<Observed> observed) : observed_(std::move(observed)) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    HR_ASSIGN_OR_RETURN(seen_, context.keyed_state->RegisterFixed("seen", "value<int64>", 8));
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    KeyDictionary& keys = context().keyed_state->keys();
    if (row_ == 0) {
      ids_.resize(batch.num_rows);
      HR_RETURN_IF_ERROR(keys.LookupOrInsertBatch(*batch.key, 0, batch.num_rows, ids_.data()));
    }
    for (; row_ < batch.num_rows; ++row_) {
      if (out.RoomRows() == 0) {
        ++observed_->blocked;
        return Progress::kBlocked;
      }
      const TestRow row = TestRowAt(batch, row_);
      const KeyId id = ids_[row_];
      if (keys.IntOf(id) != row.y || seen_->Has(id)) ++observed_->wrong_ids;
      seen_->Set<int64_t>(id, row.y);
      seen_->Clear(id);
      out.Emit(MakeTestBatch({row}));
    }
    observed_->rows += batch.num_rows;
    observed_->live_keys_max = std::max<int64_t>(observed_->live_keys_max, keys.live_keys());
    observed_->ids = keys.size();
    row_ = 0;
    return Progress::kDone;
  }

 private:
  const std::shared_ptr<Observed> observed_;
  FixedValueState* seen_ = nullptr;
  std::vector<KeyId> ids_;
  int64_t row_ = 0;
};

TEST(KeyReleaseTest, KeysWithoutStateLeaveBetweenBatchesAndNoIdIsTakenFromAnOperator) {
  constexpr int64_t kRows = 200'000;
  constexpr int64_t kLiveMax = 20'000;
  const auto observed = std::make_shared<Observed>();
  JobTestGraph graph;
  TestSourceSpec rows;
  rows.rows_per_split = kRows;
  const int source = graph.Source(rows);
  const int key_by = graph.Add("key_by", TestKeyBy(3), {JobTestGraph::From(source)});
  const int visit =
      graph.Add("visit", NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
                  return std::unique_ptr<Operator>(std::make_unique<VisitOperator>(observed));
                }),
                {JobTestGraph::From(key_by, Partitioning::kHash)});
  graph.graph.nodes[visit].keyed = true;
  graph.Add("sink", RecordingSink(std::make_shared<SeenElements>()),
            {JobTestGraph::From(visit, Partitioning::kRebalance)});
  JobOptions options;
  options.name = "churn";
  options.channel_rows = 64;

  Result<std::unique_ptr<Job>> job = graph.Create(options);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  ASSERT_TRUE((*job)->Start().ok());
  ASSERT_TRUE((*job)->WaitFor(120'000));
  ASSERT_TRUE((*job)->result().status.ok()) << (*job)->result().status.ToString();

  EXPECT_EQ(observed->rows, kRows);
  EXPECT_EQ(observed->wrong_ids, 0);
  EXPECT_GT(observed->blocked, 0) << "the operator never held ids over a call";
  EXPECT_LT(observed->live_keys_max, kLiveMax);
  EXPECT_LT(observed->ids, kLiveMax) << "ids are not used again";
}

}  // namespace
}  // namespace headrace
