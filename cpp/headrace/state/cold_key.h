#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

/// Where a row of keyed state stands among all rows, whatever ids its key has or had.
///
/// A *row key* orders the rows of one table, and a *cold key* those of all tables of a subtask:
///
///   2 bytes  key group, big-endian          \  the prefix: what all rows of a key have in common,
///   4 bytes  hash of the canonical key       /  and few other keys
///   varint   length of the canonical key, then the key
///   byte     0: the row without namespace and sub-key, 1: any other
///   2 bytes  number of the table, big-endian (cold keys only)
///   varint   length of the namespace, then the namespace (kind 1 only)
///   …        sub-key (kind 1 only)
///
/// So all rows of a key are neighbours, and the sub-keys of a namespace are in order of their
/// bytes. Neither is stored in a checkpoint, which holds key, namespace and sub-key.
inline constexpr size_t kColdPrefixBytes = 6;

/// Key group in bits 32 to 47, hash in the lower half.
uint64_t ColdPrefixOf(std::string_view canonical, int max_parallelism);
/// The same where the key group is known.
uint64_t ColdPrefixOf(std::string_view canonical, uint16_t key_group);

void AppendColdPrefix(uint64_t prefix, std::string* out);
/// REQUIRES: at least kColdPrefixBytes.
uint64_t ReadColdPrefix(std::string_view key);

void AppendRowKey(uint64_t prefix, std::string_view canonical, std::string_view ns,
                  std::string_view sub_key, std::string* out);
void AppendColdKey(uint64_t prefix, std::string_view canonical, uint16_t table, std::string_view ns,
                   std::string_view sub_key, std::string* out);
/// What all rows of a namespace but that of kind 0 start with.
void AppendColdNamespace(uint64_t prefix, std::string_view canonical, uint16_t table,
                         std::string_view ns, std::string* out);

/// The parts of a row key; views into it.
struct RowKeyParts {
  std::string_view canonical;
  std::string_view ns;
  std::string_view sub_key;
};
/// False when the bytes are no row key.
bool ParseRowKey(std::string_view row_key, RowKeyParts* out);
/// The row key of a cold key and its table; false when the bytes are no cold key.
bool RowKeyOfColdKey(std::string_view cold_key, uint16_t* table, std::string* row_key);

}  // namespace headrace
