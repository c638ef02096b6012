#include "headrace/runtime/task.h"

#include <gtest/gtest.h>

#include <limits>

#include "testing/sim_env.h"
#include "testing/test_operators.h"

namespace headrace {
namespace {

class SnapshotHost final : public TaskHost {
 public:
  void OnOpened() override {}
  bool all_open() const override { return true; }
  void OnSnapshot(CheckpointId id, TaskSnapshot snapshot) override {
    snapshots.emplace_back(id, std::move(snapshot));
  }
  void OnFinished(std::vector<PendingRename>) override {}

  BarrierRequest RequestOf(CheckpointId) const override { return request; }

  std::vector<std::pair<CheckpointId, TaskSnapshot>> snapshots;
  BarrierRequest request;
};

// Emits a row at every millisecond of processing time.
class Ticking final : public Operator {
 public:
  Result<Progress> Process(const RecordBatch&, int, Output&) override { return Progress::kDone; }
  TimestampMs NextProcessingTime() override { return next_ms_; }
  Result<Progress> OnProcessingTime(TimestampMs now, Output& out) override {
    next_ms_ = now + 1;
    out.Emit(MakeTestBatch({{0, now, 1, 1, 10}}, 1));
    return Progress::kDone;
  }

 private:
  TimestampMs next_ms_ = 0;
};

ChainNodeSpec NodeSpec(Env* env, std::string kind, OperatorFactoryPtr factory, bool keyed) {
  ChainNodeSpec spec;
  spec.context.name = kind;
  spec.context.uid = kind;
  spec.context.env = env;
  spec.context.batch_rows = 4;
  spec.kind = std::move(kind);
  spec.factory = std::move(factory);
  spec.keyed = keyed;
  spec.state_memory_budget_bytes = 1 << 20;
  spec.metrics = std::make_shared<TaskMetrics>();
  return spec;
}

void StepUntilIdle(Task* task) {
  for (int i = 0; i < 100; ++i) {
    const Result<Task::Outcome> outcome = task->Step();
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    if (*outcome != Task::Outcome::kProgress) return;
  }
  FAIL() << "the task does not come to rest";
}

TEST(TaskTest, BarrierOvertakesAnAbandonedOneThatIsStuckInTheChain) {
  SimEnv env(1);
  SnapshotHost host;
  auto in = std::make_shared<Channel>(100, 1 << 20);
  auto out = std::make_shared<Channel>(1, 1 << 20);
  Task task(0, "chain", &host, &env);
  ChainNode* keyed = task.AddNode(NodeSpec(&env, "keyed", TestKeyed({}), true));
  ChainNode* map = task.AddNode(NodeSpec(&env, "map", TestMap(1), false));
  keyed->AddReader("", map);
  map->AddReader("", task.AddWriter({}, {out}));
  task.SetInputs({{in, 0}});

  // The rows of the first batch fill the channel, those of the second stay between the operators.
  for (int64_t batch = 0; batch < 2; ++batch) {
    in->Push(StreamElement::Batch(MakeTestBatch({{0, batch, 1, 1, 10}, {0, 7, 1, 1, 20}}, 1)));
  }
  in->Push(StreamElement::Barrier(1));
  StepUntilIdle(&task);
  ASSERT_TRUE(host.snapshots.empty());
  in->Push(StreamElement::Barrier(2));
  StepUntilIdle(&task);

  for (StreamElement element; out->Pop(&element);) StepUntilIdle(&task);
  ASSERT_EQ(host.snapshots.size(), 1u);
  EXPECT_EQ(host.snapshots[0].first, 2u);
  EXPECT_EQ(host.snapshots[0].second.operators.size(), 2u);
  host.snapshots.clear();
  EXPECT_TRUE(task.Close().ok());
}

TEST(TaskTest, NothingIsEmittedBehindASuspendingBarrierUntilTheTaskResumes) {
  SimEnv env(1);
  SnapshotHost host;
  auto in = std::make_shared<Channel>(100, 1 << 20);
  auto out = std::make_shared<Channel>(100, 1 << 20);
  Task task(0, "ticking", &host, &env);
  ChainNode* node = task.AddNode(
      NodeSpec(&env, "ticking", NativeOperator([](int) -> Result<std::unique_ptr<Operator>> {
        return std::unique_ptr<Operator>(std::make_unique<Ticking>());
      }),
               false));
  node->AddReader("", task.AddWriter({}, {out}));
  task.SetInputs({{in, 0}});
  StepUntilIdle(&task);
  StreamElement element;
  ASSERT_TRUE(out->Pop(&element)) << "a tick";

  host.request.suspend = true;
  in->Push(StreamElement::Barrier(1));
  StepUntilIdle(&task);
  ASSERT_EQ(host.snapshots.size(), 1u);
  ASSERT_TRUE(out->Pop(&element));
  EXPECT_EQ(element.kind, StreamElement::Kind::kBarrier);
  env.clock().AdvanceMs(1000);
  StepUntilIdle(&task);
  EXPECT_FALSE(out->Pop(&element)) << "the tick of a suspended task";
  EXPECT_EQ(task.next_wake_ns(), std::numeric_limits<int64_t>::max());

  task.Resume();
  StepUntilIdle(&task);
  EXPECT_TRUE(out->Pop(&element));
  EXPECT_EQ(element.kind, StreamElement::Kind::kBatch);
  host.snapshots.clear();
  EXPECT_TRUE(task.Close().ok());
}

}  // namespace
}  // namespace headrace
