#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "headrace/base/awaited_result.h"
#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"

namespace headrace {

/// What happens to the job once a savepoint is complete.
enum class SavepointStop : uint8_t {
  kNone,     ///< it goes on
  kSuspend,  ///< it ends exactly at the savepoint: nothing behind the barrier is emitted
  kDrain,    ///< first its sources end, so that all windows and timers of event time fire
};

/// A savepoint that somebody asked for; its result is the path of the complete savepoint, or why
/// there is none.
/// Threading: thread-safe.
class SavepointRequest : public AwaitedResult<std::string> {
 public:
  SavepointRequest(std::string directory, SavepointStop stop)
      : directory_(std::move(directory)), stop_(stop) {}

  /// Below it the savepoint gets a directory of its own.
  const std::string& directory() const { return directory_; }
  SavepointStop stop() const { return stop_; }

 private:
  const std::string directory_;
  const SavepointStop stop_;
};
using SavepointRequestPtr = std::shared_ptr<SavepointRequest>;

/// Makes a savepoint of a decided checkpoint: a copy of its files and a manifest of its own in a
/// new directory `<into>/savepoint-<job>-<id>` (with `-2`, `-3`, … where that is taken). It refers
/// to no file outside of the directory, needs no pending rename (those of a decided checkpoint are
/// published), and no clean-up knows its name. Returns the directory.
///
/// What is copied is held against the digests of `manifest`. On a failure what was written is
/// removed as far as it can be; without its manifest, written last, it is no savepoint. kCancelled
/// when `still_wanted` answers false; it is asked once a megabyte. An encrypted checkpoint gives an
/// encrypted savepoint.
///
/// REQUIRES: `manifest` is full, all its files lie in `from`.
Result<std::string> WriteSavepoint(Env* env, const Manifest& manifest, const std::string& from,
                                   const std::string& into,
                                   const std::function<bool()>& still_wanted);

/// File in a savepoint's directory that makes it one.
inline constexpr const char* kSavepointManifest = "savepoint.manifest";

}  // namespace headrace
