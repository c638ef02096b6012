#include "headrace/types/column_builder.h"

#include <limits>

#include "headrace/base/check.h"
#include "headrace/types/bitmap.h"
#include "headrace/types/dictionary_index.h"
#include "headrace/types/growing_buffer.h"

namespace headrace {
namespace {

/// What all builders share: length, validity, the way through dictionaries.
class BuilderBase : public ColumnBuilder {
 public:
  explicit BuilderBase(DataTypePtr type) : type_(std::move(type)) {}

  void AppendNull() override {
    AppendEmpty();
    Grew(false);
  }

  void AppendFrom(const Column& column, int64_t row) override {
    if (column.IsNull(row)) return AppendNull();
    if (column.type->kind() == TypeKind::kDictionary) {
      const int64_t index = DictionaryIndexAt(column, row);
      HR_CHECK(index >= 0 && index < column.dictionary->length);
      return AppendFrom(*column.dictionary, index);
    }
    HR_CHECK_EQ(static_cast<int>(column.type->kind()), static_cast<int>(type_->kind()));
    AppendValueFrom(column, row);
  }

  int64_t length() const override { return length_; }

  ColumnPtr Finish() override {
    auto column = std::make_shared<Column>();
    column->type = type_;
    column->length = length_;
    column->validity = validity_.Finish();
    FinishValues(column.get());
    length_ = 0;
    return column;
  }

 protected:
  /// The placeholder that stands under a null.
  virtual void AppendEmpty() = 0;
  virtual void AppendValueFrom(const Column& column, int64_t row) = 0;
  virtual void FinishValues(Column* out) = 0;

  void Grew(bool valid) {
    validity_.Append(valid);
    ++length_;
  }

  const DataTypePtr type_;

 private:
  GrowingBitmap validity_{/*all_set_is_none=*/true};
  int64_t length_ = 0;
};

class NullBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;

 protected:
  void AppendEmpty() override {}
  void AppendValueFrom(const Column&, int64_t) override { AppendNull(); }
  void FinishValues(Column* out) override {
    if (!out->validity) out->validity = MakeBitmap(0, false);
  }
};

class BoolBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  void AppendInt(int64_t value) override {
    bits_.Append(value != 0);
    Grew(true);
  }

 protected:
  void AppendEmpty() override { bits_.Append(false); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    AppendInt(column.BoolAt(row));
  }
  void FinishValues(Column* out) override { out->values = bits_.Finish(); }

 private:
  GrowingBitmap bits_{/*all_set_is_none=*/false};
};

template <typename T>
class IntBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  void AppendInt(int64_t value) override {
    values_.Append<T>(static_cast<T>(value));
    Grew(true);
  }

 protected:
  void AppendEmpty() override { values_.Append<T>(0); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    AppendInt(column.Values<T>()[row]);
  }
  void FinishValues(Column* out) override { out->values = values_.Finish(); }

 private:
  GrowingBuffer values_;
};

template <typename T>
class FloatBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  void AppendFloat(double value) override {
    values_.Append<T>(static_cast<T>(value));
    Grew(true);
  }
  void AppendInt(int64_t value) override { AppendFloat(static_cast<double>(value)); }

 protected:
  void AppendEmpty() override { values_.Append<T>(0); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    values_.Append<T>(column.Values<T>()[row]);
    Grew(true);
  }
  void FinishValues(Column* out) override { out->values = values_.Finish(); }

 private:
  GrowingBuffer values_;
};

class DecimalBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  void AppendFixedBytes(std::string_view value) override {
    HR_CHECK_EQ(value.size(), size_t{16});
    values_.AppendBytes(value.data(), 16);
    Grew(true);
  }

 protected:
  void AppendEmpty() override { std::memset(values_.Extend(16), 0, 16); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    const uint8_t* at = column.values->data() + (column.offset + row) * 16;
    AppendFixedBytes({reinterpret_cast<const char*>(at), 16});
  }
  void FinishValues(Column* out) override { out->values = values_.Finish(); }

 private:
  GrowingBuffer values_;
};

