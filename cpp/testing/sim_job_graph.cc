#include "testing/sim_job_graph.h"

#include <utility>

#include "headrace/connectors/file_sink.h"
#include "headrace/operators/key_by_fields.h"
#include "headrace/operators/union.h"
#include "testing/test_object_operators.h"
#include "testing/test_window_operators.h"

namespace headrace {

namespace {

using Kind = SimStep::Kind;

constexpr int kKeyColumn = 1;

class Builder {
 public:
  Builder(const SimGraph& spec, const SimJobChoices& choices, std::string directory,
          SimRandom* random, TestObjects* objects)
      : spec_(spec),
        choices_(choices),
        directory_(std::move(directory)),
        random_(random),
        objects_(objects) {}

  Result<SimJobGraph> Build() {
    for (size_t i = 0; i < spec_.steps.size(); ++i) AddStep(static_cast<int>(i));
    for (const StreamNode& node : graph_.nodes) {
      if (node.keyed) out_.parallelism.push_back(node.parallelism);
    }
    HR_ASSIGN_OR_RETURN(out_.graph, BuildJobGraph(std::move(graph_), choices_.chaining));
    return std::move(out_);
  }

 private:
  void AddStep(int number) {
    const SimStep& step = spec_.steps[number];
    int last = -1;
    switch (step.kind) {
      case Kind::kSource:
        last = AddSource(step.source);
        break;
      case Kind::kMap:
        last = Add("map", TestMap(step.number), InputsOf(step));
        break;
      case Kind::kFilter:
        last = Add("filter", TestFilter(step.number, 0), InputsOf(step));
        break;
      case Kind::kRepeat:
        last = Add("repeat", TestRepeat(step.number), InputsOf(step));
        break;
      case Kind::kUnion:
        last = Add("union", Union(nullptr), InputsOf(step));
        break;
      case Kind::kKeyed: {
        TestKeyedSpec keyed = step.keyed;
        if (choices_.failures) keyed.failure_odds = 0.001;
        last = AddKeyed(number, "keyed", TestKeyed(keyed), AddKeyBy(step, keyed.key_column));
        break;
      }
      case Kind::kWindow:
        last =
            AddKeyed(number, "window", TestWindow(number, step.window), AddKeyBy(step, kKeyColumn));
        break;
      case Kind::kSlicing:
        last =
            AddKeyed(number, "slicing", TestSlicingWindow(step.window), AddKeyBy(step, kKeyColumn));
        graph_.nodes[last].output_schema = TestSlicingWindowSchema(step.window);
        last = Add("window_rows", TestWindowRows(number), {Edge(last)});
        break;
      case Kind::kObjects:
        last = Add("pack", TestPackObjects(objects_), InputsOf(step));
        graph_.nodes[last].output_schema = Schema::Objects();
        last = AddKeyed(number, "unpack", TestUnpackObjects(number, objects_), last);
        break;
      case Kind::kSink: {
        last = Add("lines", TestLines(), InputsOf(step));
        graph_.nodes[last].output_schema = TestLinesSchema();
        FileSinkSpec sink;
        sink.directory = directory_;
        sink.prefix = SimSinkPrefix(number);
        sink.part_bytes_max = 200 + static_cast<int64_t>(random_->Below(4000));
        // Of equal parallelism, or rows of one key could come to a file by two ways.
        last = Add("sink", FileSink(std::move(sink)), {Edge(last)}, graph_.nodes[last].parallelism);
        break;
      }
    }
    last_[number] = last;
    out_.nodes.emplace(number, last);  // a keyed step has entered its keyed node before
  }

  // Parallelism 0: draws it.
  int Add(std::string kind, OperatorFactoryPtr op, std::vector<StreamEdge> inputs,
          int parallelism = 0) {
    StreamNode node;
    node.id = static_cast<int>(graph_.nodes.size());
    node.kind = kind;
    node.name = kind + std::to_string(node.id);
    node.op = std::move(op);
    node.max_parallelism = spec_.max_parallelism;
    node.parallelism = parallelism > 0
                           ? parallelism
                           : 1 + static_cast<int>(random_->Below(choices_.parallelism_max));
    node.output_schema = TestRowSchema();
    for (StreamEdge& edge : inputs) {
      // Forward needs equal parallelism, which only rebalance makes up for.
      if (edge.partitioning == Partitioning::kForward &&
          graph_.nodes[edge.from].parallelism != node.parallelism) {
        edge.partitioning = Partitioning::kRebalance;
      }
    }
    node.inputs = std::move(inputs);
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.back().id;
  }

  int AddSource(TestSourceSpec source) {
    if (choices_.failures) source.failure_odds = 0.0005;
    const int id = Add("source", nullptr, {});
    StreamNode& node = graph_.nodes[id];
    node.source = TestSource(source);
    node.source_options.watermarks.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
    node.source_options.watermarks.bound_ms = spec_.watermark_bound_ms;
    node.source_options.watermarks.stride_rows = kSimStrideRows;
    return id;
  }

  int AddKeyBy(const SimStep& step, int column) {
    return Add("key_by", KeyByFields({column}), InputsOf(step));
  }

  int AddKeyed(int number, std::string kind, OperatorFactoryPtr op, int from) {
    const int id = Add(std::move(kind), std::move(op), {Edge(from, Partitioning::kHash)});
    graph_.nodes[id].keyed = true;
    out_.nodes[number] = id;
    return id;
  }

  static StreamEdge Edge(int from, Partitioning partitioning = Partitioning::kForward) {
    StreamEdge edge;
    edge.from = from;
    edge.partitioning = partitioning;
    return edge;
  }

  std::vector<StreamEdge> InputsOf(const SimStep& step) const {
    std::vector<StreamEdge> edges;
    for (const SimStep::Input& input : step.inputs) {
      edges.push_back(Edge(last_.at(input.step),
                           input.rebalanced ? Partitioning::kRebalance : Partitioning::kForward));
      edges.back().side_tag = input.side_tag;
    }
    return edges;
  }

  const SimGraph& spec_;
  const SimJobChoices& choices_;
  const std::string directory_;
  SimRandom* random_;
  TestObjects* objects_;
  StreamGraph graph_;
  std::map<int, int> last_;  // step -> the node that its readers read
  SimJobGraph out_;
};

}  // namespace

Result<SimJobGraph> MakeSimJobGraph(const SimGraph& graph, const SimJobChoices& choices,
                                    const std::string& directory, SimRandom* random,
                                    TestObjects* objects) {
  return Builder(graph, choices, directory, random, objects).Build();
}

std::string SimSinkPrefix(int step) { return "sink" + std::to_string(step); }

}  // namespace headrace
