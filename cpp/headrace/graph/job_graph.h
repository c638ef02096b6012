#pragma once

#include <string>
#include <vector>

#include "headrace/graph/stream_graph.h"

namespace headrace {

/// Operators that run in one task, as a tree: each node but the first is fed by one earlier node of
/// the chain through a forward edge.
struct ChainSpec {
  std::vector<int> nodes;  ///< stream node ids, head first, in topological order
  int parallelism = 1;
  bool calls_python = false;  ///< the task gets its own thread
  std::string name;           ///< "Source: flights -> map -> filter"
};

/// An exchange between two chains.
struct ExchangeSpec {
  int from_node = -1;
  int to_node = -1;  ///< head of its chain
  Partitioning partitioning = Partitioning::kForward;
  std::string side_tag;
  int input = 0;
};

/// What will run.
struct JobGraph {
  std::shared_ptr<const StreamGraph> stream;
  std::vector<std::string> operator_ids;  ///< by stream node id
  std::vector<ChainSpec> chains;
  std::vector<int> chain_of_node;
  std::vector<ExchangeSpec> exchanges;
};

/// Validates (schemas present, parallelism within max, keyed operators behind a hash edge, forward
/// edges of equal parallelism) and chains. A hash edge between one producer and one consumer
/// subtask, both calling Python, is chained too: handing the GIL over costs more than it spreads.
Result<JobGraph> BuildJobGraph(StreamGraph graph, bool chaining_enabled);

/// Text for people: chains, exchanges, parallelism, which operators call Python, delivery notes.
std::string ExplainJob(const JobGraph& graph);
/// Flink's execution plan JSON: {"nodes": [{id, type, pact, contents, parallelism, predecessors}]}.
std::string ExecutionPlanJson(const JobGraph& graph);

}  // namespace headrace
