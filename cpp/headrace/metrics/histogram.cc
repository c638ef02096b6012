#include "headrace/metrics/histogram.h"

#include <cmath>

namespace headrace {

int64_t Histogram::BucketMax(int index) {
  return index == 0 ? 0 : static_cast<int64_t>((uint64_t{1} << index) - 1);
}

int64_t Histogram::Quantile(double fraction) const {
  // The buckets are added up rather than trusting count(): a writer may be between the two.
  int64_t total = 0;
  for (int index = 0; index < kBuckets; ++index) total += bucket(index);
  if (total == 0) return 0;
  const auto wanted = static_cast<int64_t>(std::ceil(fraction * static_cast<double>(total)));
  int64_t seen = 0;
  int last = 0;
  for (int index = 0; index < kBuckets; ++index) {
    if (bucket(index) == 0) continue;
    seen += bucket(index);
    last = index;
    if (seen >= wanted) break;
  }
  return BucketMax(last);
}

}  // namespace headrace
