#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/types/bitmap.h"
#include "headrace/types/column.h"
#include "headrace/types/column_builder.h"
#include "headrace/types/dictionary_index.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

using Parts = std::vector<ColumnPtr>;

Status TooMuch(const char* what) {
  return Status::ResourceExhausted(std::string("a batch cannot hold more than 2^31 ") + what +
                                   " in one column: use smaller batches");
}

const int32_t* Offsets(const Column& column) {
  return reinterpret_cast<const int32_t*>(column.values->data()) + column.offset;
}

BufferPtr ConcatValidity(const Parts& parts, int64_t length) {
  bool any = false;
  for (const ColumnPtr& part : parts) any = any || part->validity;
  if (!any) return nullptr;
  auto bits = MakeBitmap(length, true);
  int64_t at = 0;
  for (const ColumnPtr& part : parts) {
    if (part->validity) {
      CopyBits(part->validity->data(), part->offset, bits->mutable_data(), at, part->length);
    }
    at += part->length;
  }
  return bits;
}

void ConcatBools(const Parts& parts, Column* out) {
  auto bits = MakeBitmap(out->length, false);
  int64_t at = 0;
  for (const ColumnPtr& part : parts) {
    CopyBits(part->values->data(), part->offset, bits->mutable_data(), at, part->length);
    at += part->length;
  }
  out->values = std::move(bits);
}

void ConcatFixed(const Parts& parts, Column* out) {
  const int64_t width = out->type->fixed_width();
  HR_CHECK_GT(width, 0);
  auto values = Buffer::Allocate(static_cast<size_t>(out->length * width));
  uint8_t* to = values->mutable_data();
  for (const ColumnPtr& part : parts) {
    const size_t size_bytes = static_cast<size_t>(part->length * width);
    std::memcpy(to, part->values->data() + part->offset * width, size_bytes);
    to += size_bytes;
  }
  out->values = std::move(values);
}

/// Offsets of all parts behind each other, starting at 0; what they point into is concatenated by
/// the caller.
Status ConcatOffsets(const Parts& parts, const char* what, Column* out) {
  auto offsets = Buffer::Allocate(static_cast<size_t>(out->length + 1) * sizeof(int32_t));
  auto* to = reinterpret_cast<int32_t*>(offsets->mutable_data());
  int64_t base = 0;
  *to++ = 0;
  for (const ColumnPtr& part : parts) {
    const int32_t* from = Offsets(*part);
    if (base + from[part->length] - from[0] > std::numeric_limits<int32_t>::max()) {
      return TooMuch(what);
    }
    for (int64_t i = 1; i <= part->length; ++i) {
      *to++ = static_cast<int32_t>(base + from[i] - from[0]);
    }
    base += from[part->length] - from[0];
  }
  out->values = std::move(offsets);
  return Status::Ok();
}

Status ConcatStrings(const Parts& parts, Column* out) {
  HR_RETURN_IF_ERROR(ConcatOffsets(parts, "bytes", out));
  auto bytes = Buffer::Allocate(static_cast<size_t>(Offsets(*out)[out->length]));
  uint8_t* to = bytes->mutable_data();
  for (const ColumnPtr& part : parts) {
    const int32_t* from = Offsets(*part);
    const size_t size_bytes = static_cast<size_t>(from[part->length] - from[0]);
    std::memcpy(to, part->data->data() + from[0], size_bytes);
    to += size_bytes;
  }
  out->data = std::move(bytes);
  return Status::Ok();
}

Status ConcatLists(const Parts& parts, Column* out) {
  HR_RETURN_IF_ERROR(ConcatOffsets(parts, "items", out));
  Parts items;
  for (const ColumnPtr& part : parts) {
    const int32_t* from = Offsets(*part);
    items.push_back(Column::Slice(part->children[0], from[0], from[part->length] - from[0]));
  }
  HR_ASSIGN_OR_RETURN(ColumnPtr child, Column::Concat(items));
  out->children = {std::move(child)};
  return Status::Ok();
}

Status ConcatStructs(const Parts& parts, Column* out) {
  for (size_t c = 0; c < out->type->children().size(); ++c) {
    Parts members;
    for (const ColumnPtr& part : parts) {
      members.push_back(Column::Slice(part->children[c], part->offset, part->length));
    }
    HR_ASSIGN_OR_RETURN(ColumnPtr child, Column::Concat(members));
    out->children.push_back(std::move(child));
  }
  return Status::Ok();
}

void WriteIndex(int width, int64_t index, uint8_t* to) { std::memcpy(to, &index, width); }

