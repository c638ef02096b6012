#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/types/arrow_bridge.h"

namespace headrace {
namespace {

// Every node owns what it needs, since the interface lets a consumer move a child out of its parent
// and release the two in any order. The struct of a child lives in its parent.

struct ArrayNode {
  std::shared_ptr<const void> owner;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> child_pointers;
  ArrowArray dictionary{};
};

void ReleaseArray(ArrowArray* array) {
  for (int64_t i = 0; i < array->n_children; ++i) {
    ArrowArray* child = array->children[i];
    if (child->release != nullptr) child->release(child);
  }
  if (array->dictionary != nullptr && array->dictionary->release != nullptr) {
    array->dictionary->release(array->dictionary);
  }
  delete static_cast<ArrayNode*>(array->private_data);
  array->release = nullptr;
}

/// A node with room for `children`; all of them are already releasable (that is, released).
ArrayNode* StartArray(size_t children, ArrowArray* out) {
  auto* node = new ArrayNode;
  node->children.resize(children);
  for (ArrowArray& child : node->children) {
    std::memset(&child, 0, sizeof(child));
    node->child_pointers.push_back(&child);
  }
  std::memset(out, 0, sizeof(*out));
  out->n_children = static_cast<int64_t>(children);
  out->children = children > 0 ? node->child_pointers.data() : nullptr;
  out->release = ReleaseArray;
  out->private_data = node;
  return node;
}

void FinishArray(ArrayNode* node, ArrowArray* out) {
  out->n_buffers = static_cast<int64_t>(node->buffers.size());
  out->buffers = node->buffers.data();
}

/// A second array over the same memory: the struct itself may be moved or released by one consumer
/// while others still read.
void ExportForeign(const ArrowArray& original, const std::shared_ptr<const void>& owner,
                   ArrowArray* out) {
  ArrayNode* node = StartArray(static_cast<size_t>(original.n_children), out);
  node->owner = owner;
  out->length = original.length;
  out->null_count = original.null_count;
  out->offset = original.offset;
  node->buffers.assign(original.buffers, original.buffers + original.n_buffers);
  for (int64_t i = 0; i < original.n_children; ++i) {
    ExportForeign(*original.children[i], owner, &node->children[static_cast<size_t>(i)]);
  }
  if (original.dictionary != nullptr) {
    ExportForeign(*original.dictionary, owner, &node->dictionary);
    out->dictionary = &node->dictionary;
  }
  FinishArray(node, out);
}

const void* DataOf(const BufferPtr& buffer) { return buffer ? buffer->data() : nullptr; }

void ExportColumn(const ColumnPtr& column, ArrowArray* out) {
  const TypeKind kind = column->type->kind();
  if (kind == TypeKind::kForeign) {
    const auto* original = static_cast<const ArrowArray*>(column->foreign.get());
    ExportForeign(*original, column->foreign, out);
    if (out->length != column->length || out->offset != column->offset) {
      out->length = column->length;
      out->offset = column->offset;
      // Unions and run ends have no nulls of their own, others must count again.
      out->null_count = original->null_count == 0 ? 0 : -1;
    }
    return;
  }
  ArrayNode* node = StartArray(column->children.size(), out);
  node->owner = column;
  out->length = column->length;
  out->offset = column->offset;
  out->null_count = column->validity ? -1 : 0;
  if (kind == TypeKind::kNull) {
    out->null_count = column->length;
  } else {
    node->buffers.push_back(DataOf(column->validity));
    if (kind != TypeKind::kStruct) node->buffers.push_back(DataOf(column->values));
    if (kind == TypeKind::kString || kind == TypeKind::kBinary) {
      node->buffers.push_back(DataOf(column->data));
    }
  }
  for (size_t i = 0; i < column->children.size(); ++i) {
    ExportColumn(column->children[i], &node->children[i]);
  }
  if (column->dictionary) {
    ExportColumn(column->dictionary, &node->dictionary);
    out->dictionary = &node->dictionary;
  }
  FinishArray(node, out);
}

struct SchemaNode {
  std::string format;
  std::string name;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> child_pointers;
  ArrowSchema dictionary{};
};

void ReleaseSchema(ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; ++i) {
    ArrowSchema* child = schema->children[i];
    if (child->release != nullptr) child->release(child);
  }
  if (schema->dictionary != nullptr && schema->dictionary->release != nullptr) {
    schema->dictionary->release(schema->dictionary);
  }
  delete static_cast<SchemaNode*>(schema->private_data);
  schema->release = nullptr;
}

void ExportField(const Field& field, ArrowSchema* out) {
  const bool is_dictionary = field.type->kind() == TypeKind::kDictionary;
  auto* node = new SchemaNode;
  node->format = field.type->arrow_format();
  node->name = field.name;
  node->children.resize(is_dictionary ? 0 : field.type->children().size());
  for (size_t i = 0; i < node->children.size(); ++i) {
    ExportField(field.type->children()[i], &node->children[i]);
    node->child_pointers.push_back(&node->children[i]);
  }
  std::memset(out, 0, sizeof(*out));
  if (is_dictionary) {
    ExportField({"", field.type->children()[1].type, true}, &node->dictionary);
    out->dictionary = &node->dictionary;
  }
  out->format = node->format.c_str();
  out->name = node->name.c_str();
  out->flags = field.nullable ? ARROW_FLAG_NULLABLE : 0;
  out->n_children = static_cast<int64_t>(node->children.size());
  out->children = node->child_pointers.empty() ? nullptr : node->child_pointers.data();
  out->release = ReleaseSchema;
  out->private_data = node;
}

bool HoldsObjects(const DataType& type) {
  if (type.kind() == TypeKind::kObject) return true;
  for (const Field& child : type.children()) {
    if (HoldsObjects(*child.type)) return true;
  }
  return false;
}

Status RefuseObjects(const Schema& schema) {
  for (const Field& field : schema.fields()) {
    if (HoldsObjects(*field.type)) {
      return Status::InvalidArgument("field '" + field.name +
                                     "' holds Python objects, which have no Arrow type: declare "
                                     "the output type of the step before");
    }
  }
  return Status::Ok();
}

}  // namespace

Status ExportSchema(const Schema& schema, ArrowSchema* out) {
  HR_RETURN_IF_ERROR(RefuseObjects(schema));
  ExportField({"", StructType(schema.fields()), false}, out);
  return Status::Ok();
}

Status ExportBatch(const RecordBatch& batch, ArrowArray* out) {
  HR_RETURN_IF_ERROR(RefuseObjects(*batch.schema));
  ArrayNode* node = StartArray(batch.columns.size(), out);
  out->length = batch.num_rows;
  node->buffers.push_back(nullptr);
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    ExportColumn(batch.columns[i], &node->children[i]);
  }
  FinishArray(node, out);
  return Status::Ok();
}

}  // namespace headrace
