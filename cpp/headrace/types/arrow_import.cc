#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "headrace/types/arrow_bridge.h"
#include "headrace/types/bitmap.h"

namespace headrace {
namespace {

// No real array comes near; keeps `length + offset` and products with widths far from overflow.
constexpr int64_t kRowsMax = int64_t{1} << 48;
constexpr int kNestingMax = 64;

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

/// The kind an Arrow format string stands for; what has no kind here is carried through as foreign.
TypeKind KindOfFormat(std::string_view format) {
  struct Entry {
    std::string_view format;
    TypeKind kind;
  };
  static constexpr Entry kEntries[] = {
      {"n", TypeKind::kNull},       {"b", TypeKind::kBool},       {"c", TypeKind::kInt8},
      {"s", TypeKind::kInt16},      {"i", TypeKind::kInt32},      {"l", TypeKind::kInt64},
      {"f", TypeKind::kFloat32},    {"g", TypeKind::kFloat64},    {"u", TypeKind::kString},
      {"z", TypeKind::kBinary},     {"tdD", TypeKind::kDate32},   {"ttu", TypeKind::kTime64},
      {"tDs", TypeKind::kDuration}, {"tDm", TypeKind::kDuration}, {"tDu", TypeKind::kDuration},
      {"tDn", TypeKind::kDuration}, {"+l", TypeKind::kList},      {"+m", TypeKind::kMap},
      {"+s", TypeKind::kStruct},
  };
  for (const Entry& entry : kEntries) {
    if (entry.format == format) return entry.kind;
  }
  for (const char* prefix : {"tss:", "tsm:", "tsu:", "tsn:"}) {
    if (StartsWith(format, prefix)) return TypeKind::kTimestamp;
  }
  if (StartsWith(format, "d:")) {
    // "d:precision,scale" is 128 bits wide unless a third number says otherwise.
    const size_t first = format.find(',');
    const size_t second = first == format.npos ? first : format.find(',', first + 1);
    if (first != format.npos && (second == format.npos || format.substr(second + 1) == "128")) {
      return TypeKind::kDecimal128;
    }
  }
  return TypeKind::kForeign;
}

bool IsIndexFormat(std::string_view format) {
  return format.size() == 1 && std::string_view("cCsSiIlL").find(format[0]) != format.npos;
}

Result<DataTypePtr> ImportType(const ArrowSchema& schema, int depth);

Result<Field> ImportField(const ArrowSchema& schema, int depth) {
  HR_ASSIGN_OR_RETURN(DataTypePtr type, ImportType(schema, depth));
  return Field{schema.name ? schema.name : "", std::move(type),
               (schema.flags & ARROW_FLAG_NULLABLE) != 0};
}

Result<DataTypePtr> ImportType(const ArrowSchema& schema, int depth) {
  if (depth > kNestingMax) return Status::InvalidArgument("an Arrow schema nested too deeply");
  if (schema.release == nullptr) return Status::InvalidArgument("a released Arrow schema");
  if (schema.format == nullptr) return Status::InvalidArgument("an Arrow schema without a format");
  if (schema.n_children < 0 || (schema.n_children > 0 && schema.children == nullptr)) {
    return Status::InvalidArgument("an Arrow schema with " + std::to_string(schema.n_children) +
                                   " children");
  }
  const std::string format = schema.format;
  std::vector<Field> children;
  if (schema.dictionary != nullptr) {
    HR_ASSIGN_OR_RETURN(Field values, ImportField(*schema.dictionary, depth + 1));
    if (!IsIndexFormat(format)) {
      return Status::InvalidArgument("an Arrow dictionary with indices of format '" + format + "'");
    }
    children.push_back({"index", std::make_shared<DataType>(KindOfFormat(format), format), false});
    children.push_back({"value", std::move(values.type), true});
    return std::make_shared<const DataType>(TypeKind::kDictionary, format, std::move(children));
  }
  for (int64_t i = 0; i < schema.n_children; ++i) {
    if (schema.children[i] == nullptr) return Status::InvalidArgument("a missing Arrow child");
    HR_ASSIGN_OR_RETURN(Field child, ImportField(*schema.children[i], depth + 1));
    children.push_back(std::move(child));
  }
  const TypeKind kind = KindOfFormat(format);
  const bool one_child = kind == TypeKind::kList || kind == TypeKind::kMap;
  const bool any_children = kind == TypeKind::kStruct || kind == TypeKind::kForeign;
  if (!any_children && children.size() != (one_child ? 1 : 0)) {
    return Status::InvalidArgument("an Arrow schema of format '" + format + "' with " +
                                   std::to_string(children.size()) + " children");
  }
  if (kind == TypeKind::kMap &&
      (children[0].type->kind() != TypeKind::kStruct || children[0].type->children().size() != 2)) {
    return Status::InvalidArgument("an Arrow map whose entries are not (key, value) structs");
  }
  return std::make_shared<const DataType>(kind, format, std::move(children));
}

/// The imported root: lives until the last buffer that points into it is gone.
struct ImportedArray {
  explicit ImportedArray(ArrowArray* from) : array(*from) { from->release = nullptr; }
  ~ImportedArray() {
    if (array.release != nullptr) array.release(&array);
  }
  ImportedArray(const ImportedArray&) = delete;
  ImportedArray& operator=(const ImportedArray&) = delete;
  ArrowArray array;
};

/// Reads the nodes of one imported array as columns.
class ArrayReader {
 public:
  explicit ArrayReader(std::shared_ptr<const ImportedArray> owner) : owner_(std::move(owner)) {}

