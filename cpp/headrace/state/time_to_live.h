#pragma once

#include <cstdint>

namespace headrace {

/// How long entries of a keyed state live after their last use, in processing time, and how those
/// that are over are found. Plain data.
struct TimeToLive {
  int64_t ttl_ms = 0;                ///< 0 = for ever: the state keeps no times
  bool update_on_read = false;       ///< reading counts as a use, not only writing
  bool return_expired = false;       ///< an entry that is over is shown once more where it is found
  int64_t sweep_rows = 5;            ///< rows looked at for each access; 0 = only what is read
  bool sweep_by_record = false;      ///< each record counts as an access
  bool leave_out_of_images = false;  ///< whole images in snapshots lack what is over

  bool enabled() const { return ttl_ms > 0; }
};

}  // namespace headrace
