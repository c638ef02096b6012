#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "testing/sim_random.h"

namespace headrace {

/// What a power loss leaves of one append that was not synced.
enum class AppendRemains : uint8_t { kNothing, kAll, kFirstHalf, kZeros };
inline constexpr uint64_t kAppendRemains = 4;
/// Answers each question of a power loss with a number below `bound`; 0 means that it is lost.
using CrashChooser = std::function<uint64_t(uint64_t bound)>;

/// The bytes of a simulated file as a page cache and a disk see them.
///
/// Readers see cached(). Only what was there at the last Sync() is sure to survive Crash(); every
/// later append survives whole, torn or not at all, each by itself, so a crash can leave zeros in
/// the middle.
/// Threading: owned by one thread.
class SimFileContent {
 public:
  const std::string& cached() const { return cached_; }
  const std::string& durable() const { return durable_; }

  void Append(std::string_view bytes);
  /// Makes everything durable that a failed sync has not lost before.
  void Sync();
  /// A sync that failed, as Linux does it: the pages count as clean from then on, so the next
  /// Sync() succeeds and still does not write them. Whether they reached the disk shows after a
  /// crash.
  void FailSync();
  /// Power loss: picks one of the states the disk may be in. Returns how many appends are on the
  /// disk only in part.
  int Crash(SimRandom* random);
  /// As Crash(), but asks about each append for an AppendRemains.
  void Crash(const CrashChooser& choose);
  /// Damages cache and disk alike. REQUIRES bit < 8 * cached().size().
  void FlipBit(uint64_t bit);
  /// Damages cache and disk alike. REQUIRES size_bytes <= cached().size().
  void Cut(uint64_t size_bytes);

 private:
  struct UnsyncedAppend {
    uint64_t offset = 0;
    std::string bytes;
    bool lost = false;  ///< by a failed sync
  };

  /// True when the bytes are not all there.
  static bool PlaceTorn(const UnsyncedAppend& append, SimRandom* random, std::string* image);

  std::string cached_;
  std::string durable_;
  std::vector<UnsyncedAppend> unsynced_;  ///< oldest first
};

}  // namespace headrace
