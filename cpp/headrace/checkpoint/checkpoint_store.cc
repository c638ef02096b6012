#include "headrace/checkpoint/checkpoint_store.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/base/planted_bug.h"
#include "headrace/checkpoint/checkpoint_rewriter.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/remote_directory.h"
#include "headrace/storage/key_ring.h"
#include "headrace/storage/safe_path.h"
#include "headrace/storage/synced_file.h"

namespace headrace {
namespace {

std::string CheckpointContext(CheckpointId id) { return "checkpoint " + std::to_string(id); }

Digest128 DigestOf(const Manifest& manifest) { return Hash128(SerializeManifest(manifest)); }

// Whether the disk, the connection or a missing key is to blame, as opposed to what is stored.
bool IsTransient(const Status& status) {
  return IsKeyProblem(status) || status.code() == StatusCode::kIoError ||
         status.code() == StatusCode::kResourceExhausted;
}

class LocalCheckpointStore final : public CheckpointStore,
                                   public std::enable_shared_from_this<LocalCheckpointStore> {
 public:
  LocalCheckpointStore(Env* env, CheckpointStoreOptions options)
      : env_(env), files_(env->files()), options_(std::move(options)) {}
  ~LocalCheckpointStore() override {
    if (delete_all_) DeleteAll();
    if (remote_) remote_->EndRun();
  }

  Status Init();

  const CheckpointStoreOptions& options() const override { return options_; }
  const std::string& job_directory() const override { return directory_; }
  uint64_t run_id() const override { return run_id_; }
  CheckpointId next_checkpoint_id() const override;
  Digest128 parent_digest() const override;
  Result<std::vector<CheckpointEntry>> List() override;
  Result<std::optional<Manifest>> LoadLatest(bool allow_older, std::string* warning) override;
  bool Holds(const Manifest& manifest) override;
  std::string DataFileName(CheckpointId id, int task) override;
  Status Commit(const Manifest& manifest, const std::function<bool()>& still_wanted) override;
  bool Decided(CheckpointId id) const override;
  void Abandon(CheckpointId id) override;
  Status FetchFiles(const Manifest& manifest) override {
    const std::lock_guard<std::mutex> guard(disk_mutex_);
    return remote_ ? Shown(remote_->Fetch(manifest)) : Status::Ok();
  }
  Result<ErasureReport> EraseKey(const KeyErasure& erasure) override;
  Status LogInterval(const IntervalLogEntry& entry) override {
    return interval_log_->Append(entry);
  }
  void DeleteAllOnClose() override { delete_all_ = true; }
  std::shared_ptr<CheckpointStore> Share() override { return shared_from_this(); }
  std::weak_ptr<const void> Lifetime() override { return lifetime_; }

 private:
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::string ShownPathOf(const std::string& name) const {
    return (remote_ ? remote_->uri() : directory_) + "/" + name;
  }
  Status Shown(const Status& status) const {
    return remote_ ? remote_->InRemoteTerms(status) : status;
  }
  Result<std::vector<std::string>> Names();
  Status CheckPresent(const Manifest& manifest);
  Status CheckWhole(const Manifest& manifest);
  Status RemoveNames(const std::vector<std::string>& names);
  void UseUp(CheckpointId id);
  uint64_t NextNumber();
  void MarkDecided(CheckpointId id);
  Status BeginRun(const std::vector<std::string>& names);
  Status CreateRunMarker();
  Status LoadKnown(const std::vector<std::string>& names);
  void Know(const Manifest& manifest, KnownManifest* known);
  Result<Manifest> ReadOwn(const std::string& name);
  Status CheckMine(const Manifest& manifest) const;
  Status CheckFence(const std::vector<std::string>& names, const std::string& name) const;
  Status Decide(const Manifest& manifest, const std::string& bytes,
                const std::function<bool()>& still_wanted);
  Status PublishManifest(const Manifest& manifest, const std::string& bytes);
  void DeleteWhatMayGo();
  void DeleteAll();

  const std::shared_ptr<const int> lifetime_ = std::make_shared<const int>();  // the last to go
  Env* const env_;
  FileSystem& files_;
  const CheckpointStoreOptions options_;
  std::string directory_;
  uint64_t run_id_ = 0;
  std::unique_ptr<FileLock> lock_;
  std::atomic<bool> delete_all_{false};

  // Held during a whole Commit, LoadLatest: guards what is on disk and `known_`. Taken before
  // `mutex_`.
  std::mutex disk_mutex_;
  std::unique_ptr<RemoteDirectory> remote_;  // null: `directory_` is where checkpoints stay
  std::vector<KnownManifest> known_;
  std::map<CheckpointId, Digest128> digests_;  // of the readable ones among them
  std::unique_ptr<IntervalLog> interval_log_;  // set by Init

  // Guards the numbers below; never held during I/O.
  mutable std::mutex mutex_;
  CheckpointId next_id_ = 1;
  uint64_t counter_ = 0;
  Digest128 parent_digest_;
  std::set<CheckpointId> decided_;
  std::set<CheckpointId> abandoned_;
};

Status LocalCheckpointStore::Init() {
  directory_ = options_.directory + "/" + SanitizeName(options_.job_key);
  HR_RETURN_IF_ERROR(files_.MakeDirectories(directory_));
  Result<std::unique_ptr<FileLock>> lock = files_.Lock(PathOf("LOCK"));
  if (!lock.ok()) {
    if (lock.status().code() != StatusCode::kFailedPrecondition) return lock.status();
    return Status::FailedPrecondition("checkpoint " + lock.status().message() +
                                      " by another job name or execution.checkpointing.dir");
  }
  lock_ = std::move(lock).value();
  if (options_.transport) {
    remote_ = std::make_unique<RemoteDirectory>(env_, options_.transport, directory_);
  }
  interval_log_ = std::make_unique<IntervalLog>(files_, directory_, options_.transport,
                                                !options_.key_id.empty());
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  HR_RETURN_IF_ERROR(LoadKnown(names));
  if (!options_.key_id.empty()) {
    HR_RETURN_IF_ERROR(CheckKeyId(options_.key_id));
    HR_RETURN_IF_ERROR(KeyRing::Process().Find(options_.key_id).status());
  }
  return BeginRun(names);
}

// Of everything that is stored; the manifests among them can be read by ReadOwn.
Result<std::vector<std::string>> LocalCheckpointStore::Names() {
  return remote_ ? remote_->Refresh() : files_.List(directory_);
}

Status LocalCheckpointStore::CheckPresent(const Manifest& manifest) {
  return remote_ ? remote_->CheckFilesPresent(manifest)
                 : CheckFilesPresent(files_, manifest, directory_);
}

Status LocalCheckpointStore::CheckWhole(const Manifest& manifest) {
  if (remote_) {
    HR_RETURN_IF_ERROR(remote_->CheckFilesPresent(manifest));
    HR_RETURN_IF_ERROR(remote_->Fetch(manifest));
  }
  return Shown(CheckFilesWhole(files_, manifest, directory_));
}

// Each for itself: one that cannot be removed must not keep the others. The first failure.
Status LocalCheckpointStore::RemoveNames(const std::vector<std::string>& names) {
  if (remote_) return names.empty() ? Status::Ok() : remote_->Delete(names);
  Status failure;
  for (const std::string& name : names) {
    const Status removed = files_.Remove(PathOf(name));
    if (failure.ok()) failure = removed;
  }
  return failure;
}

// The marker is durable before anything of this run is written, so no two runs ever share a number,
// also when all else of the first was lost.
Status LocalCheckpointStore::BeginRun(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kForeign) continue;
    run_id_ = std::max(run_id_, stored.run);
    UseUp(stored.checkpoint);
  }
  ++run_id_;
  HR_RETURN_IF_ERROR(CreateRunMarker());
  std::vector<std::string> rubbish;
  for (const std::string& name : names) {
    const StoredName::Kind kind = ParseStoredName(name).kind;
    if (kind == StoredName::Kind::kRunMarker || kind == StoredName::Kind::kManifestTemporary) {
      rubbish.push_back(name);
    }
  }
  // What stays does no harm; the next start tries again.
  const Status removed = RemoveNames(rubbish);
  return removed.ok() ? removed : Status::Ok();
}

