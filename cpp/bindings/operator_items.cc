#include "bindings/operator_items.h"

#include <memory>

#include "headrace/types/value_shape.h"

namespace headrace::bindings {
namespace {

/// Encoded values of one column; the bytes themselves when one of them is none.
class ItemColumn {
 public:
  explicit ItemColumn(bool distinct_numbers) : shape_(distinct_numbers) {}

  void Add(const std::string& item) {
    items_.push_back(&item);
    ByteReader in(item);
    raw_ = raw_ || !shape_.Add(&in).ok() || !in.done();
  }
  Result<ColumnPtr> Finish() {
    shape_.Finish();
    HR_ASSIGN_OR_RETURN(const auto builder, ColumnBuilder::Make(type()));
    for (const std::string* item : items_) {
      ByteReader in(*item);
      if (raw_) {
        builder->AppendString(*item);
      } else {
        HR_RETURN_IF_ERROR(shape_.Append(&in, builder.get()));
      }
    }
    return builder->Finish();
  }
  DataTypePtr type() const { return raw_ ? BinaryType() : shape_.type(); }
  std::string Describe() const { return raw_ ? "bytes of the engine's own" : shape_.Describe(); }

 private:
  ValueShape shape_;
  bool raw_ = false;
  std::vector<const std::string*> items_;
};

}  // namespace

Result<OperatorItems> ReadOperatorItems(const OperatorManifest& op, const std::string& name) {
  std::vector<std::pair<int, OperatorState>> states;
  for (const SubtaskManifest& subtask : op.subtasks) {
    if (subtask.operator_state.empty()) continue;
    HR_ASSIGN_OR_RETURN(OperatorState state, OperatorState::Decode(subtask.operator_state));
    states.emplace_back(subtask.index, std::move(state));
  }
  OperatorItems out;
  ItemColumn keys(/*distinct_numbers=*/true);
  ItemColumn values(/*distinct_numbers=*/false);
  HR_ASSIGN_OR_RETURN(const auto subtasks, ColumnBuilder::Make(Int32Type()));
  HR_ASSIGN_OR_RETURN(const auto indices, ColumnBuilder::Make(Int64Type()));
  int64_t rows = 0;
  for (const auto& [subtask, state] : states) {
    const auto found = state.lists().find(name);
    if (found == state.lists().end() || out.broadcast) continue;
    const std::vector<std::string>& items = found->second.items;
    out.broadcast = found->second.redistribution == Redistribution::kCopy;
    if (out.broadcast && items.size() % 2 != 0) {
      return Status::Corruption("broadcast state '" + name + "' has a key without a value");
    }
    for (size_t i = 0; i < items.size(); ++i) {
      if (out.broadcast) {
        keys.Add(items[i++]);
      } else {
        subtasks->AppendInt(subtask);
        indices->AppendInt(static_cast<int64_t>(i));
      }
      values.Add(items[i]);
      ++rows;
    }
  }
  std::vector<Field> fields;
  const auto add = [&](const char* column, DataTypePtr type, std::string was, ColumnPtr made) {
    fields.push_back({column, std::move(type), true});
    out.descriptions.emplace_back(column, std::move(was));
    out.batch.columns.push_back(std::move(made));
  };
  HR_ASSIGN_OR_RETURN(ColumnPtr value, values.Finish());
  if (out.broadcast) {
    HR_ASSIGN_OR_RETURN(ColumnPtr key, keys.Finish());
    add("map_key", keys.type(), keys.Describe(), std::move(key));
  } else {
    add("subtask", Int32Type(), "int", subtasks->Finish());
    add("index", Int64Type(), "int", indices->Finish());
  }
  add("value", values.type(), values.Describe(), std::move(value));
  out.batch.num_rows = rows;
  out.batch.schema = std::make_shared<const Schema>(RecordShape::kRow, std::move(fields));
  return out;
}

}  // namespace headrace::bindings
