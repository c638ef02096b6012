#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headrace {

/// The calls of a FileSystem, in the order of their failpoints' names.
enum class FsCall : uint8_t {
  kCreate,
  kOpen,
  kAppend,
  kSync,
  kClose,
  kRead,
  kRename,
  kRemove,
  kSyncDirectory,
  kMkdir,
  kList,
  kStat,
  kLock,
};
inline constexpr size_t kFsCalls = 13;

/// Name of the failpoint of a call: "fs.create", ….
std::string_view FsCallName(FsCall call);

/// How often a call goes wrong: probabilities from 0 to 1, tried in this order.
struct FaultOdds {
  double slow = 0;         ///< takes `FaultPlan::slow_ns`; then goes on
  double io_error = 0;     ///< EIO; whether the call took effect is open, as on a real disk
  double no_space = 0;     ///< ENOSPC, for calls that write
  double short_write = 0;  ///< appends only: a part is written, then EIO
  double bit_flip = 0;     ///< reads only: succeeds with one bit wrong
};

/// Which faults a SimFileSystem injects.
struct FaultPlan {
  std::array<FaultOdds, kFsCalls> odds{};
  int64_t slow_ns = 10'000'000'000;

  FaultOdds& operator[](FsCall call) { return odds[static_cast<size_t>(call)]; }
  const FaultOdds& operator[](FsCall call) const { return odds[static_cast<size_t>(call)]; }

  /// Every kind but bit flips at every call with the same probability.
  static FaultPlan Uniform(double probability);
};

/// How many faults were injected.
struct FaultCounts {
  uint64_t slow = 0;
  uint64_t io_errors = 0;
  uint64_t no_space = 0;
  uint64_t short_writes = 0;
  uint64_t bit_flips = 0;
  std::array<uint64_t, kFsCalls> by_call{};  ///< all kinds, at each call

  void Add(FsCall call, uint64_t FaultCounts::*kind) {
    ++(this->*kind);
    ++by_call[static_cast<size_t>(call)];
  }
  uint64_t total() const { return slow + io_errors + no_space + short_writes + bit_flips; }
};

}  // namespace headrace