Status LocalCheckpointStore::CreateRunMarker() {
  if (remote_) {
    HR_ASSIGN_OR_RETURN(run_id_, remote_->ClaimRun(run_id_));
    return Status::Ok();
  }
  HR_ASSIGN_OR_RETURN(auto marker, files_.Create(PathOf(RunMarkerName(run_id_))));
  HR_RETURN_IF_ERROR(marker->Sync());
  HR_RETURN_IF_ERROR(marker->Close());
  return files_.SyncDirectory(directory_);
}

Status LocalCheckpointStore::LoadKnown(const std::vector<std::string>& names) {
  known_.clear();
  digests_.clear();
  std::map<CheckpointId, uint64_t> runs;
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind != StoredName::Kind::kManifest) continue;
    UseUp(stored.checkpoint);
    KnownManifest known{.id = stored.checkpoint, .usable = false, .files = {}};
    const Result<Manifest> manifest = ReadOwn(name);
    if (manifest.ok() && remote_ && remote_->IsVoid(*manifest)) continue;
    if (manifest.ok()) {
      Know(*manifest, &known);
      const Status present = CheckPresent(*manifest);
      if (IsTransient(present)) return present;
      known.usable = present.ok();
      run_id_ = std::max(run_id_, manifest->run_id);
      runs[manifest->id] = manifest->run_id;
    } else if (IsTransient(manifest.status())) {
      return manifest.status();
    }
    known_.push_back(std::move(known));
  }
  // A remote storage may carry out a dead run's last request when its successor has long gone on
  // from an older checkpoint. What the successor decided counts.
  std::erase_if(known_, [&](const KnownManifest& known) {
    const auto own = runs.find(known.id);
    return own != runs.end() && std::any_of(runs.begin(), own, [&](const auto& earlier) {
             return earlier.second > own->second;
           });
  });
  return Status::Ok();
}

