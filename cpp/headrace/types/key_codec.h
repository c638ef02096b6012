#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/bytes.h"
#include "headrace/types/column.h"

namespace headrace {

/// Key group of a key in its canonical encoding (value_codec.h with the key rules): XXH3-64 mod
/// `max_parallelism`. On disk, so it never changes; golden vectors in
/// tests/cpp/types/key_codec_test.cc.
uint16_t KeyGroupOf(std::string_view canonical, int max_parallelism);
/// The same for a key known to be an int or a str; no allocation for strings of up to 256 bytes.
uint16_t KeyGroupOfInt(int64_t key, int max_parallelism);
uint16_t KeyGroupOfStr(std::string_view key, int max_parallelism);

/// How a key is held: the two kinds with fast tables, and everything else by its canonical bytes. A
/// key has one form only, whatever column it came in: the int 7 of an object column is kInt.
enum class KeyForm : uint8_t { kInt, kStr, kBytes };

/// One key, borrowed.
struct Key {
  KeyForm form = KeyForm::kBytes;
  int64_t number = 0;      ///< kInt
  std::string_view bytes;  ///< kStr: UTF-8; kBytes: canonical encoding

  static Key OfInt(int64_t value) { return {KeyForm::kInt, value, {}}; }
  static Key OfStr(std::string_view utf8) { return {KeyForm::kStr, 0, utf8}; }
  /// REQUIRES: `canonical` is a whole, well-formed encoding.
  static Key OfCanonical(std::string_view canonical);

  /// Appends the canonical encoding.
  void Encode(ByteWriter* out) const;
  uint16_t Group(int max_parallelism) const;
  bool operator==(const Key& other) const {
    return form == other.form && number == other.number && bytes == other.bytes;
  }
};

/// Reads the keys of one key column row by row; what the column is was found out once.
/// Threading: owned by one thread; borrows the column.
class KeyView {
 public:
  explicit KeyView(const Column& column);

  /// True when every row is an int64 that `ints()` gives (an int64 column without nulls).
  bool all_ints() const { return ints_ != nullptr; }
  const int64_t* ints() const { return ints_; }
  /// True when every row is a string: Column::StringAt may be read directly.
  bool all_strings() const { return all_strings_; }

  /// The key of a row; its bytes are valid until the next call. Fails when the value cannot be a
  /// key.
  Status Read(int64_t row, Key* out);
  /// Key groups of rows [0, count) of the column.
  Status Groups(int64_t count, int max_parallelism, uint16_t* out);

 private:
  const Column& column_;
  const int64_t* ints_ = nullptr;
  bool all_strings_ = false;
  bool all_objects_ = false;
  ByteWriter scratch_;
};

}  // namespace headrace
