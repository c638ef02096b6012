#include "headrace/graph/stream_graph.h"

#include <algorithm>

namespace headrace {

bool EmitsHostObjects(const StreamNode& node) {
  if (!node.output_schema) return false;
  const std::vector<Field>& fields = node.output_schema->fields();
  return std::any_of(fields.begin(), fields.end(),
                     [](const Field& field) { return field.type->kind() == TypeKind::kObject; });
}

}  // namespace headrace
