#include "headrace/types/schema.h"

#include "headrace/base/check.h"

namespace headrace {

Schema::Schema(RecordShape shape, std::vector<Field> fields)
    : shape_(shape), fields_(std::move(fields)) {
  if (shape_ == RecordShape::kScalar) HR_CHECK_EQ(fields_.size(), size_t{1});
  for (const Field& field : fields_) HR_CHECK(field.type != nullptr);
}

int Schema::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Result<int> Schema::Require(std::string_view name) const {
  const int index = IndexOf(name);
  if (index >= 0) return index;
  std::string there_are;
  for (const Field& field : fields_) {
    if (!there_are.empty()) there_are += ", ";
    there_are += "'" + field.name + "'";
  }
  return Status::InvalidArgument("no field '" + std::string(name) + "'; the fields are " +
                                 (there_are.empty() ? "none" : there_are));
}

std::string Schema::ToString() const {
  if (shape_ == RecordShape::kScalar) return fields_[0].type->ToString();
  std::string out = shape_ == RecordShape::kTuple ? "tuple<" : "row<";
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (i > 0) out += ", ";
    out += fields_[i].name + ": " + fields_[i].type->ToString();
  }
  return out + ">";
}

bool Schema::Equals(const Schema& other) const {
  if (this == &other) return true;
  if (shape_ != other.shape_ || fields_.size() != other.fields_.size()) return false;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].name != other.fields_[i].name ||
        !fields_[i].type->Equals(*other.fields_[i].type)) {
      return false;
    }
  }
  return true;
}

std::shared_ptr<const Schema> Schema::Objects() {
  static const std::shared_ptr<const Schema> schema = std::make_shared<const Schema>(
      RecordShape::kScalar, std::vector<Field>{{"value", ObjectType(), true}});
  return schema;
}

}  // namespace headrace
