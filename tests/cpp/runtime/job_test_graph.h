#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "headrace/runtime/job.h"
#include "testing/test_operators.h"
#include "testing/test_source.h"

namespace headrace {

/// Graphs for job tests in a few words: every node has TestRows and, unless said, parallelism 1.
class JobTestGraph {
 public:
  int Source(const TestSourceSpec& spec, int parallelism = 1) {
    const int id = Add("source", nullptr, {}, parallelism);
    graph.nodes[id].source = TestSource(spec);
    return id;
  }
  int Add(const std::string& kind, OperatorFactoryPtr op, std::vector<StreamEdge> inputs,
          int parallelism = 1) {
    StreamNode node;
    node.id = static_cast<int>(graph.nodes.size());
    node.name = kind;
    node.kind = kind;
    node.op = std::move(op);
    node.inputs = std::move(inputs);
    node.output_schema = TestRowSchema();
    node.parallelism = parallelism;
    graph.nodes.push_back(std::move(node));
    return graph.nodes.back().id;
  }
  static StreamEdge From(int node, Partitioning partitioning = Partitioning::kForward) {
    StreamEdge edge;
    edge.from = node;
    edge.partitioning = partitioning;
    return edge;
  }
  Result<std::unique_ptr<Job>> Create(JobOptions options) const {
    HR_ASSIGN_OR_RETURN(JobGraph built, BuildJobGraph(graph, options.chaining));
    return Job::Create(std::move(built), std::move(options));
  }

  StreamGraph graph;
};

/// What a sink saw, from any subtask: "x" of rows and "w<watermark>". Threading: thread-safe.
struct SeenElements {
  std::mutex mutex;
  std::vector<TestRow> rows;
  std::vector<TimestampMs> watermarks;
  std::atomic<int64_t> count{0};
};

/// A sink that records; `on_batch` (may be empty) runs first and may fail or take its time.
inline OperatorFactoryPtr RecordingSink(std::shared_ptr<SeenElements> seen,
                                        std::function<Status()> on_batch = nullptr) {
  class Sink final : public Operator {
   public:
    Sink(std::shared_ptr<SeenElements> seen, std::function<Status()> on_batch)
        : seen_(std::move(seen)), on_batch_(std::move(on_batch)) {}
    Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
      if (on_batch_) HR_RETURN_IF_ERROR(on_batch_());
      seen_->count += batch.num_rows;
      std::lock_guard lock(seen_->mutex);
      if (seen_->rows.size() > 100'000) return Progress::kDone;
      for (int64_t i = 0; i < batch.num_rows; ++i) seen_->rows.push_back(TestRowAt(batch, i));
      return Progress::kDone;
    }
    Result<Progress> OnWatermark(TimestampMs watermark, Output&) override {
      std::lock_guard lock(seen_->mutex);
      seen_->watermarks.push_back(watermark);
      return Progress::kDone;
    }

   private:
    std::shared_ptr<SeenElements> seen_;
    std::function<Status()> on_batch_;
  };
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<Sink>(seen, on_batch));
  });
}

}  // namespace headrace
