#pragma once

#include <cstdint>

namespace headrace {

/// Bugs that a test build (-DHEADRACE_PLANTED_BUGS=ON) can switch on, one at a time, to prove that
/// the simulation finds what the unit tests do not. Named after what goes wrong. Where a test of
/// one class would find the bug, its site has a condition that takes a whole job and some time to
/// come about, as with bugs that get past tests.
enum class PlantedBug : uint8_t {
  kNoDirectorySync,         ///< names of published output are not synced
  kRowAfterBarrier,         ///< rows behind a source's offsets are in the state before the barrier
  kBufferDroppedAtBarrier,  ///< rows that wait in an exchange vanish at a barrier
  kWrongKeyGroup,           ///< a rescale forgets a former subtask that shares one key group
  kReferencedFileDeleted,   ///< clean-up takes old files that a kept checkpoint names
  kEqualTimerLost,          ///< of two timers of one time only one fires
  kSinkBeforeManifest,      ///< output is published, then the manifest is written
  kOffsetLate,              ///< a checkpoint stores offsets from before the latest poll
  kLengthOnlyChecksum,      ///< of a block the length is compared, not the digest
  kSyncRetried,             ///< a failed sync is tried again, and believed
  kKeyIdReused,             ///< an id is handed out again, then comes the tombstone of its old key
  kTombstoneOmitted,        ///< a delta leaves out the timers that were removed
  kPublishedUndecided,      ///< output is published while the manifest's name is not durable
  kWatermarksForgotten,     ///< a restored split begins its event time anew
};

/// True when the bug is switched on: never but in the test build, by HEADRACE_PLANTED_BUG=<name>
/// in the environment (planted_bug.cc). Elsewhere it is a constant, and nothing is left of it.
#ifdef HEADRACE_PLANTED_BUGS
bool Planted(PlantedBug bug);
#else
constexpr bool Planted(PlantedBug) { return false; }
#endif

}  // namespace headrace
