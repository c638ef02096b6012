#include "headrace/state/cold_key.h"

#include "headrace/base/bytes.h"
#include "headrace/base/hash.h"
#include "headrace/types/key_codec.h"

namespace headrace {
namespace {

constexpr char kPlainRow = 0;
constexpr char kSubRow = 1;

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendKey(uint64_t prefix, std::string_view canonical, std::string* out) {
  AppendColdPrefix(prefix, out);
  AppendVarint(canonical.size(), out);
  out->append(canonical);
}

void AppendTable(uint16_t table, std::string* out) {
  out->push_back(static_cast<char>(table >> 8));
  out->push_back(static_cast<char>(table));
}

void AppendNamespace(std::string_view ns, std::string* out) {
  AppendVarint(ns.size(), out);
  out->append(ns);
}

bool IsPlain(std::string_view ns, std::string_view sub_key) {
  return ns.empty() && sub_key.empty();
}

// Leaves the reader behind the canonical key.
bool ReadKey(ByteReader* in, std::string_view* canonical) {
  std::string_view prefix;
  return in->Raw(kColdPrefixBytes, &prefix).ok() && in->String(canonical).ok();
}

}  // namespace

uint64_t ColdPrefixOf(std::string_view canonical, uint16_t key_group) {
  // The upper half: the lower one decides the key group.
  return (uint64_t{key_group} << 32) | (Hash64(canonical) >> 32);
}

uint64_t ColdPrefixOf(std::string_view canonical, int max_parallelism) {
  return ColdPrefixOf(canonical, KeyGroupOf(canonical, max_parallelism));
}

void AppendColdPrefix(uint64_t prefix, std::string* out) {
  char bytes[kColdPrefixBytes];
  for (size_t i = 0; i < kColdPrefixBytes; ++i) {
    bytes[i] = static_cast<char>(prefix >> (8 * (kColdPrefixBytes - 1 - i)));
  }
  out->append(bytes, kColdPrefixBytes);
}

uint64_t ReadColdPrefix(std::string_view key) {
  uint64_t prefix = 0;
  for (size_t i = 0; i < kColdPrefixBytes; ++i) {
    prefix = (prefix << 8) | static_cast<uint8_t>(key[i]);
  }
  return prefix;
}

void AppendRowKey(uint64_t prefix, std::string_view canonical, std::string_view ns,
                  std::string_view sub_key, std::string* out) {
  AppendKey(prefix, canonical, out);
  if (IsPlain(ns, sub_key)) {
    out->push_back(kPlainRow);
    return;
  }
  out->push_back(kSubRow);
  AppendNamespace(ns, out);
  out->append(sub_key);
}

void AppendColdKey(uint64_t prefix, std::string_view canonical, uint16_t table, std::string_view ns,
                   std::string_view sub_key, std::string* out) {
  if (IsPlain(ns, sub_key)) {
    AppendKey(prefix, canonical, out);
    out->push_back(kPlainRow);
    AppendTable(table, out);
    return;
  }
  AppendColdNamespace(prefix, canonical, table, ns, out);
  out->append(sub_key);
}

void AppendColdNamespace(uint64_t prefix, std::string_view canonical, uint16_t table,
                         std::string_view ns, std::string* out) {
  AppendKey(prefix, canonical, out);
  out->push_back(kSubRow);
  AppendTable(table, out);
  AppendNamespace(ns, out);
}

bool ParseRowKey(std::string_view row_key, RowKeyParts* out) {
  ByteReader in(row_key);
  char kind = 0;
  if (!ReadKey(&in, &out->canonical) || !in.Fixed(&kind).ok()) return false;
  out->ns = {};
  out->sub_key = {};
  if (kind == kPlainRow) return in.done();
  return kind == kSubRow && in.String(&out->ns).ok() && in.Raw(in.remaining(), &out->sub_key).ok();
}

bool RowKeyOfColdKey(std::string_view cold_key, uint16_t* table, std::string* row_key) {
  ByteReader in(cold_key);
  std::string_view canonical;
  char kind = 0;
  std::string_view number;
  if (!ReadKey(&in, &canonical) || !in.Fixed(&kind).ok() || !in.Raw(2, &number).ok()) return false;
  *table = static_cast<uint16_t>((static_cast<uint8_t>(number[0]) << 8) |
                                 static_cast<uint8_t>(number[1]));
  row_key->assign(cold_key.substr(0, in.offset() - 2));
  row_key->append(cold_key.substr(in.offset()));
  return true;
}

}  // namespace headrace
