#include "headrace/graph/job_graph.h"

#include <algorithm>
#include <utility>

namespace headrace {

namespace {

std::string Quoted(const StreamNode& node) { return "operator '" + node.name + "'"; }

bool NodeCallsPython(const StreamNode& node) {
  if (node.source) return node.source->calls_python();
  return node.op && node.op->calls_python();
}

Status ValidateKeyedInputs(const StreamNode& node) {
  if (!node.keyed || node.parallelism == 1) return Status::Ok();
  bool hashed = false;
  for (const StreamEdge& edge : node.inputs) {
    if (edge.partitioning == Partitioning::kHash) {
      hashed = true;
    } else if (edge.partitioning != Partitioning::kBroadcast) {
      hashed = false;
      break;
    }
  }
  if (hashed) return Status::Ok();
  return Status::InvalidArgument(Quoted(node) +
                                 " keeps state by key, but its input is not partitioned by key; "
                                 "put key_by right before it");
}

Status ValidateNode(const StreamGraph& graph, size_t index) {
  const StreamNode& node = graph.nodes[index];
  if (node.id != static_cast<int>(index)) {
    return Status::Internal(Quoted(node) + " has id " + std::to_string(node.id) + " at place " +
                            std::to_string(index));
  }
  if ((node.source != nullptr) == (node.op != nullptr)) {
    return Status::Internal(Quoted(node) + " must have either a source or an operator");
  }
  if (node.source && !node.inputs.empty()) {
    return Status::InvalidArgument(Quoted(node) + " is a source and cannot have inputs");
  }
  if (!node.source && node.inputs.empty()) {
    return Status::InvalidArgument(Quoted(node) + " has no input");
  }
  if (node.max_parallelism < 1 || node.max_parallelism > kMaxParallelismLimit) {
    return Status::InvalidArgument(Quoted(node) + ": max parallelism must be 1 to " +
                                   std::to_string(kMaxParallelismLimit) + ", not " +
                                   std::to_string(node.max_parallelism));
  }
  if (node.parallelism < 1 || node.parallelism > node.max_parallelism) {
    return Status::InvalidArgument(
        Quoted(node) + ": parallelism must be 1 to " + std::to_string(node.max_parallelism) +
        " (its max parallelism), not " + std::to_string(node.parallelism));
  }
  for (const StreamEdge& edge : node.inputs) {
    const StreamNode& from = graph.nodes[edge.from];
    if (edge.side_tag.empty() && !from.output_schema) {
      return Status::Internal(Quoted(from) + " is read but has no output schema");
    }
    if (edge.partitioning == Partitioning::kForward && from.parallelism != node.parallelism) {
      return Status::InvalidArgument("a forward connection needs equal parallelism, but " +
                                     Quoted(from) + " has " + std::to_string(from.parallelism) +
                                     " and " + Quoted(node) + " has " +
                                     std::to_string(node.parallelism) + "; use rebalance()");
    }
  }
  return ValidateKeyedInputs(node);
}

// One input that already arrives at the same subtask can be a function call instead of a channel.
bool CanChain(const StreamGraph& graph, const StreamNode& node) {
  if (node.inputs.size() != 1 || node.start_new_chain || node.disable_chaining) return false;
  const StreamEdge& edge = node.inputs[0];
  const StreamNode& from = graph.nodes[edge.from];
  if (from.disable_chaining || from.parallelism != node.parallelism) return false;
  if (edge.partitioning == Partitioning::kForward) return true;
  return edge.partitioning == Partitioning::kHash && node.parallelism == 1 &&
         NodeCallsPython(from) && NodeCallsPython(node);
}

std::string NodeLabel(const StreamNode& node) {
  if (node.source && node.name.rfind("Source", 0) != 0) return "Source: " + node.name;
  return node.name;
}

std::string ChainName(const StreamGraph& graph, const std::vector<int>& nodes, int head) {
  std::vector<int> successors;
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (graph.nodes[nodes[i]].inputs[0].from == head) successors.push_back(nodes[i]);
  }
  std::string name = NodeLabel(graph.nodes[head]);
  if (successors.empty()) return name;
  name += " -> ";
  if (successors.size() > 1) name += "(";
  for (size_t i = 0; i < successors.size(); ++i) {
    if (i > 0) name += ", ";
    name += ChainName(graph, nodes, successors[i]);
  }
  if (successors.size() > 1) name += ")";
  return name;
}

// Copying mutable host values for a second reader and hashing host keys touch host values, so the
// task that does it must be one that may.
bool TouchesHostValues(const StreamGraph& graph, int node) {
  if (!EmitsHostObjects(graph.nodes[node])) return false;
  int readers = 0;
  for (const StreamNode& consumer : graph.nodes) {
    for (const StreamEdge& edge : consumer.inputs) {
      if (edge.from != node) continue;
      if (edge.partitioning == Partitioning::kHash && consumer.parallelism > 1) return true;
      readers += edge.partitioning == Partitioning::kBroadcast ? consumer.parallelism : 1;
    }
  }
  return readers > 1;
}

}  // namespace

Result<JobGraph> BuildJobGraph(StreamGraph graph, bool chaining_enabled) {
  if (graph.nodes.empty()) {
    return Status::InvalidArgument("the job is empty: add a source and a sink before execute()");
  }
  JobGraph job;
  HR_ASSIGN_OR_RETURN(job.operator_ids, OperatorIds(graph));
  for (size_t i = 0; i < graph.nodes.size(); ++i) HR_RETURN_IF_ERROR(ValidateNode(graph, i));

  job.chain_of_node.assign(graph.nodes.size(), -1);
  for (const StreamNode& node : graph.nodes) {
    if (chaining_enabled && CanChain(graph, node)) {
      const int chain = job.chain_of_node[node.inputs[0].from];
      job.chain_of_node[node.id] = chain;
      job.chains[chain].nodes.push_back(node.id);
      continue;
    }
    job.chain_of_node[node.id] = static_cast<int>(job.chains.size());
    ChainSpec chain;
    chain.nodes = {node.id};
    chain.parallelism = node.parallelism;
    job.chains.push_back(std::move(chain));
    for (const StreamEdge& edge : node.inputs) {
      job.exchanges.push_back({edge.from, node.id, edge.partitioning, edge.side_tag, edge.input});
    }
  }
  for (ChainSpec& chain : job.chains) {
    chain.name = ChainName(graph, chain.nodes, chain.nodes[0]);
    chain.calls_python = std::any_of(chain.nodes.begin(), chain.nodes.end(), [&](int id) {
      return NodeCallsPython(graph.nodes[id]) || TouchesHostValues(graph, id);
    });
  }
  job.stream = std::make_shared<const StreamGraph>(std::move(graph));
  return job;
}

}  // namespace headrace