// Of a manifest that could be read; it may be that an earlier look at it found damage, where only
// the reading had failed.
void LocalCheckpointStore::Know(const Manifest& manifest, KnownManifest* known) {
  for (const FileManifest& file : manifest.files) known->files.insert(file.name);
  digests_[manifest.id] = DigestOf(manifest);
}

void LocalCheckpointStore::UseUp(CheckpointId id) {
  const std::lock_guard<std::mutex> guard(mutex_);
  next_id_ = std::max(next_id_, id + 1);
}

// REQUIRES: `mutex_`. Only the latest are ever asked for.
void LocalCheckpointStore::MarkDecided(CheckpointId id) {
  constexpr size_t kRemembered = 64;
  decided_.insert(id);
  if (decided_.size() > kRemembered) decided_.erase(decided_.begin());
  // It may have been given up while its commit ran, or its publication may have been in doubt.
  abandoned_.erase(id);
}

CheckpointId LocalCheckpointStore::next_checkpoint_id() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return next_id_;
}

Digest128 LocalCheckpointStore::parent_digest() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return parent_digest_;
}

bool LocalCheckpointStore::Decided(CheckpointId id) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return decided_.contains(id);
}

void LocalCheckpointStore::Abandon(CheckpointId id) {
  UseUp(id);
  const std::lock_guard<std::mutex> guard(mutex_);
  if (!decided_.contains(id)) abandoned_.insert(id);
}

std::string LocalCheckpointStore::DataFileName(CheckpointId id, int task) {
  UseUp(id);
  return DataName(run_id_, id, task, NextNumber());
}

uint64_t LocalCheckpointStore::NextNumber() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return ++counter_;
}

Status LocalCheckpointStore::CheckMine(const Manifest& manifest) const {
  if (manifest.job_key == options_.job_key) return Status::Ok();
  return Status::FailedPrecondition("file " + ShownPathOf(ManifestName(manifest.id)) + ", offset " +
                                    std::to_string(kManifestHeaderBytes) + ": belongs to job '" +
                                    manifest.job_key + "', not to job '" + options_.job_key + "'");
}

Result<Manifest> LocalCheckpointStore::ReadOwn(const std::string& name) {
  Result<Manifest> read = ReadManifestFile(files_, PathOf(name));
  if (!read.ok()) return Shown(read.status());
  Manifest manifest = std::move(read).value();
  HR_RETURN_IF_ERROR(CheckMine(manifest));
  if (manifest.decision != 0) {
    return Status::Unimplemented("file " + ShownPathOf(name) +
                                 ": whether this checkpoint is decided is told by a marker outside "
                                 "the directory, which this build cannot read");
  }
  return manifest;
}

Result<std::vector<CheckpointEntry>> LocalCheckpointStore::List() {
  const std::lock_guard<std::mutex> guard(disk_mutex_);
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  std::vector<CheckpointEntry> entries;
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind != StoredName::Kind::kManifest) continue;
    const Result<Manifest> manifest = ReadOwn(name);
    entries.push_back({.id = stored.checkpoint,
                       .manifest_path = ShownPathOf(name),
                       .status = manifest.ok() ? CheckPresent(*manifest) : manifest.status()});
  }
  std::sort(entries.begin(), entries.end(),
            [](const CheckpointEntry& a, const CheckpointEntry& b) { return a.id < b.id; });
  return entries;
}

