#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/hash.h"
#include "headrace/graph/stream_graph.h"

namespace headrace {

namespace {

std::string HexId(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace

Result<std::vector<std::string>> OperatorIds(const StreamGraph& graph) {
  std::vector<std::string> ids;
  ids.reserve(graph.nodes.size());
  std::map<std::string, int> seen_shapes;  // kind and inputs -> nodes so far
  std::map<std::string, const StreamNode*> owner_of_id;
  for (const StreamNode& node : graph.nodes) {
    ByteWriter shape;
    shape.String(node.kind);
    shape.Varint(node.inputs.size());
    for (const StreamEdge& edge : node.inputs) {
      if (edge.from < 0 || edge.from >= static_cast<int>(ids.size())) {
        return Status::InvalidArgument("operator '" + node.name +
                                       "' has an input that was not recorded before it");
      }
      shape.String(ids[edge.from]);
      shape.String(edge.side_tag);
      shape.Varint(static_cast<uint64_t>(edge.input));
    }
    const int position = seen_shapes[std::string(shape.view())]++;
    std::string id = node.uid;
    if (id.empty()) {
      shape.Varint(static_cast<uint64_t>(position));
      id = HexId(Hash64(shape.view()));
    }
    const auto [at, fresh] = owner_of_id.emplace(id, &node);
    if (!fresh) {
      return Status::InvalidArgument("uid '" + id + "' is used by two operators, '" +
                                     at->second->name + "' and '" + node.name +
                                     "'; give each its own");
    }
    ids.push_back(std::move(id));
  }
  return ids;
}

}  // namespace headrace
