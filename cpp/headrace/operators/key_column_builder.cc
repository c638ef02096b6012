#include "headrace/operators/key_column_builder.h"

#include "headrace/base/check.h"
#include "headrace/operators/encoded_value.h"
#include "headrace/types/value_codec.h"

namespace headrace {

Result<std::unique_ptr<KeyColumnBuilder>> KeyColumnBuilder::Make(std::vector<Field> fields,
                                                                 ObjectHooks* hooks) {
  HR_CHECK(!fields.empty());
  std::unique_ptr<KeyColumnBuilder> made(new KeyColumnBuilder(std::move(fields), hooks));
  for (const Field& field : made->fields_) {
    auto builder = ColumnBuilder::Make(field.type);
    if (!builder.ok()) return builder.status().WithContext("key field '" + field.name + "'");
    made->builders_.push_back(std::move(builder).value());
  }
  if (made->fields_.size() > 1) made->struct_type_ = StructType(made->fields_);
  return made;
}

Status KeyColumnBuilder::Append(const KeyDictionary& keys, KeyId id) {
  const DataType& type = *fields_[0].type;
  switch (keys.FormOf(id)) {
    case KeyDictionary::Form::kInt:
      if (type.is_integer() && !struct_type_) {
        builders_[0]->AppendInt(keys.IntOf(id));
        return Status::Ok();
      }
      break;
    case KeyDictionary::Form::kString:
      if (type.kind() == TypeKind::kString && !struct_type_) {
        builders_[0]->AppendString(keys.BytesOf(id));
        return Status::Ok();
      }
      break;
    case KeyDictionary::Form::kEncoded:
      return AppendEncoded(keys.BytesOf(id));
  }
  return AppendEncoded(keys.EncodedKey(id));
}

Status KeyColumnBuilder::AppendEncoded(std::string_view canonical) {
  ByteReader in(canonical);
  if (struct_type_) {
    uint8_t tag = 0;
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in.Fixed(&tag));
    HR_RETURN_IF_ERROR(in.Count(1, &count));
    if (tag != static_cast<uint8_t>(ValueTag::kTuple) || count != fields_.size()) {
      return Status::Corruption("stored key " + DescribeValue(canonical) + " does not have " +
                                std::to_string(fields_.size()) + " fields");
    }
  }
  for (size_t i = 0; i < fields_.size(); ++i) {
    HR_RETURN_IF_ERROR(AppendEncodedValue(*fields_[i].type, hooks_, &in, builders_[i].get()));
  }
  return in.ExpectDone();
}

KeyColumnBuilder::Finished KeyColumnBuilder::Finish() {
  Finished finished;
  for (const auto& builder : builders_) finished.columns.push_back(builder->Finish());
  if (!struct_type_) {
    finished.key = finished.columns[0];
    return finished;
  }
  auto key = std::make_shared<Column>();
  key->type = struct_type_;
  key->length = finished.columns[0]->length;
  key->children = finished.columns;
  finished.key = std::move(key);
  return finished;
}

}  // namespace headrace