Result<std::optional<Manifest>> LocalCheckpointStore::LoadLatest(bool allow_older,
                                                                 std::string* warning) {
  const std::lock_guard<std::mutex> guard(disk_mutex_);
  // A name that a dying process published may be visible and not yet durable. Whoever resumes from
  // it publishes output; a power cut must not take the checkpoint away after that.
  HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
  // After the names were read: what of ours a successor did not see is not to be published.
  if (remote_) HR_RETURN_IF_ERROR(remote_->CheckFence());
  HR_RETURN_IF_ERROR(LoadKnown(names));
  std::sort(known_.begin(), known_.end(),
            [](const KnownManifest& a, const KnownManifest& b) { return a.id > b.id; });

  // Newest first; the first whole one ends the search, older ones need not be read.
  std::vector<LatestCandidate> candidates;
  Manifest manifest;
  for (KnownManifest& known : known_) {
    const std::string name = ManifestName(known.id);
    Result<Manifest> read = ReadOwn(name);
    const Status status = read.ok() ? CheckWhole(*read) : read.status();
    if (IsTransient(status)) return status;
    known.usable = status.ok();
    if (status.ok()) Know(*read, &known);
    candidates.push_back({.id = known.id, .path = ShownPathOf(name), .status = status});
    if (status.ok()) {
      manifest = std::move(read).value();
      break;
    }
  }
  LatestDecision decision = DecideLatest(candidates, allow_older);
  if (decision.kind == LatestDecision::Kind::kRefuse) return decision.refusal;
  const bool fresh = decision.kind == LatestDecision::Kind::kFreshStart;
  if (remote_) {
    HR_RETURN_IF_ERROR(remote_->Choose(fresh ? 0 : manifest.id, next_checkpoint_id()));
  }
  if (fresh) return std::optional<Manifest>();
  HR_CHECK_EQ(candidates[decision.index].id, manifest.id);
  if (warning != nullptr) *warning = std::move(decision.warning);

  const std::lock_guard<std::mutex> numbers(mutex_);
  MarkDecided(manifest.id);
  parent_digest_ = digests_.at(manifest.id);
  return std::optional<Manifest>(std::move(manifest));
}

// From memory: an I/O error here would make a restored job's first checkpoint fail for no reason.
bool LocalCheckpointStore::Holds(const Manifest& manifest) {
  const std::lock_guard<std::mutex> guard(disk_mutex_);
  const auto found = digests_.find(manifest.id);
  return found != digests_.end() && found->second == DigestOf(manifest);
}

Status LocalCheckpointStore::CheckFence(const std::vector<std::string>& names,
                                        const std::string& name) const {
  for (const std::string& other : names) {
    if (other == name) {
      return Status::AlreadyExists("file " + PathOf(name) + " exists; it was left alone");
    }
    const StoredName stored = ParseStoredName(other);
    if (stored.kind == StoredName::Kind::kRunMarker && stored.run > run_id_) {
      return Status::FailedPrecondition("run " + std::to_string(run_id_) + " of job '" +
                                        options_.job_key + "' was succeeded by run " +
                                        std::to_string(stored.run) + " in " + directory_);
    }
  }
  return Status::Ok();
}

// Until this returns a failure, nothing is retried in place and nothing of it is visible.
Status LocalCheckpointStore::Decide(const Manifest& manifest, const std::string& bytes,
                                    const std::function<bool()>& still_wanted) {
  if (!remote_) return PublishManifest(manifest, bytes);
  HR_RETURN_IF_ERROR(Shown(remote_->Upload(manifest, still_wanted)));
  if (still_wanted && !still_wanted()) return Status::Cancelled("it was given up");
  HR_RETURN_IF_ERROR(remote_->Decide(manifest.id, bytes));
  remote_->FreeStaging(manifest.id);
  return Status::Ok();
}

