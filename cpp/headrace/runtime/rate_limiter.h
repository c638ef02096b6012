#pragma once

#include <cstdint>

namespace headrace {

/// Lets rows through on a schedule of so many a second: row k is due k / rate seconds after the
/// first call, and never goes earlier. Rows are handed out in chunks of about 20 ms so that a slow
/// source is smooth and a fast one cheap.
/// Threading: owned by one task thread.
class RateLimiter {
 public:
  /// `rows_per_second` ≤ 0: unlimited.
  explicit RateLimiter(double rows_per_second);

  bool limited() const { return rows_per_second_ > 0; }
  /// Rows that may be read now; 0 = wait until NextDueNs().
  int64_t Allowed(int64_t now_ns);
  void Take(int64_t rows) { taken_ += rows; }
  /// Steady time at which the next chunk is due. REQUIRES: Allowed() was called.
  int64_t NextDueNs() const;

 private:
  double rows_per_second_;
  int64_t chunk_rows_ = 1;
  int64_t start_ns_ = -1;
  int64_t taken_ = 0;
};

}  // namespace headrace