  static Status CheckNode(const ArrowArray& array) {
    if (array.length < 0 || array.offset < 0 || array.length > kRowsMax ||
        array.offset > kRowsMax) {
      return Bad("length " + std::to_string(array.length) + " and offset " +
                 std::to_string(array.offset));
    }
    if (array.null_count < -1 || array.null_count > array.length) {
      return Bad("null count " + std::to_string(array.null_count));
    }
    if (array.n_buffers < 0 || (array.n_buffers > 0 && array.buffers == nullptr)) {
      return Bad(std::to_string(array.n_buffers) + " buffers");
    }
    if (array.n_children < 0 || (array.n_children > 0 && array.children == nullptr)) {
      return Bad(std::to_string(array.n_children) + " children");
    }
    for (int64_t i = 0; i < array.n_children; ++i) {
      if (array.children[i] == nullptr || array.children[i]->release == nullptr) {
        return Bad("a child that was released");
      }
    }
    return Status::Ok();
  }

  Result<ColumnPtr> Read(const ArrowArray& array, const DataTypePtr& type) const {
    HR_RETURN_IF_ERROR(CheckNode(array));
    auto column = std::make_shared<Column>();
    column->type = type;
    column->length = array.length;
    column->offset = array.offset;
    if (type->kind() == TypeKind::kForeign) {
      // Only this node is looked at; the rest goes out as it came in.
      column->foreign = std::shared_ptr<const void>(owner_, &array);
      return ColumnPtr(std::move(column));
    }
    HR_RETURN_IF_ERROR(CheckCounts(array, *type));
    if (type->kind() == TypeKind::kNull) {
      column->offset = 0;
      column->validity = MakeBitmap(array.length, false);
      return ColumnPtr(std::move(column));
    }
    HR_RETURN_IF_ERROR(ReadValidity(array, column.get()));
    switch (type->kind()) {
      case TypeKind::kString:
      case TypeKind::kBinary:
        HR_RETURN_IF_ERROR(ReadOffsets(array, column.get()));
        HR_RETURN_IF_ERROR(ReadBytes(array, column.get()));
        break;
      case TypeKind::kList:
      case TypeKind::kMap:
        HR_RETURN_IF_ERROR(ReadOffsets(array, column.get()));
        HR_RETURN_IF_ERROR(ReadChildren(array, LastOffset(*column), column.get()));
        break;
      case TypeKind::kStruct:
        HR_RETURN_IF_ERROR(ReadChildren(array, array.offset + array.length, column.get()));
        break;
      case TypeKind::kDictionary: {
        HR_RETURN_IF_ERROR(ReadValues(array, column.get()));
        HR_ASSIGN_OR_RETURN(column->dictionary, Read(*array.dictionary, type->children()[1].type));
        break;
      }
      default:
        HR_RETURN_IF_ERROR(ReadValues(array, column.get()));
    }
    return ColumnPtr(std::move(column));
  }

 private:
  static Status Bad(const std::string& what) {
    return Status::InvalidArgument("a malformed Arrow array: " + what);
  }