/// The int32 end offsets that strings and lists share; starts with a 0.
class OffsetsBuilder {
 public:
  void Append(size_t end) {
    HR_CHECK_LE(end, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
    if (offsets_.size_bytes() == 0) offsets_.Append<int32_t>(0);
    offsets_.Append<int32_t>(static_cast<int32_t>(end));
  }
  BufferPtr Finish() {
    if (offsets_.size_bytes() == 0) offsets_.Append<int32_t>(0);
    return offsets_.Finish();
  }

 private:
  GrowingBuffer offsets_;
};

class StringBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  void AppendString(std::string_view value) override {
    bytes_.AppendBytes(value.data(), value.size());
    offsets_.Append(bytes_.size_bytes());
    Grew(true);
  }

 protected:
  void AppendEmpty() override { offsets_.Append(bytes_.size_bytes()); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    AppendString(column.StringAt(row));
  }
  void FinishValues(Column* out) override {
    out->values = offsets_.Finish();
    out->data = bytes_.Finish();
  }

 private:
  OffsetsBuilder offsets_;
  GrowingBuffer bytes_;
};

class NestedBuilder : public BuilderBase {
 public:
  NestedBuilder(DataTypePtr type, std::vector<std::unique_ptr<ColumnBuilder>> children)
      : BuilderBase(std::move(type)), children_(std::move(children)) {}
  const std::vector<std::unique_ptr<ColumnBuilder>>& children() const override { return children_; }

 protected:
  void FinishValues(Column* out) override {
    for (const auto& child : children_) out->children.push_back(child->Finish());
  }

  std::vector<std::unique_ptr<ColumnBuilder>> children_;
};

class ListBuilder : public NestedBuilder {
 public:
  using NestedBuilder::NestedBuilder;
  void CloseList() override {
    AppendEmpty();
    Grew(true);
  }

 protected:
  void AppendEmpty() override { offsets_.Append(static_cast<size_t>(children_[0]->length())); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset;
    for (int32_t item = ends[row]; item < ends[row + 1]; ++item) {
      children_[0]->AppendFrom(*column.children[0], item);
    }
    CloseList();
  }
  void FinishValues(Column* out) override {
    out->values = offsets_.Finish();
    NestedBuilder::FinishValues(out);
  }

 private:
  OffsetsBuilder offsets_;
};

class StructBuilder : public NestedBuilder {
 public:
  using NestedBuilder::NestedBuilder;
  void CloseStruct() override {
    for (const auto& child : children_) HR_CHECK_EQ(child->length(), length() + 1);
    Grew(true);
  }

 protected:
  void AppendEmpty() override {
    for (const auto& child : children_) child->AppendNull();
  }
  void AppendValueFrom(const Column& column, int64_t row) override {
    HR_CHECK_EQ(column.children.size(), children_.size());
    for (size_t i = 0; i < children_.size(); ++i) {
      children_[i]->AppendFrom(*column.children[i], column.offset + row);
    }
    CloseStruct();
  }
};

class ObjectBuilder : public BuilderBase {
 public:
  using BuilderBase::BuilderBase;
  ~ObjectBuilder() override {
    if (hooks_ && !values_.empty()) hooks_->Drop(std::move(values_));
  }

  void AppendObject(Object owned, ObjectHooks* hooks) override {
    hooks_ = hooks;
    values_.push_back(owned);
    Grew(true);
  }

 protected:
  void AppendEmpty() override { values_.push_back(nullptr); }
  void AppendValueFrom(const Column& column, int64_t row) override {
    ObjectHooks* hooks = column.objects->hooks();
    AppendObject(hooks->Share(column.ObjectAt(row)), hooks);
  }
  void FinishValues(Column* out) override {
    // Nulls become the host's None once a value has told who the host is; until then there is no
    // block.
    if (hooks_) {
      static constexpr char kNoneBytes[] = {0x00};
      for (Object& value : values_) {
        if (value) continue;
        Result<Object> none = hooks_->Decode({kNoneBytes, 1});
        HR_CHECK(none.ok());
        value = none.value();
      }
      out->objects = std::make_shared<ObjectBlock>(hooks_, std::move(values_));
      out->validity.reset();
    }
    hooks_ = nullptr;
    values_.clear();
  }

 private:
  ObjectHooks* hooks_ = nullptr;
  std::vector<Object> values_;
};

[[noreturn]] void WrongCall(const char* call) {
  CheckFailed(__FILE__, __LINE__, std::string(call) + " on a builder of another type");
}

