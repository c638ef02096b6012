#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/hash.h"
#include "headrace/base/status.h"

namespace headrace {

/// A name in a remote directory.
struct RemoteName {
  std::string name;
  uint64_t size_bytes = 0;

  bool operator==(const RemoteName&) const = default;
};

/// A file to be uploaded.
struct StagedFile {
  std::string name;
  Digest128 digest;  ///< of its content, as it was written
};

/// One job's directory in a storage that is not a local disk, reached over a network. Names are
/// plain file names. A name appears with its whole content or not at all.
///
/// Every call retries by itself, with backoff, what may work a moment later; a failure is the last
/// word of several attempts. A call that fails may have been carried out all the same, or may be
/// carried out later: kIoError never means "not done". kCancelled only when `still_wanted` said so.
/// Threading: thread-safe; calls block.
class CheckpointTransport {
 public:
  using StillWanted = std::function<bool()>;

  virtual ~CheckpointTransport() = default;

  /// The directory as messages name it, a URI without credentials and without a slash at its end.
  virtual const std::string& uri() const = 0;
  /// Copies files of a local directory here under their own names, side by side, each through a
  /// bounded buffer. What does not have its digest on the way does not appear. Names are new:
  /// nobody else writes them. Asks `still_wanted` (may be null) several times a second and gives up
  /// when it says no.
  virtual Status Upload(const std::string& local_directory, const std::vector<StagedFile>& files,
                        const StillWanted& still_wanted) = 0;
  /// Creates a small file. kAlreadyExists when the name is taken, perhaps by an attempt of this
  /// very call that was taken for failed: the caller reads back.
  virtual Status Create(const std::string& name, std::string_view bytes) = 0;
  /// Writes a small file anew: readers see its former content or this, also when the process dies
  /// in the middle.
  virtual Status Replace(const std::string& name, std::string_view bytes) = 0;
  /// One attempt to do the same that gives up within seconds: for what is missed little.
  virtual Status TryReplace(const std::string& name, std::string_view bytes) = 0;
  /// Content of a small file as it is now; kNotFound when there is none.
  virtual Result<std::string> Read(const std::string& name) = 0;
  /// Names in the directory, in any order; of one that does not exist yet: none. May lag behind
  /// what other calls did unless lists_at_once().
  virtual Result<std::vector<RemoteName>> List() = 0;
  virtual bool lists_at_once() const = 0;
  /// Those of `names` that exist, asked for one by one: unlike List(), as they are now.
  virtual Result<std::vector<RemoteName>> Find(const std::vector<std::string>& names) = 0;
  /// Copies files into a local directory, replacing what is there; those that do not exist here are
  /// left out.
  virtual Status Download(const std::vector<std::string>& names,
                          const std::string& local_directory) = 0;
  /// Removes names; one that is gone already is fine.
  virtual Status Delete(const std::vector<std::string>& names) = 0;
  /// Removes what writers left under temporary names. REQUIRES: what is being written is not
  /// needed.
  virtual Status RemoveTemporaries() = 0;

  /// Names this process in a marker that other processes find: one line, "" when it has no name.
  virtual std::string Owner() = 0;
  /// True when it is certain that the process which was named `owner` is gone.
  virtual bool IsGone(const std::string& owner) = 0;
};

}  // namespace headrace