  static Status CheckCounts(const ArrowArray& array, const DataType& type) {
    int64_t buffers = 2;
    int64_t children = 0;
    switch (type.kind()) {
      case TypeKind::kNull:
        buffers = 0;
        break;
      case TypeKind::kString:
      case TypeKind::kBinary:
        buffers = 3;
        break;
      case TypeKind::kStruct:
        buffers = 1;
        children = static_cast<int64_t>(type.children().size());
        break;
      case TypeKind::kList:
      case TypeKind::kMap:
        children = 1;
        break;
      default:
        break;
    }
    if (array.n_buffers != buffers || array.n_children != children) {
      return Bad("type " + type.ToString() + " with " + std::to_string(array.n_buffers) +
                 " buffers and " + std::to_string(array.n_children) + " children");
    }
    const bool has_dictionary = array.dictionary != nullptr && array.dictionary->release != nullptr;
    if (has_dictionary != (type.kind() == TypeKind::kDictionary)) {
      return Bad("type " + type.ToString() +
                 (has_dictionary ? " with a dictionary" : " without its dictionary"));
    }
    return Status::Ok();
  }

  BufferPtr Wrap(const void* data, int64_t size_bytes) const {
    return std::make_shared<const Buffer>(data, static_cast<size_t>(size_bytes), owner_);
  }

  /// An array of no rows may come without memory; accessors want some.
  static BufferPtr Zeros() {
    static const BufferPtr zeros = [] {
      auto buffer = Buffer::Allocate(64);
      std::memset(buffer->mutable_data(), 0, 64);
      return BufferPtr(buffer);
    }();
    return zeros;
  }

  Status ReadValidity(const ArrowArray& array, Column* column) const {
    const void* bits = array.buffers[0];
    if (bits == nullptr) {
      return array.null_count > 0 ? Bad("nulls but no validity bitmap") : Status::Ok();
    }
    if (array.null_count == 0) return Status::Ok();
    // A bitmap without a zero is dropped: kernels are faster without.
    if (CountSetBits(static_cast<const uint8_t*>(bits), array.offset, array.length) ==
        array.length) {
      return Status::Ok();
    }
    column->validity = Wrap(bits, BitmapBytes(array.offset + array.length));
    return Status::Ok();
  }

  Status ReadValues(const ArrowArray& array, Column* column) const {
    const int64_t width = column->type->fixed_width();
    const int64_t rows = array.offset + array.length;
    return ReadWide(array, width > 0 ? rows * width : BitmapBytes(rows), width, column);
  }

  /// Buffer 1 of `size_bytes` bytes, made of values of `width` bytes.
  Status ReadWide(const ArrowArray& array, int64_t size_bytes, int64_t width,
                  Column* column) const {
    const void* data = array.buffers[1];
    if (array.length == 0) {
      column->values = Zeros();
      column->offset = 0;
      return Status::Ok();
    }
    if (data == nullptr) return Bad("type " + column->type->ToString() + " without values");
    const int64_t alignment = width > 8 ? 8 : width;
    if (alignment > 1 && reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(alignment) != 0) {
      // Legal Arrow but rare (a file mapped at an odd place); reading it in place is undefined in
      // C++.
      auto copy = Buffer::Allocate(static_cast<size_t>(size_bytes));
      std::memcpy(copy->mutable_data(), data, static_cast<size_t>(size_bytes));
      column->values = std::move(copy);
      return Status::Ok();
    }
    column->values = Wrap(data, size_bytes);
    return Status::Ok();
  }

  Status ReadOffsets(const ArrowArray& array, Column* column) const {
    HR_RETURN_IF_ERROR(
        ReadWide(array, (array.offset + array.length + 1) * 4, sizeof(int32_t), column));
    const int32_t* ends = column->Values<int32_t>();
    // Without a branch, so that it costs no more than reading them.
    bool descend = ends[0] < 0;
    for (int64_t i = 0; i < array.length; ++i) descend |= ends[i + 1] < ends[i];
    if (descend) {
      return Bad("offsets from " + std::to_string(ends[0]) + " to " +
                 std::to_string(ends[array.length]) + " that do not ascend");
    }
    return Status::Ok();
  }

  static int64_t LastOffset(const Column& column) {
    return column.Values<int32_t>()[column.length];
  }

  Status ReadBytes(const ArrowArray& array, Column* column) const {
    const int64_t size_bytes = LastOffset(*column);
    if (array.buffers[2] != nullptr) {
      column->data = Wrap(array.buffers[2], size_bytes);
    } else if (size_bytes == 0) {
      column->data = Zeros();
    } else {
      return Bad(std::to_string(size_bytes) + " bytes of strings without their buffer");
    }
    return Status::Ok();
  }

