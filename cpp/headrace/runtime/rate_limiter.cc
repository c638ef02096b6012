#include "headrace/runtime/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace headrace {

RateLimiter::RateLimiter(double rows_per_second) : rows_per_second_(rows_per_second) {
  if (limited()) chunk_rows_ = std::max<int64_t>(1, std::llround(rows_per_second_ / 50));
}

int64_t RateLimiter::Allowed(int64_t now_ns) {
  if (!limited()) return std::numeric_limits<int64_t>::max();
  if (start_ns_ < 0) start_ns_ = now_ns;
  const double due = static_cast<double>(now_ns - start_ns_) * 1e-9 * rows_per_second_;
  const int64_t allowed = static_cast<int64_t>(due) - taken_;
  return allowed >= chunk_rows_ ? allowed : 0;
}

int64_t RateLimiter::NextDueNs() const {
  const double seconds = static_cast<double>(taken_ + chunk_rows_) / rows_per_second_;
  return start_ns_ + static_cast<int64_t>(std::ceil(seconds * 1e9));
}

}  // namespace headrace
