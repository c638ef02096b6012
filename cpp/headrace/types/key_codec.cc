#include "headrace/types/key_codec.h"

#include <cstring>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/base/hash.h"
#include "headrace/types/dictionary_index.h"
#include "headrace/types/key_groups_of_ints.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr size_t kStackBytes = 256;
constexpr size_t kVarintBytesMax = 10;

size_t WriteVarint(uint64_t value, uint8_t* to) {
  size_t size = 0;
  while (value >= 0x80) {
    to[size++] = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  to[size++] = static_cast<uint8_t>(value);
  return size;
}

uint16_t GroupOfHash(uint64_t hash, int max_parallelism) {
  return static_cast<uint16_t>(hash % static_cast<uint64_t>(max_parallelism));
}

}  // namespace

uint16_t KeyGroupOf(std::string_view canonical, int max_parallelism) {
  return GroupOfHash(Hash64(canonical), max_parallelism);
}

uint16_t KeyGroupOfInt(int64_t key, int max_parallelism) {
  uint8_t encoded[1 + kVarintBytesMax];
  encoded[0] = static_cast<uint8_t>(ValueTag::kInt);
  const size_t size = 1 + WriteVarint(ZigZagOf(key), encoded + 1);
  return GroupOfHash(Hash64(encoded, size), max_parallelism);
}

uint16_t KeyGroupOfStr(std::string_view key, int max_parallelism) {
  if (key.size() > kStackBytes) {
    ByteWriter encoded;
    EncodeStr(key, &encoded);
    return KeyGroupOf(encoded.view(), max_parallelism);
  }
  uint8_t encoded[1 + kVarintBytesMax + kStackBytes];
  encoded[0] = static_cast<uint8_t>(ValueTag::kStr);
  size_t size = 1 + WriteVarint(key.size(), encoded + 1);
  if (!key.empty()) std::memcpy(encoded + size, key.data(), key.size());
  size += key.size();
  return GroupOfHash(Hash64(encoded, size), max_parallelism);
}

Key Key::OfCanonical(std::string_view canonical) {
  HR_CHECK(!canonical.empty());
  const auto tag = static_cast<ValueTag>(canonical[0]);
  ByteReader in(canonical.substr(1));
  if (tag == ValueTag::kInt) {
    int64_t value = 0;
    HR_CHECK(in.ZigZag(&value).ok() && in.done());
    return OfInt(value);
  }
  if (tag == ValueTag::kStr) {
    std::string_view utf8;
    HR_CHECK(in.String(&utf8).ok() && in.done());
    return OfStr(utf8);
  }
  return {KeyForm::kBytes, 0, canonical};
}

void Key::Encode(ByteWriter* out) const {
  switch (form) {
    case KeyForm::kInt:
      EncodeInt(number, out);
      break;
    case KeyForm::kStr:
      EncodeStr(bytes, out);
      break;
    case KeyForm::kBytes:
      out->Raw(bytes);
      break;
  }
}

uint16_t Key::Group(int max_parallelism) const {
  switch (form) {
    case KeyForm::kInt:
      return KeyGroupOfInt(number, max_parallelism);
    case KeyForm::kStr:
      return KeyGroupOfStr(bytes, max_parallelism);
    case KeyForm::kBytes:
      break;
  }
  return KeyGroupOf(bytes, max_parallelism);
}

KeyView::KeyView(const Column& column) : column_(column) {
  if (column.validity) return;
  if (column.type->kind() == TypeKind::kInt64) ints_ = column.Values<int64_t>();
  all_strings_ = column.type->kind() == TypeKind::kString;
  all_objects_ = column.type->kind() == TypeKind::kObject;
}

Status KeyView::Read(int64_t row, Key* out) {
  if (ints_) {
    *out = Key::OfInt(ints_[row]);
    return Status::Ok();
  }
  const Column* column = &column_;
  // A dictionary is read through; a bad index is left to the encoder, which names it.
  while (column->type->kind() == TypeKind::kDictionary && !column->IsNull(row)) {
    const int64_t index = DictionaryIndexAt(*column, row);
    if (index < 0 || index >= column->dictionary->length) break;
    column = column->dictionary.get();
    row = index;
  }
  if (!column->IsNull(row)) {
    switch (column->type->kind()) {
      case TypeKind::kString:
        *out = Key::OfStr(column->StringAt(row));
        return Status::Ok();
      case TypeKind::kInt8:
        *out = Key::OfInt(column->Values<int8_t>()[row]);
        return Status::Ok();
      case TypeKind::kInt16:
        *out = Key::OfInt(column->Values<int16_t>()[row]);
        return Status::Ok();
      case TypeKind::kInt32:
        *out = Key::OfInt(column->Values<int32_t>()[row]);
        return Status::Ok();
      case TypeKind::kInt64:
        *out = Key::OfInt(column->Values<int64_t>()[row]);
        return Status::Ok();
      default:
        break;
    }
  }
  scratch_.Clear();
  HR_RETURN_IF_ERROR(EncodeColumnValue(*column, row, /*as_key=*/true, &scratch_));
  *out = Key::OfCanonical(scratch_.view());
  return Status::Ok();
}

Status KeyView::Groups(int64_t count, int max_parallelism, uint16_t* out) {
  if (ints_) {
    KeyGroupsOfInts(ints_, count, max_parallelism, out);
    return Status::Ok();
  }
  if (all_strings_) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = KeyGroupOfStr(column_.StringAt(i), max_parallelism);
    }
    return Status::Ok();
  }
  if (all_objects_) {
    std::vector<Object> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) values[i] = column_.ObjectAt(i);
    return column_.objects->hooks()->KeyGroups(values.data(), count, max_parallelism, out);
  }
  Key key;
  for (int64_t i = 0; i < count; ++i) {
    HR_RETURN_IF_ERROR(Read(i, &key));
    out[i] = key.Group(max_parallelism);
  }
  return Status::Ok();
}

}  // namespace headrace