  Status ReadChildren(const ArrowArray& array, int64_t rows_needed, Column* column) const {
    // The children of a struct of no rows are as empty as it is, whatever the offset.
    if (column->type->kind() == TypeKind::kStruct && array.length == 0) {
      rows_needed = 0;
      column->offset = 0;
    }
    const auto& fields = column->type->children();
    for (size_t i = 0; i < fields.size(); ++i) {
      const ArrowArray& child = *array.children[i];
      if (child.length < rows_needed) {
        return Bad("a child of " + std::to_string(child.length) + " rows where " +
                   std::to_string(rows_needed) + " are needed");
      }
      auto read = Read(child, fields[i].type);
      if (!read.ok()) return read.status().WithContext("field '" + fields[i].name + "'");
      column->children.push_back(std::move(read).value());
    }
    return Status::Ok();
  }

  std::shared_ptr<const ImportedArray> owner_;
};

/// Makes row i null wherever bit start + i of `parent` is 0.
Result<ColumnPtr> HideRows(const ColumnPtr& column, const uint8_t* parent, int64_t start) {
  if (column->type->kind() == TypeKind::kNull) return column;
  if (column->type->kind() == TypeKind::kForeign) {
    return Status::Unimplemented("null rows above a column of type " + column->type->ToString());
  }
  auto hidden = std::make_shared<Column>(*column);
  auto validity = MakeBitmap(column->offset + column->length, false);
  for (int64_t i = 0; i < column->length; ++i) {
    SetBitTo(validity->mutable_data(), column->offset + i,
             GetBit(parent, start + i) && !column->IsNull(i));
  }
  hidden->validity = std::move(validity);
  return ColumnPtr(std::move(hidden));
}

/// Whether the array is the struct of columns that ExportBatch writes, and not the only column
/// itself.
bool IsWrapped(const ArrowArray& array, const Schema& schema) {
  if (schema.shape() != RecordShape::kScalar) return true;
  if (array.n_buffers != 1 || array.n_children != 1) return false;
  const DataType& type = *schema.fields()[0].type;
  if (type.kind() != TypeKind::kStruct) return type.kind() != TypeKind::kForeign;
  return array.children[0] != nullptr &&
         array.children[0]->n_children == static_cast<int64_t>(type.children().size());
}

}  // namespace

Result<SchemaPtr> ImportSchema(const ArrowSchema& schema) {
  HR_ASSIGN_OR_RETURN(DataTypePtr type, ImportType(schema, 0));
  if (type->kind() == TypeKind::kStruct) {
    return std::make_shared<const Schema>(RecordShape::kRow, type->children());
  }
  const bool nullable = (schema.flags & ARROW_FLAG_NULLABLE) != 0;
  return std::make_shared<const Schema>(RecordShape::kScalar,
                                        std::vector<Field>{{"value", std::move(type), nullable}});
}

Result<RecordBatch> ImportBatch(ArrowArray* array, const SchemaPtr& schema) {
  if (array->release == nullptr) return Status::InvalidArgument("a released Arrow array");
  auto owner = std::make_shared<const ImportedArray>(array);
  const ArrowArray& root = owner->array;
  const ArrayReader reader(owner);
  HR_RETURN_IF_ERROR(ArrayReader::CheckNode(root));
  RecordBatch batch;
  batch.schema = schema;
  batch.num_rows = root.length;
  if (!IsWrapped(root, *schema)) {
    HR_ASSIGN_OR_RETURN(ColumnPtr column, reader.Read(root, schema->fields()[0].type));
    batch.columns.push_back(std::move(column));
    return batch;
  }
  // A struct reads its children itself; its offset and nulls then move into the columns.
  const auto type = std::make_shared<const DataType>(TypeKind::kStruct, "+s", schema->fields());
  HR_ASSIGN_OR_RETURN(ColumnPtr whole, reader.Read(root, type));
  for (const ColumnPtr& child : whole->children) {
    ColumnPtr column = Column::Slice(child, whole->offset, whole->length);
    if (whole->validity) {
      HR_ASSIGN_OR_RETURN(column, HideRows(column, whole->validity->data(), whole->offset));
    }
    batch.columns.push_back(std::move(column));
  }
  return batch;
}

}  // namespace headrace