template <typename Builder>
Result<std::unique_ptr<ColumnBuilder>> MakeNested(const DataTypePtr& type) {
  std::vector<std::unique_ptr<ColumnBuilder>> children;
  for (const Field& field : type->children()) {
    HR_ASSIGN_OR_RETURN(auto child, ColumnBuilder::Make(field.type));
    children.push_back(std::move(child));
  }
  return std::unique_ptr<ColumnBuilder>(std::make_unique<Builder>(type, std::move(children)));
}

}  // namespace

void ColumnBuilder::AppendInt(int64_t) { WrongCall("AppendInt"); }
void ColumnBuilder::AppendFloat(double) { WrongCall("AppendFloat"); }
void ColumnBuilder::AppendString(std::string_view) { WrongCall("AppendString"); }
void ColumnBuilder::CloseList() { WrongCall("CloseList"); }
void ColumnBuilder::CloseStruct() { WrongCall("CloseStruct"); }
void ColumnBuilder::AppendFixedBytes(std::string_view) { WrongCall("AppendFixedBytes"); }
void ColumnBuilder::AppendObject(Object, ObjectHooks*) { WrongCall("AppendObject"); }

const std::vector<std::unique_ptr<ColumnBuilder>>& ColumnBuilder::children() const {
  static const std::vector<std::unique_ptr<ColumnBuilder>> none;
  return none;
}

Result<std::unique_ptr<ColumnBuilder>> ColumnBuilder::Make(const DataTypePtr& type) {
  using Made = std::unique_ptr<ColumnBuilder>;
  switch (type->kind()) {
    case TypeKind::kNull:
      return Made(std::make_unique<NullBuilder>(type));
    case TypeKind::kBool:
      return Made(std::make_unique<BoolBuilder>(type));
    case TypeKind::kInt8:
      return Made(std::make_unique<IntBuilder<int8_t>>(type));
    case TypeKind::kInt16:
      return Made(std::make_unique<IntBuilder<int16_t>>(type));
    case TypeKind::kInt32:
    case TypeKind::kDate32:
      return Made(std::make_unique<IntBuilder<int32_t>>(type));
    case TypeKind::kInt64:
    case TypeKind::kTime64:
    case TypeKind::kTimestamp:
    case TypeKind::kDuration:
      return Made(std::make_unique<IntBuilder<int64_t>>(type));
    case TypeKind::kFloat32:
      return Made(std::make_unique<FloatBuilder<float>>(type));
    case TypeKind::kFloat64:
      return Made(std::make_unique<FloatBuilder<double>>(type));
    case TypeKind::kString:
    case TypeKind::kBinary:
      return Made(std::make_unique<StringBuilder>(type));
    case TypeKind::kDecimal128:
      return Made(std::make_unique<DecimalBuilder>(type));
    case TypeKind::kList:
    case TypeKind::kMap:
      return MakeNested<ListBuilder>(type);
    case TypeKind::kStruct:
      return MakeNested<StructBuilder>(type);
    case TypeKind::kObject:
      return Made(std::make_unique<ObjectBuilder>(type));
    case TypeKind::kDictionary:
    case TypeKind::kForeign:
      break;
  }
  return Status::InvalidArgument("columns of type " + type->ToString() +
                                 " cannot be built a value at a time");
}

Result<ColumnPtr> Column::OfNulls(const DataTypePtr& type, int64_t length) {
  if (type->kind() == TypeKind::kDictionary) {
    auto column = std::make_shared<Column>();
    column->type = type;
    column->length = length;
    column->validity = MakeBitmap(length, false);
    auto indices = Buffer::Allocate(static_cast<size_t>(length * type->fixed_width()));
    std::memset(indices->mutable_data(), 0, indices->size_bytes());
    column->values = std::move(indices);
    HR_ASSIGN_OR_RETURN(column->dictionary, OfNulls(type->children()[1].type, 0));
    return ColumnPtr(std::move(column));
  }
  HR_ASSIGN_OR_RETURN(auto builder, ColumnBuilder::Make(type));
  for (int64_t i = 0; i < length; ++i) builder->AppendNull();
  return builder->Finish();
}

}  // namespace headrace
