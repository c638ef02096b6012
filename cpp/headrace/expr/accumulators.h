#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "headrace/types/column_builder.h"

namespace headrace {

// The accumulators of built-in aggregates. Each has Add(value, order) and Merge(other), which
// return true when an integer sum overflowed, and AppendTo. All zero is the empty accumulator.
// Layouts are on disk: little-endian 8-byte words in the order of the members.

/// Value columns of either kind of number.
inline void AppendNumber(int64_t value, ColumnBuilder* out) { out->AppendInt(value); }
inline void AppendNumber(double value, ColumnBuilder* out) { out->AppendFloat(value); }

/// sum:   | sum (int64 or float64) | rows (int64) |
template <typename T>
struct SumAccumulator;

template <>
struct SumAccumulator<int64_t> {
  int64_t sum;
  int64_t rows;
  bool Add(int64_t value, int64_t) {
    ++rows;
    return __builtin_add_overflow(sum, value, &sum);
  }
  bool Merge(const SumAccumulator& from) {
    rows += from.rows;
    return __builtin_add_overflow(sum, from.sum, &sum);
  }
  void AppendTo(ColumnBuilder* out) const { rows > 0 ? out->AppendInt(sum) : out->AppendNull(); }
};

template <>
struct SumAccumulator<double> {
  double sum;
  int64_t rows;
  bool Add(double value, int64_t) {
    ++rows;
    sum += value;
    return false;
  }
  bool Merge(const SumAccumulator& from) {
    rows += from.rows;
    sum += from.sum;
    return false;
  }
  void AppendTo(ColumnBuilder* out) const { rows > 0 ? out->AppendFloat(sum) : out->AppendNull(); }
};

/// count: | rows (int64) |
struct CountAccumulator {
  int64_t rows;
  void AppendTo(ColumnBuilder* out) const { out->AppendInt(rows); }
};

/// avg of integers:  | low word of the sum (uint64) | high word (int64) | rows (int64) |
/// avg of floats:    | sum (float64) | rows (int64) |
template <typename T>
struct AvgAccumulator;

template <>
struct AvgAccumulator<int64_t> {
  uint64_t low;
  int64_t high;
  int64_t rows;
  bool Add(int64_t value, int64_t) {
    ++rows;
    high += (value >> 63) + __builtin_add_overflow(low, static_cast<uint64_t>(value), &low);
    return false;
  }
  bool Merge(const AvgAccumulator& from) {
    rows += from.rows;
    high += from.high + __builtin_add_overflow(low, from.low, &low);
    return false;
  }
  void AppendTo(ColumnBuilder* out) const {
    if (rows == 0) return out->AppendNull();
    __extension__ using Int128 = __int128;
    const Int128 sum = (static_cast<Int128>(high) << 64) | low;
    out->AppendFloat(static_cast<double>(sum) / static_cast<double>(rows));
  }
};

template <>
struct AvgAccumulator<double> {
  double sum;
  int64_t rows;
  bool Add(double value, int64_t) {
    ++rows;
    sum += value;
    return false;
  }
  bool Merge(const AvgAccumulator& from) {
    rows += from.rows;
    sum += from.sum;
    return false;
  }
  void AppendTo(ColumnBuilder* out) const {
    rows > 0 ? out->AppendFloat(sum / static_cast<double>(rows)) : out->AppendNull();
  }
};

/// NaN is the largest number, so that the result does not depend on the order of rows.
inline bool Smaller(int64_t a, int64_t b) { return a < b; }
inline bool Smaller(double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); }

/// min, max: | value (int64 or float64) | rows (int64; 0 = no value) |
template <typename T, bool kMax>
struct ExtremeAccumulator {
  T value;
  int64_t rows;
  bool Add(T other, int64_t) {
    const bool better = rows == 0 || (kMax ? Smaller(value, other) : Smaller(other, value));
    value = better ? other : value;
    ++rows;
    return false;
  }
  bool Merge(const ExtremeAccumulator& from) {
    if (from.rows == 0) return false;
    Add(from.value, 0);
    rows += from.rows - 1;
    return false;
  }
  void AppendTo(ColumnBuilder* out) const {
    rows > 0 ? AppendNumber(value, out) : out->AppendNull();
  }
};

/// first, last: | value (int64 or float64) | order of its row, from 1 (int64; 0 = no value) |
template <typename T, bool kLast>
struct EdgeAccumulator {
  T value;
  int64_t order;
  bool Add(T other, int64_t other_order) {
    if (order == 0 || (kLast ? other_order >= order : other_order < order)) {
      value = other;
      order = other_order;
    }
    return false;
  }
  bool Merge(const EdgeAccumulator& from) {
    if (from.order != 0) Add(from.value, from.order);
    return false;
  }
  void AppendTo(ColumnBuilder* out) const {
    order > 0 ? AppendNumber(value, out) : out->AppendNull();
  }
};

/// var, stddev: | rows (int64) | mean (float64) | sum of squared distances from the mean (float64)
/// |
/// Source: Welford 1962; merging: Chan, Golub, LeVeque 1979.
template <bool kRoot>
struct VarianceAccumulator {
  int64_t rows;
  double mean;
  double squares;
  bool Add(double value, int64_t) {
    ++rows;
    const double distance = value - mean;
    mean += distance / static_cast<double>(rows);
    squares += distance * (value - mean);
    return false;
  }
  bool Merge(const VarianceAccumulator& from) {
    if (from.rows == 0) return false;
    if (rows == 0) {
      *this = from;
      return false;
    }
    const double all = static_cast<double>(rows + from.rows);
    const double distance = from.mean - mean;
    const double share = static_cast<double>(from.rows) / all;
    mean += distance * share;
    squares += from.squares + distance * distance * static_cast<double>(rows) * share;
    rows += from.rows;
    return false;
  }
  void AppendTo(ColumnBuilder* out) const {
    if (rows < 2) return out->AppendNull();
    const double variance = squares / static_cast<double>(rows - 1);
    out->AppendFloat(kRoot ? std::sqrt(variance) : variance);
  }
};

}  // namespace headrace