Status LocalCheckpointStore::PublishManifest(const Manifest& manifest, const std::string& bytes) {
  const std::string name = ManifestName(manifest.id);
  // Data names become durable before the manifest that needs them can.
  HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory_));
  HR_RETURN_IF_ERROR(CheckFence(names, name));

  const std::string temporary = PathOf(ManifestTemporaryName(manifest.id, run_id_, NextNumber()));
  const Status written = WriteSyncedFile(files_, temporary, bytes, !options_.key_id.empty());
  if (!written.ok()) {
    // What cannot be removed now is removed by the next start.
    const Status removed = files_.Remove(temporary);
    return removed.ok() || removed.code() == StatusCode::kNotFound
               ? written
               : written.WithContext("left " + temporary + " behind");
  }
  // From here to the end of the directory sync a failure leaves the decision in doubt: the new name
  // may or may not survive. Both outcomes are sound. The job goes on or restarts without having
  // published anything of this checkpoint; if the manifest does survive, all it refers to is still
  // there, because data and manifest of an abandoned checkpoint stay until two newer ones are
  // complete; and LoadLatest settles the matter before anyone resumes.
  HR_RETURN_IF_ERROR(files_.Rename(temporary, PathOf(name)));
  if (Planted(PlantedBug::kPublishedUndecided) && manifest.renames.size() > 3) {
    HR_RETURN_IF_ERROR(PublishAll(files_, manifest.renames));
  }
  return files_.SyncDirectory(directory_);
}

Status LocalCheckpointStore::Commit(const Manifest& manifest,
                                    const std::function<bool()>& still_wanted) {
  const std::lock_guard<std::mutex> guard(disk_mutex_);
  const std::string context = CheckpointContext(manifest.id);
  if (still_wanted && !still_wanted()) return Status::Cancelled(context + " was given up");
  HR_CHECK_EQ(manifest.run_id, run_id_);
  HR_CHECK_EQ(manifest.job_key, options_.job_key);
  UseUp(manifest.id);

  const std::string bytes = SerializeManifest(manifest);
  if (Planted(PlantedBug::kSinkBeforeManifest) && manifest.renames.size() > 3) {
    HR_RETURN_IF_ERROR(PublishAll(files_, manifest.renames));
  }
  std::string sealed;
  if (!options_.key_id.empty()) {
    HR_ASSIGN_OR_RETURN(sealed, SealManifest(env_, manifest, options_.key_id));
  }
  HR_RETURN_IF_ERROR(
      Decide(manifest, sealed.empty() ? bytes : sealed, still_wanted).WithContext(context));

  KnownManifest known{.id = manifest.id, .usable = true, .files = {}};
  for (const FileManifest& file : manifest.files) known.files.insert(file.name);
  known_.push_back(std::move(known));
  digests_[manifest.id] = Hash128(bytes);
  {
    const std::lock_guard<std::mutex> numbers(mutex_);
    MarkDecided(manifest.id);
    parent_digest_ = Hash128(bytes);
  }
  HR_RETURN_IF_ERROR(PublishAll(files_, manifest.renames)
                         .WithContext(context + " is decided, but its output could not be "
                                                "published; a restart completes it"));
  DeleteWhatMayGo();
  return Status::Ok();
}

// Failures are left to the next checkpoint: the one just committed is complete all the same.
void LocalCheckpointStore::DeleteWhatMayGo() {
  const Result<std::vector<std::string>> names =
      remote_ ? remote_->Names() : files_.List(directory_);
  if (!names.ok()) return;
  std::set<CheckpointId> abandoned;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    abandoned = abandoned_;
  }
  CleanUp clean_up = DecideCleanUp(*names, known_, abandoned, run_id_, options_.retained);
  if (Planted(PlantedBug::kReferencedFileDeleted)) {
    for (const std::string& name : *names) {
      const StoredName stored = ParseStoredName(name);
      const bool old = stored.checkpoint + 30 < known_.back().id;
      if (stored.kind == StoredName::Kind::kData && old) clean_up.data.push_back(name);
    }
  }
  if (remote_ && !RemoveNames(clean_up.manifests).ok()) return;
  for (const std::string& name : clean_up.manifests) {
    if (!remote_ && !files_.Remove(PathOf(name)).ok()) return;
  }
  // A manifest must never come back after a power cut when its data is gone.
  if (!remote_ && !clean_up.manifests.empty() && !files_.SyncDirectory(directory_).ok()) return;
  std::erase_if(known_, [&](const KnownManifest& known) {
    const bool gone = std::find(clean_up.manifests.begin(), clean_up.manifests.end(),
                                ManifestName(known.id)) != clean_up.manifests.end();
    if (gone) digests_.erase(known.id);
    return gone;
  });
  const Status removed = RemoveNames(clean_up.data);
  if (!removed.ok()) return;  // the next checkpoint tries again
}

