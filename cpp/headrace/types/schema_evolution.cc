#include "headrace/types/schema_evolution.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

std::string Below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::string At(const std::string& path) { return path.empty() ? "" : "'" + path + "': "; }

bool Widens(const DataType& from, const DataType& to) {
  if (from.is_integer() && to.is_integer()) return from.kind() <= to.kind();
  return from.is_floating() && to.is_floating() && from.kind() <= to.kind();
}

// The bytes of the next value.
Status TakeValue(ByteReader* in, std::string_view* value) {
  ByteReader ahead = *in;
  HR_RETURN_IF_ERROR(SkipValue(&ahead));
  return in->Raw(in->remaining() - ahead.remaining(), value);
}

std::string EncodedNone() {
  ByteWriter none;
  EncodeNone(&none);
  return none.Take();
}

// A row or tuple, taken apart.
struct StoredRow {
  ValueTag tag = ValueTag::kRow;
  uint8_t kind = 0;
  std::vector<std::string_view> names;  // empty: by position
  std::vector<std::string_view> values;

  Status Read(ByteReader* in) {
    uint64_t count = 0;
    uint8_t byte = 0;
    HR_RETURN_IF_ERROR(in->Fixed(&byte));
    tag = static_cast<ValueTag>(byte);
    if (tag == ValueTag::kRow) HR_RETURN_IF_ERROR(in->Fixed(&kind));
    HR_RETURN_IF_ERROR(in->Count(1, &count));
    uint8_t named = 0;
    if (tag == ValueTag::kRow) HR_RETURN_IF_ERROR(in->Fixed(&named));
    names.resize(named == 0 ? 0 : count);
    for (std::string_view& name : names) HR_RETURN_IF_ERROR(in->String(&name));
    values.resize(count);
    for (std::string_view& value : values) HR_RETURN_IF_ERROR(TakeValue(in, &value));
    return Status::Ok();
  }

  // Null when it has no such field.
  const std::string_view* Find(const std::string& name, int position) const {
    size_t at = static_cast<size_t>(position);
    if (!names.empty()) {
      at = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    }
    return at < values.size() ? &values[at] : nullptr;
  }
};

}  // namespace

// What happens to the values of one type.
struct SchemaEvolution::Node {
  // Of a row: a field of the new type.
  struct FieldPlan {
    std::string name;
    std::string stored_name;
    int from = -1;         // position among the stored fields; -1 = added
    std::string fallback;  // encoded; where the stored row has no such field
    std::unique_ptr<Node> node;
  };
  using NodePtr = std::unique_ptr<Node>;

  bool rewrites = false;
  bool is_row = false;
  std::vector<FieldPlan> fields;
  NodePtr item;  // of a list

  static Result<NodePtr> Make(const DataType& from, const DataType& to, const History& history,
                              const std::string& path) {
    auto node = std::make_unique<Node>();
    if (from.kind() == TypeKind::kStruct && to.kind() == TypeKind::kStruct) {
      node->is_row = true;
      HR_RETURN_IF_ERROR(node->PlanRow(from, to, history, path));
      return node;
    }
    if (from.kind() == TypeKind::kList && to.kind() == TypeKind::kList) {
      HR_ASSIGN_OR_RETURN(node->item, Make(*from.children()[0].type, *to.children()[0].type,
                                           history, Below(path, "[]")));
      node->rewrites = node->item->rewrites;
      return node;
    }
    // A widened number is encoded as the narrow one was.
    if (from.ToString() == to.ToString() || Widens(from, to)) return node;
    return Status::InvalidArgument(At(path) + from.ToString() + " does not become " +
                                   to.ToString());
  }

