#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/connectors/source.h"
#include "headrace/operators/operator.h"

namespace headrace {

/// How rows find the subtask that takes them.
enum class Partitioning : uint8_t {
  kForward,    ///< subtask i to subtask i; both sides have equal parallelism
  kHash,       ///< by key group of the batch's key column
  kRebalance,  ///< round robin, batch by batch
  kBroadcast,  ///< every subtask gets every row
  kGlobal,     ///< subtask 0 gets every row
};

/// One input of a node.
struct StreamEdge {
  int from = -1;  ///< node id
  Partitioning partitioning = Partitioning::kForward;
  std::string side_tag;  ///< "" = main output
  int input = 0;  ///< input number at the consumer (1 for the second of a two-input operator)
};

/// What the user asked for at one place of the graph. Plain data.
struct StreamNode {
  int id = -1;
  std::string name;  ///< shown to people
  std::string uid;   ///< the user's uid, or empty
  std::string kind;  ///< "source", "map", "filter", "key_by", "window", … (part of operator ids)
  SourceFactoryPtr source;  ///< set for sources
  SourceOptions source_options;
  OperatorFactoryPtr op;  ///< set for the others
  std::vector<StreamEdge> inputs;
  SchemaPtr output_schema;
  int parallelism = 1;
  int max_parallelism = kDefaultMaxParallelism;
  bool keyed = false;  ///< gets a KeyedState
  bool start_new_chain = false;
  bool disable_chaining = false;
  int64_t buffer_timeout_ms = -1;  ///< -1 = the job's
  std::string delivery_note;       ///< e.g. "at least once" for print
};

/// True when a column of what the node emits holds host objects.
bool EmitsHostObjects(const StreamNode& node);

/// The recorded program. Node ids are indices into `nodes`; inputs come before their consumers.
struct StreamGraph {
  std::vector<StreamNode> nodes;
};

/// Stable operator id of each node: the uid, else 16 hex digits of a hash of (kind, position among
/// nodes of this kind with the same inputs, ids of the inputs), taken before chaining; names,
/// functions and parallelism do not enter. kInvalidArgument when a uid occurs twice.
Result<std::vector<std::string>> OperatorIds(const StreamGraph& graph);

}  // namespace headrace