/// One dictionary for all parts: equal entries become one, so that repeated merging does not
/// outgrow the index type.
Status ConcatDictionaries(const Parts& parts, Column* out) {
  bool same = true;
  for (const ColumnPtr& part : parts) same = same && part->dictionary == parts[0]->dictionary;
  if (same) {
    out->dictionary = parts[0]->dictionary;
    ConcatFixed(parts, out);
    return Status::Ok();
  }
  std::unordered_map<std::string, int64_t> seen;
  Parts entries;
  const int width = out->type->fixed_width();
  auto values = Buffer::Allocate(static_cast<size_t>(out->length * width));
  uint8_t* to = values->mutable_data();
  for (const ColumnPtr& part : parts) {
    std::vector<int64_t> renumbered(static_cast<size_t>(part->dictionary->length));
    std::vector<int32_t> fresh;
    for (int64_t i = 0; i < part->dictionary->length; ++i) {
      ByteWriter encoded;
      HR_RETURN_IF_ERROR(EncodeColumnValue(*part->dictionary, i, false, &encoded));
      auto [entry, added] = seen.emplace(encoded.Take(), static_cast<int64_t>(seen.size()));
      renumbered[static_cast<size_t>(i)] = entry->second;
      if (added) fresh.push_back(static_cast<int32_t>(i));
    }
    HR_ASSIGN_OR_RETURN(ColumnPtr added_entries, Column::Take(part->dictionary, fresh.data(),
                                                              static_cast<int64_t>(fresh.size())));
    entries.push_back(std::move(added_entries));
    for (int64_t i = 0; i < part->length; ++i, to += width) {
      int64_t index = 0;
      if (!part->IsNull(i)) {
        index = DictionaryIndexAt(*part, i);
        if (index < 0 || index >= part->dictionary->length) {
          return Status::InvalidArgument("row " + std::to_string(i) + " has dictionary index " +
                                         std::to_string(index) + " of " +
                                         std::to_string(part->dictionary->length) + " entries");
        }
        index = renumbered[static_cast<size_t>(index)];
      }
      WriteIndex(width, index, to);
    }
  }
  if (static_cast<int64_t>(seen.size()) - 1 > DictionaryIndexMax(*out->type)) {
    return Status::ResourceExhausted(std::to_string(seen.size()) +
                                     " distinct values do not fit the index of " +
                                     out->type->ToString() + ": use a wider index type");
  }
  HR_ASSIGN_OR_RETURN(out->dictionary, Column::Concat(entries));
  out->values = std::move(values);
  return Status::Ok();
}

Status ConcatObjects(const Parts& parts, Column* out) {
  bool same = true;
  for (const ColumnPtr& part : parts) same = same && part->objects == parts[0]->objects;
  if (same) {
    out->objects = parts[0]->objects;
    if (!out->objects) return Status::Ok();
    auto rows = Buffer::Allocate(static_cast<size_t>(out->length) * sizeof(int32_t));
    auto* to = reinterpret_cast<int32_t*>(rows->mutable_data());
    for (const ColumnPtr& part : parts) {
      for (int64_t i = 0; i < part->length; ++i) {
        const int64_t row = part->offset + i;
        *to++ = part->object_rows ? reinterpret_cast<const int32_t*>(part->object_rows->data())[row]
                                  : static_cast<int32_t>(row);
      }
    }
    out->object_rows = std::move(rows);
    return Status::Ok();
  }
  // ColumnBuilder also copes with parts that are all null and have no block.
  HR_ASSIGN_OR_RETURN(auto builder, ColumnBuilder::Make(out->type));
  for (const ColumnPtr& part : parts) {
    for (int64_t i = 0; i < part->length; ++i) builder->AppendFrom(*part, i);
  }
  *out = Column(*builder->Finish());
  return Status::Ok();
}

}  // namespace

Result<ColumnPtr> Column::Concat(const std::vector<ColumnPtr>& all_parts) {
  if (all_parts.empty()) return Status::InvalidArgument("nothing to concatenate");
  Parts parts;
  auto out = std::make_shared<Column>();
  out->type = all_parts[0]->type;
  for (const ColumnPtr& part : all_parts) {
    if (!part->type->Equals(*out->type)) {
      return Status::InvalidArgument("cannot put a column of type " + part->type->ToString() +
                                     " behind one of type " + out->type->ToString());
    }
    out->length += part->length;
    if (part->length > 0) parts.push_back(part);
  }
  if (parts.empty()) return all_parts[0];
  if (parts.size() == 1) return parts[0];
  if (out->length > std::numeric_limits<int32_t>::max()) return TooMuch("rows");
  out->validity = ConcatValidity(parts, out->length);
  switch (out->type->kind()) {
    case TypeKind::kNull:
      break;
    case TypeKind::kBool:
      ConcatBools(parts, out.get());
      break;
    case TypeKind::kString:
    case TypeKind::kBinary:
      HR_RETURN_IF_ERROR(ConcatStrings(parts, out.get()));
      break;
    case TypeKind::kList:
    case TypeKind::kMap:
      HR_RETURN_IF_ERROR(ConcatLists(parts, out.get()));
      break;
    case TypeKind::kStruct:
      HR_RETURN_IF_ERROR(ConcatStructs(parts, out.get()));
      break;
    case TypeKind::kDictionary:
      HR_RETURN_IF_ERROR(ConcatDictionaries(parts, out.get()));
      break;
    case TypeKind::kForeign:
      return Status::Unimplemented("joining batches with a column of type " +
                                   out->type->ToString() + ": cast it to a supported type first");
    case TypeKind::kObject:
      HR_RETURN_IF_ERROR(ConcatObjects(parts, out.get()));
      break;
    default:
      ConcatFixed(parts, out.get());
  }
  return ColumnPtr(std::move(out));
}

}  // namespace headrace