  Status PlanRow(const DataType& from, const DataType& to, const History& history,
                 const std::string& path) {
    static const RowHistory kNothing;
    const auto said = history.find(path);
    const RowHistory& change = said == history.end() ? kNothing : said->second;
    const std::vector<Field>& stored = from.children();
    std::vector<bool> used(stored.size());
    rewrites = stored.size() != to.children().size();
    for (const Field& field : to.children()) {
      FieldPlan plan;
      plan.name = field.name;
      const auto renamed = change.renamed.find(field.name);
      plan.stored_name = renamed == change.renamed.end() ? field.name : renamed->second;
      const auto found = std::find_if(stored.begin(), stored.end(), [&](const Field& one) {
        return one.name == plan.stored_name;
      });
      const auto fallback = change.defaults.find(field.name);
      plan.fallback = fallback == change.defaults.end() ? EncodedNone() : fallback->second;
      if (found != stored.end()) {
        plan.from = static_cast<int>(found - stored.begin());
        if (used[static_cast<size_t>(plan.from)]) {
          return Status::InvalidArgument(At(path) + "two fields come from '" + plan.stored_name +
                                         "'");
        }
        used[static_cast<size_t>(plan.from)] = true;
        HR_ASSIGN_OR_RETURN(plan.node,
                            Make(*found->type, *field.type, history, Below(path, field.name)));
        rewrites = rewrites || plan.node->rewrites || plan.name != plan.stored_name ||
                   plan.from != static_cast<int>(fields.size());
      } else if (renamed != change.renamed.end()) {
        // A type keeps its history when newer state is restored: then the field has its new name.
        const auto already = std::find_if(stored.begin(), stored.end(),
                                          [&](const Field& one) { return one.name == plan.name; });
        if (already == stored.end()) {
          return Status::InvalidArgument(At(path) + "field '" + plan.name + "' is renamed from '" +
                                         plan.stored_name + "', which is not stored");
        }
        plan.stored_name = plan.name;
        plan.from = static_cast<int>(already - stored.begin());
        used[static_cast<size_t>(plan.from)] = true;
        HR_ASSIGN_OR_RETURN(plan.node,
                            Make(*already->type, *field.type, history, Below(path, field.name)));
        rewrites = rewrites || plan.node->rewrites || plan.from != static_cast<int>(fields.size());
      } else {
        rewrites = true;
      }
      fields.push_back(std::move(plan));
    }
    for (size_t i = 0; i < stored.size(); ++i) {
      if (used[i] || change.dropped.contains(stored[i].name)) continue;
      return Status::InvalidArgument(At(path) + "field '" + stored[i].name +
                                     "' is stored and not declared: name it in `dropped`, or a "
                                     "field that it became in `renamed`");
    }
    return Status::Ok();
  }

  Status Migrate(ByteReader* in, ByteWriter* out) const {
    std::string_view value;
    HR_RETURN_IF_ERROR(TakeValue(in, &value));
    const auto tag = static_cast<ValueTag>(value.front());
    ByteReader inner(value);
    if (rewrites && is_row && (tag == ValueTag::kRow || tag == ValueTag::kTuple)) {
      return MigrateRow(&inner, out);
    }
    if (rewrites && item && (tag == ValueTag::kList || tag == ValueTag::kTuple)) {
      return MigrateList(&inner, out);
    }
    out->Raw(value);
    return Status::Ok();
  }

  Status MigrateRow(ByteReader* in, ByteWriter* out) const {
    StoredRow row;
    HR_RETURN_IF_ERROR(row.Read(in));
    out->Fixed(static_cast<uint8_t>(row.tag));
    if (row.tag == ValueTag::kRow) out->Fixed(row.kind);
    out->Varint(fields.size());
    if (row.tag == ValueTag::kRow) out->Fixed(static_cast<uint8_t>(!row.names.empty()));
    for (const FieldPlan& field : fields) {
      if (!row.names.empty()) out->String(field.name);
    }
    for (const FieldPlan& field : fields) {
      const std::string_view* stored =
          field.from < 0 ? nullptr : row.Find(field.stored_name, field.from);
      if (stored == nullptr) {
        out->Raw(field.fallback);
        continue;
      }
      ByteReader value(*stored);
      HR_RETURN_IF_ERROR(field.node->Migrate(&value, out));
    }
    return Status::Ok();
  }

  Status MigrateList(ByteReader* in, ByteWriter* out) const {
    uint8_t tag = 0;
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in->Fixed(&tag));
    HR_RETURN_IF_ERROR(in->Count(1, &count));
    out->Fixed(tag);
    out->Varint(count);
    for (uint64_t i = 0; i < count; ++i) HR_RETURN_IF_ERROR(item->Migrate(in, out));
    return Status::Ok();
  }
};

Result<SchemaEvolution> SchemaEvolution::Make(const DataType& from, const DataType& to,
                                              const History& history) {
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Node> root, Node::Make(from, to, history, ""));
  return SchemaEvolution(std::move(root));
}

SchemaEvolution::SchemaEvolution(std::unique_ptr<Node> root) : root_(std::move(root)) {}
SchemaEvolution::SchemaEvolution(SchemaEvolution&&) = default;
SchemaEvolution& SchemaEvolution::operator=(SchemaEvolution&&) = default;
SchemaEvolution::~SchemaEvolution() = default;

bool SchemaEvolution::rewrites() const { return root_->rewrites; }

Status SchemaEvolution::Migrate(ByteReader* in, ByteWriter* out) const {
  return root_->Migrate(in, out);
}

}  // namespace headrace
