#include "headrace/types/type_text.h"

#include <string>
#include <utility>
#include <vector>

namespace headrace {
namespace {

constexpr int kDepthMax = 64;

class TypeTextParser {
 public:
  explicit TypeTextParser(std::string_view text) : text_(text) {}

  Result<DataTypePtr> Parse() {
    HR_ASSIGN_OR_RETURN(DataTypePtr type, Type(0));
    if (at_ != text_.size()) return Unknown();
    return type;
  }

 private:
  Status Unknown() const {
    return Status::Unimplemented("type '" + std::string(text_) + "' cannot be read from position " +
                                 std::to_string(at_));
  }

  bool Take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  Result<DataTypePtr> Type(int depth) {
    if (depth > kDepthMax) return Unknown();
    if (Take("struct<")) {
      std::vector<Field> fields;
      if (!Take(">")) HR_RETURN_IF_ERROR(Fields(depth, &fields));
      return StructType(std::move(fields));
    }
    if (Take("list<")) {
      HR_ASSIGN_OR_RETURN(DataTypePtr item, Type(depth + 1));
      if (!Take(">")) return Unknown();
      return ListType(Field{"item", std::move(item)});
    }
    if (Take("map<")) {
      std::vector<Field> entry;
      HR_RETURN_IF_ERROR(Fields(depth, &entry));
      Field entries{"entries", StructType(std::move(entry)), false};
      return std::make_shared<const DataType>(TypeKind::kMap, "+m",
                                              std::vector<Field>{std::move(entries)});
    }
    for (const DataTypePtr& simple :
         {BoolType(), Int8Type(), Int16Type(), Int32Type(), Int64Type(), Float32Type(),
          Float64Type(), StringType(), BinaryType(), Date32Type(), Time64Type(), TimestampMsType(),
          ObjectType()}) {
      if (Take(simple->ToString())) return simple;
    }
    return Unknown();
  }

  // Up to and with the closing bracket.
  Status Fields(int depth, std::vector<Field>* fields) {
    do {
      const size_t end = text_.find_first_of("<>,:", at_);
      if (end == std::string_view::npos || text_.substr(end, 2) != ": ") return Unknown();
      Field field;
      field.name = text_.substr(at_, end - at_);
      at_ = end + 2;
      HR_ASSIGN_OR_RETURN(field.type, Type(depth + 1));
      fields->push_back(std::move(field));
    } while (Take(", "));
    return Take(">") ? Status::Ok() : Unknown();
  }

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<DataTypePtr> ParseTypeText(std::string_view text) { return TypeTextParser(text).Parse(); }

}  // namespace headrace
