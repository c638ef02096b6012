#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "headrace/metrics/counter.h"

namespace headrace {

/// How often values of each order of magnitude came: bucket 0 holds values ≤ 0, bucket b ≥ 1 holds
/// [2^(b-1), 2^b). A quantile is exact to a factor of two. 528 bytes, Add() touches three of its
/// words.
/// Threading: Add() by the owning task thread only; the rest by any thread, where the numbers of a
/// histogram that is being written may be one value apart.
class Histogram {
 public:
  static constexpr int kBuckets = 64;

  void Add(int64_t value) {
    buckets_[static_cast<size_t>(BucketOf(value))].Increment();
    count_.Increment();
    sum_.Add(value);
  }

  int64_t count() const { return count_.value(); }
  int64_t sum() const { return sum_.value(); }
  int64_t bucket(int index) const { return buckets_[static_cast<size_t>(index)].value(); }
  /// Largest value of the bucket in which the share `fraction` (0 to 1) of all values is reached; 0
  /// without any.
  int64_t Quantile(double fraction) const;

  static int BucketOf(int64_t value) {
    return value <= 0 ? 0 : std::bit_width(static_cast<uint64_t>(value));
  }
  /// Largest value that falls into a bucket.
  static int64_t BucketMax(int index);

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter count_;
  Counter sum_;
};

}  // namespace headrace
