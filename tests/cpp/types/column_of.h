#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "headrace/types/column.h"
#include "headrace/types/column_builder.h"
#include "headrace/types/value_codec.h"

namespace headrace {

/// Columns from values, for tests; nullopt is null.
template <typename T>
ColumnPtr IntsOf(DataTypePtr type, const std::vector<std::optional<T>>& values) {
  auto builder = ColumnBuilder::Make(type).value();
  for (const auto& value : values) value ? builder->AppendInt(*value) : builder->AppendNull();
  return builder->Finish();
}

inline ColumnPtr Int64s(const std::vector<std::optional<int64_t>>& values) {
  return IntsOf<int64_t>(Int64Type(), values);
}

inline ColumnPtr Doubles(const std::vector<std::optional<double>>& values) {
  auto builder = ColumnBuilder::Make(Float64Type()).value();
  for (const auto& value : values) value ? builder->AppendFloat(*value) : builder->AppendNull();
  return builder->Finish();
}

inline ColumnPtr Strings(const std::vector<std::optional<std::string>>& values,
                         DataTypePtr type = StringType()) {
  auto builder = ColumnBuilder::Make(type).value();
  for (const auto& value : values) value ? builder->AppendString(*value) : builder->AppendNull();
  return builder->Finish();
}

/// Dictionary column with int32 (or other) indices into `values`.
template <typename Index>
ColumnPtr DictionaryOf(DataTypePtr index_type, const std::vector<std::optional<Index>>& indices,
                       ColumnPtr values) {
  const ColumnPtr plain = IntsOf<Index>(index_type, indices);
  auto column = std::make_shared<Column>(*plain);
  column->type = std::make_shared<const DataType>(
      TypeKind::kDictionary, index_type->arrow_format(),
      std::vector<Field>{{"index", index_type, false}, {"value", values->type, true}});
  column->dictionary = std::move(values);
  return column;
}

/// What a row holds, as text; the reference by which columns are compared.
inline std::string TextAt(const Column& column, int64_t row) {
  ByteWriter encoded;
  const Status status = EncodeColumnValue(column, row, false, &encoded);
  return status.ok() ? DescribeValue(encoded.view()) : status.ToString();
}

inline std::vector<std::string> Texts(const Column& column) {
  std::vector<std::string> out;
  for (int64_t i = 0; i < column.length; ++i) out.push_back(TextAt(column, i));
  return out;
}

/// Every type with a builder that holds native values.
inline std::vector<DataTypePtr> NativeTypes() {
  const auto type = [](TypeKind kind, const char* format, std::vector<Field> children = {}) {
    return std::make_shared<const DataType>(kind, format, std::move(children));
  };
  std::vector<DataTypePtr> types = {
      type(TypeKind::kNull, "n"),
      BoolType(),
      Int8Type(),
      Int16Type(),
      Int32Type(),
      Int64Type(),
      Float32Type(),
      Float64Type(),
      StringType(),
      BinaryType(),
      Date32Type(),
      Time64Type(),
      TimestampMsType(),
      type(TypeKind::kTimestamp, "tsu:+02:30"),
      type(TypeKind::kDuration, "tDs"),
      type(TypeKind::kDecimal128, "d:20,3"),
  };
  types.push_back(ListType({"item", Int64Type(), true}));
  types.push_back(ListType({"item", ListType({"item", StringType(), true}), true}));
  types.push_back(StructType({{"a", Int32Type(), true}, {"b", StringType(), true}}));
  types.push_back(StructType({{"l", ListType({"item", BoolType(), true}), true},
                              {"s", StructType({{"x", Float64Type(), true}}), true}}));
  types.push_back(
      type(TypeKind::kMap, "+m",
           {{"entries", StructType({{"key", StringType(), false}, {"value", Int64Type(), true}}),
             false}}));
  return types;
}

/// Appends a random value (null one time in five, except for keys of maps).
inline void AppendRandom(const DataType& type, std::mt19937* random, ColumnBuilder* out,
                         bool nullable = true) {
  const auto below = [&](uint32_t limit) { return static_cast<int64_t>((*random)() % limit); };
  if ((nullable && below(5) == 0) || type.kind() == TypeKind::kNull) return out->AppendNull();
  switch (type.kind()) {
    case TypeKind::kBool:
      return out->AppendInt(below(2));
    case TypeKind::kFloat32:
    case TypeKind::kFloat64:
      return out->AppendFloat(static_cast<double>(below(1000)) / 8);
    case TypeKind::kString:
    case TypeKind::kBinary:
      return out->AppendString(
          std::string(static_cast<size_t>(below(20)), static_cast<char>('a' + below(26))));
    case TypeKind::kDecimal128: {
      int64_t words[2] = {below(1'000'000'000), 0};
      return out->AppendFixedBytes({reinterpret_cast<const char*>(words), 16});
    }
    case TypeKind::kList:
    case TypeKind::kMap:
      for (int64_t i = below(4); i > 0; --i) {
        const Field& item = type.children()[0];
        AppendRandom(*item.type, random, out->children()[0].get(), item.nullable);
      }
      return out->CloseList();
    case TypeKind::kStruct:
      for (size_t i = 0; i < type.children().size(); ++i) {
        AppendRandom(*type.children()[i].type, random, out->children()[i].get(),
                     type.children()[i].nullable);
      }
      return out->CloseStruct();
    default:
      return out->AppendInt(below(100));
  }
}

inline ColumnPtr RandomColumn(const DataTypePtr& type, int64_t length, uint32_t seed) {
  std::mt19937 random(seed);
  auto builder = ColumnBuilder::Make(type).value();
  for (int64_t i = 0; i < length; ++i) AppendRandom(*type, &random, builder.get());
  return builder->Finish();
}

}  // namespace headrace