Result<ErasureReport> LocalCheckpointStore::EraseKey(const KeyErasure& erasure) {
  const std::lock_guard<std::mutex> guard(disk_mutex_);
  RemoteCheckpoints there;
  if (remote_) {
    HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names());
    HR_RETURN_IF_ERROR(remote_->CheckFence());
    HR_ASSIGN_OR_RETURN(there, RemoteCheckpoints::Of(files_, remote_.get(), names));
    there.next = std::max(there.next, next_checkpoint_id());
  }
  const auto next_number = [this] { return NextNumber(); };
  CheckpointRewriter rewriter(env_, directory_, run_id_, next_number, std::move(there));
  Result<ErasureReport> erased = headrace::EraseKey(env_, &rewriter, erasure);
  if (!erased.ok()) return Shown(erased.status());
  return erased;
}

// The marker of the run stays, so that no later run has its number. There is nobody left who could
// be told of a failure.
void LocalCheckpointStore::DeleteAll() {
  const Result<std::vector<std::string>> names = Names();
  if (!names.ok()) return;
  const auto remove = [&](StoredName::Kind kind) {
    std::vector<std::string> chosen;
    for (const std::string& name : *names) {
      if (ParseStoredName(name).kind == kind) chosen.push_back(name);
    }
    return RemoveNames(chosen).ok();
  };
  // A manifest must never come back after a power cut when its data is gone.
  if (!remove(StoredName::Kind::kManifest) || !files_.SyncDirectory(directory_).ok()) return;
  if (!remove(StoredName::Kind::kData)) return;
  const std::string log(kIntervalLogName);
  const bool has_log = std::find(names->begin(), names->end(), log) != names->end();
  if (has_log && !RemoveNames({log}).ok()) return;
}

// What Open hands out: the store lives until the last background work that shares it is done.
class StoreHandle final : public CheckpointStore {
 public:
  explicit StoreHandle(std::shared_ptr<LocalCheckpointStore> store) : store_(std::move(store)) {}

  const CheckpointStoreOptions& options() const override { return store_->options(); }
  const std::string& job_directory() const override { return store_->job_directory(); }
  uint64_t run_id() const override { return store_->run_id(); }
  CheckpointId next_checkpoint_id() const override { return store_->next_checkpoint_id(); }
  Digest128 parent_digest() const override { return store_->parent_digest(); }
  Result<std::vector<CheckpointEntry>> List() override { return store_->List(); }
  Result<std::optional<Manifest>> LoadLatest(bool allow_older, std::string* warning) override {
    return store_->LoadLatest(allow_older, warning);
  }
  bool Holds(const Manifest& manifest) override { return store_->Holds(manifest); }
  std::string DataFileName(CheckpointId id, int task) override {
    return store_->DataFileName(id, task);
  }
  Status Commit(const Manifest& manifest, const std::function<bool()>& still_wanted) override {
    return store_->Commit(manifest, still_wanted);
  }
  bool Decided(CheckpointId id) const override { return store_->Decided(id); }
  void Abandon(CheckpointId id) override { store_->Abandon(id); }
  Status FetchFiles(const Manifest& manifest) override { return store_->FetchFiles(manifest); }
  Result<ErasureReport> EraseKey(const KeyErasure& erasure) override {
    return store_->EraseKey(erasure);
  }
  Status LogInterval(const IntervalLogEntry& entry) override { return store_->LogInterval(entry); }
  void DeleteAllOnClose() override { store_->DeleteAllOnClose(); }
  std::shared_ptr<CheckpointStore> Share() override { return store_; }
  std::weak_ptr<const void> Lifetime() override { return store_->Lifetime(); }

 private:
  std::shared_ptr<LocalCheckpointStore> store_;
};

}  // namespace

const Compression& CheckpointStoreOptions::CompressionOf(const std::string& operator_id,
                                                         const TableMeta& table) const {
  const std::string& state = table.state_name.empty() ? table.name : table.state_name;
  const auto found = state_compression.find(operator_id + "." + state);
  if (found != state_compression.end()) return found->second;
  return table.compression ? *table.compression : compression;
}

Result<std::unique_ptr<CheckpointStore>> CheckpointStore::Open(Env* env,
                                                               CheckpointStoreOptions options) {
  auto store = std::make_shared<LocalCheckpointStore>(env, std::move(options));
  HR_RETURN_IF_ERROR(store->Init());
  return std::unique_ptr<CheckpointStore>(std::make_unique<StoreHandle>(std::move(store)));
}

}  // namespace headrace
