#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "headrace/checkpoint/interval_log.h"
#include "headrace/checkpoint/key_erasure.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/codec.h"

namespace headrace {

struct CheckpointStoreOptions {
  std::string directory;  ///< execution.checkpointing.dir, a local path; scratch with `transport`
  std::shared_ptr<CheckpointTransport> transport;  ///< where checkpoints go, null = `directory`
  std::string job_key;
  int retained = 1;  ///< usable checkpoints kept; one older stays until two newer are complete
  Compression compression;
  /// By "<operator id>.<state name>": goes before what the state's descriptor says, and that before
  /// `compression`.
  std::map<std::string, Compression> state_compression;
  /// Of the key that files are encrypted with (KeyRing::Process() has it); "": in the clear.
  std::string key_id;

  const Compression& CompressionOf(const std::string& operator_id, const TableMeta& table) const;
};

/// One checkpoint in the listing.
struct CheckpointEntry {
  CheckpointId id = 0;
  std::string manifest_path;
  Status status;  ///< why it cannot be used, Ok if it can (files present, lengths right)
};

/// The directory of one job, `<directory>/<SanitizeName(job key)>/`:
///
///     LOCK                                    held by the one process that may write here
///     run-<n>                                 fence: n grows with every start
///     chk-<id>.manifest                       a decided checkpoint
///     chk-<id>-<run>-<n>.tmp                  a manifest being written
///     data-<run>-<checkpoint>-<task>-<n>.hrs  what tasks wrote; no name is ever used twice
///     interval-decisions.jsonl                of a job whose interval adapts: see interval_log.h
///
/// Any other file is never touched. Every operation leaves the directory, wherever it is cut off,
/// in a state from which the newest or the one before it can be resumed.
///
/// With a transport, `directory` must be nobody else's: what tasks write passes through it to the
/// remote directory, which has the layout above but LOCK and temporaries. There a second process is
/// not refused, it takes over: the first one's next Commit or LoadLatest is kFailedPrecondition.
/// job_directory() stays the local one; messages and CheckpointEntry name the remote files.
/// Threading: thread-safe; LoadLatest waits for a Commit that has begun.
class CheckpointStore {
 public:
  /// Creates the directory, takes the lock (kFailedPrecondition "in use" when another process has
  /// it), removes temporary manifests of dead runs, picks the next run id.
  static Result<std::unique_ptr<CheckpointStore>> Open(Env* env, CheckpointStoreOptions options);
  virtual ~CheckpointStore() = default;

  virtual const CheckpointStoreOptions& options() const = 0;
  virtual const std::string& job_directory() const = 0;
  virtual uint64_t run_id() const = 0;
  /// Larger than any id found in the directory or passed to DataFileName, Commit, Abandon.
  virtual CheckpointId next_checkpoint_id() const = 0;
  /// Digest of the newest manifest that this store loaded or committed; zero when there is none.
  virtual Digest128 parent_digest() const = 0;
  virtual Result<std::vector<CheckpointEntry>> List() = 0;
  /// Newest decided checkpoint, every byte of it checked and its name made durable; nullopt when
  /// there is none. If the newest is damaged: its failure, naming file and offset and the newest
  /// whole one, unless `allow_older`; then `warning` says what was skipped. FinishPublication()
  /// comes next.
  virtual Result<std::optional<Manifest>> LoadLatest(bool allow_older, std::string* warning) = 0;
  /// True when `manifest` is, byte for byte, one of this directory: only then may later checkpoints
  /// refer to its files (SnapshotWriter::Seed), else its state must be restored as full.
  virtual bool Holds(const Manifest& manifest) = 0;

  /// A name, relative to job_directory(), for a data file of checkpoint `id`; unique for ever. The
  /// caller writes and syncs the file (storage/checkpoint_file.h); Commit makes the name durable.
  virtual std::string DataFileName(CheckpointId id, int task) = 0;
  /// Publishes the manifest: data names synced, temporary, sync, rename, directory sync. This is
  /// the decision. Then the renames of the manifest are published; then files that no retained
  /// manifest names are deleted (see DecideCleanUp; what cannot be deleted now is deleted later).
  ///
  /// kCancelled, nothing changed, when `still_wanted` answers false; it is asked once no LoadLatest
  /// can come in between, so an attempt that was given up cannot decide behind the back of its
  /// successor. Another failure: see Decided(). Nothing is retried in place; the id is used up.
  virtual Status Commit(const Manifest& manifest,
                        const std::function<bool()>& still_wanted = nullptr) = 0;
  /// True when checkpoint `id` is decided. After a failed Commit that means: the state is safe, the
  /// renames may be published in part. The job must restart from LoadLatest(), which finds `id`,
  /// and FinishPublication() completes it; going on would show later results before these.
  virtual bool Decided(CheckpointId id) const = 0;
  /// Abandons a failed checkpoint; its files, and a manifest whose publication is in doubt, are
  /// deleted by clean-up after two complete checkpoints. Ignored for a decided one.
  virtual void Abandon(CheckpointId id) = 0;
  /// Makes the files of a decided checkpoint readable in job_directory() until the next Commit:
  /// with a transport they are brought back.
  virtual Status FetchFiles(const Manifest& manifest) = 0;
  /// Deletes all checkpoints of the job, whoever wrote them, when the last owner lets go of the
  /// store. What cannot be deleted stays; savepoints and foreign files are not touched.
  virtual void DeleteAllOnClose() = 0;
  /// Another owner of the same store, for work that may outlive this one; the lock is freed with
  /// the last.
  virtual std::shared_ptr<CheckpointStore> Share() = 0;
  /// Expires when the last owner has let go, and lock or run of the directory are given back.
  virtual std::weak_ptr<const void> Lifetime() = 0;
  /// Takes a key out of all checkpoints in the directory (see EraseKey()), whoever wrote them. The
  /// next LoadLatest gives what they are then. REQUIRES: nobody writes files or commits meanwhile.
  virtual Result<ErasureReport> EraseKey(const KeyErasure& erasure) = 0;
  /// Adds a line to the decision log of the adaptive interval, which outlives the job as its
  /// checkpoints do. A failure takes nothing from the checkpoint.
  virtual Status LogInterval(const IntervalLogEntry& entry) = 0;
};

}  // namespace headrace
