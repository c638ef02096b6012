#include <sstream>
#include <string>
#include <string_view>

#include "headrace/base/json_string.h"
#include "headrace/graph/job_graph.h"

namespace headrace {

namespace {

std::string_view PartitioningName(Partitioning partitioning) {
  switch (partitioning) {
    case Partitioning::kForward:
      return "FORWARD";
    case Partitioning::kHash:
      return "HASH";
    case Partitioning::kRebalance:
      return "REBALANCE";
    case Partitioning::kBroadcast:
      return "BROADCAST";
    case Partitioning::kGlobal:
      return "GLOBAL";
  }
  return "?";
}

bool CallsPython(const StreamNode& node) {
  return node.source ? node.source->calls_python() : node.op->calls_python();
}

void ExplainNode(const StreamNode& node, const std::string& id, std::ostream& out) {
  out << "  [" << node.id << "] " << node.name << "  kind=" << node.kind << " id=" << id;
  if (node.keyed) out << " keyed, max parallelism " << node.max_parallelism;
  out << (CallsPython(node) ? ", calls Python" : ", native");
  if (node.source && node.source_options.rows_per_second > 0) {
    out << ", " << node.source_options.rows_per_second << " rows/s";
  }
  if (node.source && !node.source->replayable()) out << ", at least once from source " << node.name;
  if (!node.delivery_note.empty()) out << ", " << node.delivery_note;
  if (node.output_schema) out << "\n      -> " << node.output_schema->ToString();
  out << "\n";
}

const char* Pact(const JobGraph& graph, const StreamNode& node) {
  if (node.source) return "Data Source";
  for (const StreamNode& consumer : graph.stream->nodes) {
    for (const StreamEdge& edge : consumer.inputs) {
      if (edge.from == node.id) return "Operator";
    }
  }
  return "Data Sink";
}

}  // namespace

std::string ExplainJob(const JobGraph& graph) {
  std::ostringstream out;
  int tasks = 0;
  for (const ChainSpec& chain : graph.chains) tasks += chain.parallelism;
  out << graph.chains.size() << " chains, " << tasks << " tasks, " << graph.exchanges.size()
      << " exchanges\n";
  for (size_t i = 0; i < graph.chains.size(); ++i) {
    const ChainSpec& chain = graph.chains[i];
    out << "\nChain " << i << ": " << chain.name << "  (parallelism " << chain.parallelism
        << (chain.calls_python ? ", own thread: calls Python" : ", native threads") << ")\n";
    for (const ExchangeSpec& exchange : graph.exchanges) {
      if (exchange.to_node != chain.nodes[0]) continue;
      const int from = graph.chain_of_node[exchange.from_node];
      out << "  <- " << PartitioningName(exchange.partitioning) << " from chain " << from << " ("
          << graph.stream->nodes[exchange.from_node].name << ", " << graph.chains[from].parallelism
          << " to " << chain.parallelism << ")";
      if (!exchange.side_tag.empty()) out << ", side output '" << exchange.side_tag << "'";
      if (exchange.input != 0) out << ", input " << exchange.input;
      out << "\n";
    }
    for (const int node : chain.nodes) {
      ExplainNode(graph.stream->nodes[node], graph.operator_ids[node], out);
    }
  }
  return out.str();
}

std::string ExecutionPlanJson(const JobGraph& graph) {
  std::ostringstream out;
  out << "{\"nodes\": [";
  for (const StreamNode& node : graph.stream->nodes) {
    if (node.id > 0) out << ", ";
    const std::string label = (node.source ? "Source: " : "") + node.name;
    out << "{\"id\": " << node.id << ", \"type\": " << JsonString(label) << ", \"pact\": \""
        << Pact(graph, node) << "\", \"contents\": " << JsonString(label)
        << ", \"parallelism\": " << node.parallelism;
    if (!node.inputs.empty()) {
      out << ", \"predecessors\": [";
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (i > 0) out << ", ";
        out << "{\"id\": " << node.inputs[i].from << ", \"ship_strategy\": \""
            << PartitioningName(node.inputs[i].partitioning)
            << "\", \"side\": " << (node.inputs[i].input == 0 ? "\"first\"" : "\"second\"") << "}";
      }
      out << "]";
    }
    out << "}";
  }
  out << "]}";
  return out.str();
}

}  // namespace headrace
