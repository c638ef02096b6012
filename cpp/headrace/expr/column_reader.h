#pragma once

#include <cstdint>

#include "headrace/types/column.h"

namespace headrace {

/// Reads values of one fixed-width column as T without looking at the type again. `T` is the type
/// that accumulators hold, `Stored` the type in the column.
template <typename T, typename Stored>
class FixedReader {
 public:
  using Value = T;
  explicit FixedReader(const Column& column) : values_(column.Values<Stored>()) {}
  T operator[](int64_t row) const { return static_cast<T>(values_[row]); }

 private:
  const Stored* values_;
};

/// Reads bools, which are bits.
class BoolReader {
 public:
  using Value = int64_t;
  explicit BoolReader(const Column& column)
      : bits_(column.values->data()), offset_(column.offset) {}
  int64_t operator[](int64_t row) const {
    const int64_t bit = offset_ + row;
    return (bits_[bit >> 3] >> (bit & 7)) & 1;
  }

 private:
  const uint8_t* bits_;
  int64_t offset_;
};

}  // namespace headrace
