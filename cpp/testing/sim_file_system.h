#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "testing/fault_plan.h"
#include "testing/manual_clock.h"
#include "testing/sim_file_content.h"
#include "testing/sim_random.h"

namespace headrace {

/// What a crash takes away.
enum class CrashKind : uint8_t {
  kProcessKill,  ///< kill -9: the page cache stays, locks and open files go
  kPowerLoss,    ///< the page cache goes too
};

/// Files in memory that lose, tear and refuse what a real disk may lose, tear and refuse, from a
/// seed.
///
/// File content follows SimFileContent. A created, renamed or removed name is durable after
/// SyncDirectory(); until then each such change survives a power loss by itself, or not: a rename
/// can be lost, or be there while the renamed file's unsynced content is not. A rename is atomic,
/// and across directories never loses the file. Directories are durable when made. An injected EIO
/// leaves open whether the call took effect; a failed Sync() has lost the data for good
/// (SimFileContent::FailSync).
///
/// Handles and locks from before a Crash() are dead: every call returns kIoError.
/// Every call passes the same failpoints as PosixFileSystem, before it does anything.
/// Threading: owned by one thread; outlives its handles and locks.
class SimFileSystem final : public FileSystem {
 public:
  /// `clock` is advanced by slow calls; outlives this.
  SimFileSystem(ManualClock* clock, SimRandom random);
  ~SimFileSystem() override;

  Result<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) override;
  Result<std::string> ReadAll(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status MakeDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  Result<FileStatus> Stat(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

  void set_faults(const FaultPlan& faults) { faults_ = faults; }
  /// The process dies when it makes the call of this number (see calls()): that call and all later
  /// ones fail and do nothing, until Crash().
  void DieAtCall(uint64_t call) { dies_at_call_ = call; }
  bool dead() const { return calls_ >= dies_at_call_; }
  /// Called before each append, with the path: where a background write may lose its turn.
  void set_on_append(std::function<void(const std::string&)> on_append) {
    on_append_ = std::move(on_append);
  }
  /// A disk that says it has synced a file, and has not.
  void set_ignores_syncs(bool ignores) { ignores_syncs_ = ignores; }
  const FaultCounts& fault_counts() const { return fault_counts_; }
  /// Appends that power losses left on the disk only in part.
  uint64_t torn_appends() const { return torn_appends_; }
  /// Names that power losses took back: created, renamed or removed, and not synced.
  uint64_t lost_name_changes() const { return lost_name_changes_; }
  /// Calls of all kinds so far.
  uint64_t calls() const { return calls_; }
  /// Most bytes of all files together; an append that does not fit writes what does, then
  /// kResourceExhausted.
  void set_capacity_bytes(uint64_t bytes) { capacity_bytes_ = bytes; }
  uint64_t used_bytes() const;

  void Crash(CrashKind kind);
  /// A power loss of which `choose` says what it leaves: asked with 2 about each name that was not
  /// durable, oldest first, then about what was appended to files (SimFileContent). So a test can
  /// go through all states that the disk may be in.
  void CrashChoosing(const CrashChooser& choose);
  /// Damages a stored file. kInvalidArgument when it has no such bit.
  Status FlipBit(const std::string& path, uint64_t bit);
  /// Cuts a stored file to `size_bytes`. kInvalidArgument when it has fewer.
  Status CutFile(const std::string& path, uint64_t size_bytes);

 private:
  struct Node;
  struct NameChange;
  class Writer;
  class Reader;
  class Held;
  enum class Fault : uint8_t { kNone, kIoError, kNoSpace, kShortWrite };
  /// A directory and a name in it, whether or not the name is taken.
  struct Place {
    std::shared_ptr<Node> directory;
    std::string name;
    std::shared_ptr<Node> node;
  };

  Status Pass(FsCall call, const std::string& path, Fault* fault);
  /// The error of an injected fault that is not kNone.
  Status Injected(FsCall call, const std::string& path, Fault fault) const;
  /// Whether a call with this fault does its work all the same.
  bool TakesEffect(Fault fault);
  Result<Place> Find(FsCall call, const std::string& path) const;
  Result<std::shared_ptr<Node>> FindExisting(FsCall call, const std::string& path,
                                             bool directory) const;
  Status AppendTo(Node* node, const std::string& path, std::string_view bytes);
  void RecordAndApply(NameChange change);

  ManualClock* const clock_;
  SimRandom random_;
  FaultPlan faults_;
  FaultCounts fault_counts_;
  uint64_t torn_appends_ = 0;
  uint64_t lost_name_changes_ = 0;
  uint64_t dies_at_call_ = UINT64_MAX;
  bool ignores_syncs_ = false;
  std::function<void(const std::string&)> on_append_;
  uint64_t calls_ = 0;
  uint64_t capacity_bytes_ = UINT64_MAX;
  uint64_t generation_ = 0;  ///< number of crashes
  std::shared_ptr<Node> root_;
  std::vector<NameChange> name_changes_;  ///< not durable yet, oldest first
  std::set<std::string> locks_;
};

}  // namespace headrace
