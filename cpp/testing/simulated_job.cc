#include "testing/simulated_job.h"

#include <algorithm>
#include <utility>

namespace headrace {

namespace {

constexpr int kMaxParallelism = 4;

int DrawParallelism(SimRandom* random) {
  return 1 + static_cast<int>(random->Below(kMaxParallelism));
}

// Adds nodes with what every node has.
class Builder {
 public:
  Builder(const SimulatedJob& job, SimRandom* parallelism) : job_(job), parallelism_(parallelism) {}

  int Add(std::string kind, OperatorFactoryPtr op, std::vector<StreamEdge> inputs) {
    StreamNode node;
    node.id = static_cast<int>(graph.nodes.size());
    node.kind = kind;
    node.name = kind + std::to_string(node.id);
    node.op = std::move(op);
    node.max_parallelism = job_.max_parallelism;
    node.parallelism = DrawParallelism(parallelism_);
    node.output_schema = TestRowSchema();
    for (StreamEdge& edge : inputs) {
      // Forward needs equal parallelism, which only rebalance makes up for.
      if (edge.partitioning == Partitioning::kForward &&
          graph.nodes[edge.from].parallelism != node.parallelism) {
        edge.partitioning = Partitioning::kRebalance;
      }
    }
    node.inputs = std::move(inputs);
    graph.nodes.push_back(std::move(node));
    return graph.nodes.back().id;
  }
  int AddSource(const TestSourceSpec& spec, int64_t bound_ms) {
    const int id = Add("source", nullptr, {});
    StreamNode& node = graph.nodes[id];
    node.source = TestSource(spec);
    node.source_options.watermarks.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
    node.source_options.watermarks.bound_ms = bound_ms;
    node.source_options.watermarks.stride_rows = 8;
    return id;
  }

  StreamGraph graph;

 private:
  const SimulatedJob& job_;
  SimRandom* parallelism_;
};

StreamEdge Edge(int from, Partitioning partitioning = Partitioning::kForward,
                std::string side_tag = "") {
  StreamEdge edge;
  edge.from = from;
  edge.partitioning = partitioning;
  edge.side_tag = std::move(side_tag);
  return edge;
}

}  // namespace

SimulatedJob SimulatedJob::Random(SimRandom* random) {
  SimulatedJob job;
  const int sources = 1 + static_cast<int>(random->Below(2));
  int64_t disorder_ms = static_cast<int64_t>(random->Below(3)) * 40;
  for (int i = 0; i < sources; ++i) {
    TestSourceSpec source;
    source.seed = random->Next() >> 8;
    source.splits = 1 + static_cast<int>(random->Below(5));
    source.rows_per_split = 1 + static_cast<int64_t>(random->Below(600));
    source.keys = 1 + static_cast<int64_t>(random->Below(40));
    source.disorder_ms = disorder_ms;
    source.nothing_odds = random->Below(2) == 0 ? 0 : 0.1;
    source.random_polls = true;
    job.sources.push_back(source);
  }
  job.watermark_bound_ms = disorder_ms;
  job.filter_modulus = 2 + static_cast<int64_t>(random->Below(5));
  job.side_sink = random->Below(2) == 0;
  // Late rows only where one keyed step reads them: what they are is not known before the run.
  const bool late_rows = random->Below(3) == 0;
  const int keyed = late_rows ? 1 : 1 + static_cast<int>(random->Below(2));
  for (int i = 0; i < keyed; ++i) {
    TestKeyedSpec spec;
    spec.step = i + 1;
    spec.window_ms = 20 * (1 + static_cast<int64_t>(random->Below(20)));
    spec.count_every = 1 + static_cast<int64_t>(random->Below(4));
    spec.key_column = i == 0 ? 1 : 1 + static_cast<int>(random->Below(2));
    spec.takes_late = late_rows;
    job.keyed.push_back(spec);
  }
  for (TestSourceSpec& source : job.sources) source.straggler_ms = late_rows ? 2000 : 0;
  for (int i = 0; i < 2; ++i) {
    job.sink_partitioning.push_back(random->Below(2) == 0 ? Partitioning::kForward
                                                          : Partitioning::kRebalance);
  }
  constexpr int kMax[] = {4, 7, 128};
  job.max_parallelism = kMax[random->Below(3)];
  return job;
}

Result<JobGraph> SimulatedJob::Build(SimRandom* parallelism, bool failures, bool chaining) const {
  Builder builder(*this, parallelism);
  std::vector<StreamEdge> inputs;
  for (TestSourceSpec source : sources) {
    if (failures) source.failure_odds = 0.001;
    inputs.push_back(Edge(builder.AddSource(source, watermark_bound_ms)));
  }
  // A filter with several inputs is the union.
  int last = builder.Add("filter", TestFilter(filter_modulus, 0), inputs);
  if (side_sink) {
    builder.Add("sink", TestFileSink(directory, !unsynced_sink),
                {Edge(last, sink_partitioning[1], "rejected")});
  }
  for (TestKeyedSpec spec : keyed) {
    if (failures) spec.failure_odds = 0.002;
    last = builder.Add("key_by", TestKeyBy(spec.key_column), {Edge(last)});
    last = builder.Add("keyed", TestKeyed(spec), {Edge(last, Partitioning::kHash)});
    builder.graph.nodes[last].keyed = true;
  }
  builder.Add("sink", TestFileSink(directory, !unsynced_sink), {Edge(last, sink_partitioning[0])});
  return BuildJobGraph(std::move(builder.graph), chaining);
}

std::vector<std::string> SimulatedJob::ExpectedLines(
    const std::vector<std::string>& committed) const {
  std::vector<TestRow> late;
  for (const std::string& line : committed) {
    TestRow row = TestRowOfLine(line);
    if (!keyed[0].takes_late || row.kind != keyed[0].step * 10 + 4) continue;
    row.kind = 0;  // as it came from its source
    late.push_back(row);
  }
  std::vector<TestRow> rows;
  std::vector<std::string> lines;
  for (const TestSourceSpec& source : sources) {
    for (int split = 0; split < source.splits; ++split) {
      for (int64_t i = 0; i < source.rows_per_split; ++i) {
        const TestRow row = TestSourceRow(source, split, i);
        if (row.x % filter_modulus != 0) {
          rows.push_back(row);
        } else if (side_sink) {
          lines.push_back(TestRowLine(row));
        }
      }
    }
  }
  for (const TestKeyedSpec& spec : keyed) rows = TestKeyedOracle(spec, rows, late);
  for (const TestRow& row : rows) lines.push_back(TestRowLine(row));
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace headrace
