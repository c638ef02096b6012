#include "testing/sim_file_system.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "headrace/base/failpoint.h"
#include "headrace/base/posix_error.h"

namespace headrace {

struct SimFileSystem::Node {
  using Entries = std::map<std::string, std::shared_ptr<Node>>;

  bool is_directory = false;
  SimFileContent content;
  Entries entries;          ///< as the running system sees them
  Entries durable_entries;  ///< as the disk has them

  // Bytes of the files that `entries` leads to.
  uint64_t TreeBytes() const {
    uint64_t bytes = content.cached().size();
    for (const auto& [name, node] : entries) bytes += node->TreeBytes();
    return bytes;
  }

  // The number of torn appends.
  uint64_t Crash(SimRandom* random) {
    auto torn = static_cast<uint64_t>(content.Crash(random));
    entries = durable_entries;
    for (const auto& [name, node] : entries) torn += node->Crash(random);
    return torn;
  }
  void Crash(const CrashChooser& choose) {
    content.Crash(choose);
    entries = durable_entries;
    for (const auto& [name, node] : entries) node->Crash(choose);
  }
};

// A name that appears (to), goes (from), or both: a rename. A half without directory is none, or
// durable.
struct SimFileSystem::NameChange {
  std::shared_ptr<Node> node;
  std::shared_ptr<Node> from_directory;
  std::string from_name;
  std::shared_ptr<Node> to_directory;
  std::string to_name;

  void Apply(Node::Entries Node::*entries) const {
    if (from_directory != nullptr) {
      auto& names = (*from_directory).*entries;
      const auto found = names.find(from_name);
      // The name may stand for another file by now, where an earlier change was lost.
      if (found != names.end() && found->second == node) names.erase(found);
    }
    if (to_directory != nullptr) ((*to_directory).*entries)[to_name] = node;
  }
};

class SimFileSystem::Writer final : public WritableFile {
 public:
  Writer(SimFileSystem* files, std::shared_ptr<Node> node, std::string path)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        generation_(files->generation_) {}

  Status Append(std::string_view bytes) override {
    HR_RETURN_IF_ERROR(ExpectUsable());
    return files_->AppendTo(node_.get(), path_, bytes);
  }

  Status Sync() override {
    HR_RETURN_IF_ERROR(ExpectUsable());
    Fault fault = Fault::kNone;
    HR_RETURN_IF_ERROR(files_->Pass(FsCall::kSync, path_, &fault));
    if (files_->ignores_syncs_) return Status::Ok();
    if (fault != Fault::kNone) {
      node_->content.FailSync();
      return files_->Injected(FsCall::kSync, path_, fault);
    }
    node_->content.Sync();
    return Status::Ok();
  }

  Status Close() override {
    HR_RETURN_IF_ERROR(ExpectUsable());
    closed_ = true;
    Fault fault = Fault::kNone;
    HR_RETURN_IF_ERROR(files_->Pass(FsCall::kClose, path_, &fault));
    if (fault != Fault::kNone) return files_->Injected(FsCall::kClose, path_, fault);
    return Status::Ok();
  }

 private:
  Status ExpectUsable() const {
    if (generation_ != files_->generation_) return Status::IoError("file '" + path_ + "': crashed");
    if (closed_) return Status::FailedPrecondition("file '" + path_ + "' is closed");
    return Status::Ok();
  }

  SimFileSystem* const files_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const uint64_t generation_;
  bool closed_ = false;
};

class SimFileSystem::Reader final : public ReadableFile {
 public:
  Reader(SimFileSystem* files, std::shared_ptr<Node> node, std::string path)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        generation_(files->generation_) {}

  Status ReadAt(uint64_t offset, size_t size, std::string* out) override {
    HR_RETURN_IF_ERROR(ExpectUsable());
    Fault fault = Fault::kNone;
    HR_RETURN_IF_ERROR(files_->Pass(FsCall::kRead, path_, &fault));
    if (fault != Fault::kNone) return files_->Injected(FsCall::kRead, path_, fault);
    const std::string& content = node_->content.cached();
    if (offset > content.size() || size > content.size() - offset) {
      return Status::Corruption("file '" + path_ + "', offset " + std::to_string(offset) +
                                ": wanted " + std::to_string(size) +
                                " bytes, but the file ends at " + std::to_string(content.size()));
    }
    out->assign(content, offset, size);
    if (size > 0 && files_->random_.Chance(files_->faults_[FsCall::kRead].bit_flip)) {
      files_->fault_counts_.Add(FsCall::kRead, &FaultCounts::bit_flips);
      const uint64_t bit = files_->random_.Below(size * 8);
      (*out)[bit / 8] = static_cast<char>((*out)[bit / 8] ^ (1 << (bit % 8)));
    }
    return Status::Ok();
  }

  Result<uint64_t> Size() override {
    HR_RETURN_IF_ERROR(ExpectUsable());
    Fault fault = Fault::kNone;
    HR_RETURN_IF_ERROR(files_->Pass(FsCall::kStat, path_, &fault));
    if (fault != Fault::kNone) return files_->Injected(FsCall::kStat, path_, fault);
    return static_cast<uint64_t>(node_->content.cached().size());
  }

 private:
  Status ExpectUsable() const {
    if (generation_ != files_->generation_) return Status::IoError("file '" + path_ + "': crashed");
    return Status::Ok();
  }

  SimFileSystem* const files_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const uint64_t generation_;
};

class SimFileSystem::Held final : public FileLock {
 public:
  Held(SimFileSystem* files, std::string path)
      : files_(files), path_(std::move(path)), generation_(files->generation_) {}
  ~Held() override {
    // The crash freed it, and somebody else may hold it now.
    if (generation_ == files_->generation_) files_->locks_.erase(path_);
  }

 private:
  SimFileSystem* const files_;
  const std::string path_;
  const uint64_t generation_;
};

SimFileSystem::SimFileSystem(ManualClock* clock, SimRandom random)
    : clock_(clock), random_(random), root_(std::make_shared<Node>()) {
  root_->is_directory = true;
}

SimFileSystem::~SimFileSystem() = default;

Status SimFileSystem::Pass(FsCall call, const std::string& path, Fault* fault) {
  ++calls_;
  if (dead()) return Status::IoError("file '" + path + "': the process has died");
  HR_RETURN_IF_ERROR(Failpoint(FsCallName(call), path));
  const FaultOdds& odds = faults_[call];
  if (random_.Chance(odds.slow)) {
    fault_counts_.Add(call, &FaultCounts::slow);
    clock_->AdvanceNs(faults_.slow_ns);
  }
  const bool writes = call == FsCall::kCreate || call == FsCall::kAppend || call == FsCall::kSync ||
                      call == FsCall::kMkdir || call == FsCall::kRename || call == FsCall::kLock;
  if (random_.Chance(odds.io_error)) {
    fault_counts_.Add(call, &FaultCounts::io_errors);
    *fault = Fault::kIoError;
  } else if (writes && random_.Chance(odds.no_space)) {
    fault_counts_.Add(call, &FaultCounts::no_space);
    *fault = Fault::kNoSpace;
  } else if (call == FsCall::kAppend && random_.Chance(odds.short_write)) {
    fault_counts_.Add(call, &FaultCounts::short_writes);
    *fault = Fault::kShortWrite;
  }
  return Status::Ok();
}

Status SimFileSystem::Injected(FsCall call, const std::string& path, Fault fault) const {
  return PosixError(FsCallName(call), path, fault == Fault::kNoSpace ? ENOSPC : EIO)
      .WithContext("injected");
}

bool SimFileSystem::TakesEffect(Fault fault) {
  return fault == Fault::kNone || (fault == Fault::kIoError && random_.Chance(0.5));
}

Result<SimFileSystem::Place> SimFileSystem::Find(FsCall call, const std::string& path) const {
  if (path.empty() || path.front() != '/') {
    return Status::InvalidArgument("'" + path + "' is not an absolute path");
  }
  Place place{nullptr, "", root_};
  size_t at = 0;
  while (at < path.size()) {
    const size_t start = path.find_first_not_of('/', at);
    if (start == std::string::npos) break;
    at = std::min(path.find('/', start), path.size());
    if (place.node == nullptr) return PosixError(FsCallName(call), path, ENOENT);
    if (!place.node->is_directory) return PosixError(FsCallName(call), path, ENOTDIR);
    place.directory = place.node;
    place.name = path.substr(start, at - start);
    const auto found = place.directory->entries.find(place.name);
    place.node = found == place.directory->entries.end() ? nullptr : found->second;
  }
  return place;
}

Result<std::shared_ptr<SimFileSystem::Node>> SimFileSystem::FindExisting(FsCall call,
                                                                         const std::string& path,
                                                                         bool directory) const {
  HR_ASSIGN_OR_RETURN(Place place, Find(call, path));
  if (place.node == nullptr) return PosixError(FsCallName(call), path, ENOENT);
  if (place.node->is_directory != directory) {
    return PosixError(FsCallName(call), path, directory ? ENOTDIR : EISDIR);
  }
  return place.node;
}

void SimFileSystem::RecordAndApply(NameChange change) {
  change.Apply(&Node::entries);
  name_changes_.push_back(std::move(change));
}

Result<std::unique_ptr<WritableFile>> SimFileSystem::Create(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kCreate, path, &fault));
  HR_ASSIGN_OR_RETURN(Place place, Find(FsCall::kCreate, path));
  if (place.node != nullptr) return PosixError("create", path, EEXIST);
  auto node = std::make_shared<Node>();
  if (TakesEffect(fault)) RecordAndApply({node, nullptr, "", place.directory, place.name});
  if (fault != Fault::kNone) return Injected(FsCall::kCreate, path, fault);
  return std::unique_ptr<WritableFile>(new Writer(this, std::move(node), path));
}

Status SimFileSystem::AppendTo(Node* node, const std::string& path, std::string_view bytes) {
  if (on_append_) on_append_(path);
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kAppend, path, &fault));
  if (fault != Fault::kNone) {
    node->content.Append(bytes.substr(0, random_.Below(bytes.size() + 1)));
    return Injected(FsCall::kAppend, path, fault);
  }
  if (capacity_bytes_ != UINT64_MAX) {
    const uint64_t used = used_bytes();
    const uint64_t room = capacity_bytes_ - std::min(capacity_bytes_, used);
    if (room < bytes.size()) {
      node->content.Append(bytes.substr(0, room));
      return PosixError("write", path, ENOSPC);
    }
  }
  node->content.Append(bytes);
  return Status::Ok();
}

Result<std::unique_ptr<ReadableFile>> SimFileSystem::Open(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kOpen, path, &fault));
  if (fault != Fault::kNone) return Injected(FsCall::kOpen, path, fault);
  HR_ASSIGN_OR_RETURN(auto node, FindExisting(FsCall::kOpen, path, false));
  return std::unique_ptr<ReadableFile>(new Reader(this, std::move(node), path));
}

Result<std::string> SimFileSystem::ReadAll(const std::string& path) {
  HR_ASSIGN_OR_RETURN(auto file, Open(path));
  HR_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  std::string content;
  HR_RETURN_IF_ERROR(file->ReadAt(0, size_bytes, &content));
  return content;
}

Status SimFileSystem::Rename(const std::string& from, const std::string& to) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kRename, from, &fault));
  HR_ASSIGN_OR_RETURN(Place source, Find(FsCall::kRename, from));
  HR_ASSIGN_OR_RETURN(Place target, Find(FsCall::kRename, to));
  const std::string both = from + "' -> '" + to;
  if (source.node == nullptr) return PosixError("rename", both, ENOENT);
  if (source.directory == nullptr || target.directory == nullptr) {
    return PosixError("rename", both, EBUSY);
  }
  // A directory cannot become its own descendant, or the tree would hold itself.
  if (source.node->is_directory && to.starts_with(from + "/")) {
    return PosixError("rename", both, EINVAL);
  }
  if (target.node != nullptr && target.node != source.node) {
    if (target.node->is_directory != source.node->is_directory) {
      return PosixError("rename", both, target.node->is_directory ? EISDIR : ENOTDIR);
    }
    if (!target.node->entries.empty()) return PosixError("rename", both, ENOTEMPTY);
  }
  if (target.node != source.node && TakesEffect(fault)) {
    RecordAndApply({source.node, source.directory, source.name, target.directory, target.name});
  }
  if (fault != Fault::kNone) return Injected(FsCall::kRename, from, fault);
  return Status::Ok();
}

Status SimFileSystem::Remove(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kRemove, path, &fault));
  HR_ASSIGN_OR_RETURN(Place place, Find(FsCall::kRemove, path));
  if (place.node == nullptr) return PosixError("remove", path, ENOENT);
  if (place.directory == nullptr) return PosixError("remove", path, EBUSY);
  if (!place.node->entries.empty()) return PosixError("remove", path, ENOTEMPTY);
  if (TakesEffect(fault)) RecordAndApply({place.node, place.directory, place.name, nullptr, ""});
  if (fault != Fault::kNone) return Injected(FsCall::kRemove, path, fault);
  return Status::Ok();
}

Status SimFileSystem::SyncDirectory(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kSyncDirectory, path, &fault));
  HR_ASSIGN_OR_RETURN(auto directory, FindExisting(FsCall::kSyncDirectory, path, true));
  if (!TakesEffect(fault)) return Injected(FsCall::kSyncDirectory, path, fault);
  // A file that leaves a synced directory must have arrived in the other, or it would be nowhere;
  // so the directories it went to are synced along, as a journal would.
  std::set<Node*> synced = {directory.get()};
  for (bool grew = true; grew;) {
    grew = false;
    for (const NameChange& change : name_changes_) {
      if (change.from_directory != nullptr && change.to_directory != nullptr &&
          synced.count(change.from_directory.get()) > 0) {
        grew |= synced.insert(change.to_directory.get()).second;
      }
    }
  }
  for (NameChange& change : name_changes_) {
    if (synced.count(change.from_directory.get()) > 0) change.from_directory = nullptr;
    if (synced.count(change.to_directory.get()) > 0) change.to_directory = nullptr;
  }
  std::erase_if(name_changes_, [](const NameChange& change) {
    return change.from_directory == nullptr && change.to_directory == nullptr;
  });
  for (Node* node : synced) node->durable_entries = node->entries;
  if (fault != Fault::kNone) return Injected(FsCall::kSyncDirectory, path, fault);
  return Status::Ok();
}

Status SimFileSystem::MakeDirectories(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kMkdir, path, &fault));
  if (!TakesEffect(fault)) return Injected(FsCall::kMkdir, path, fault);
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    HR_ASSIGN_OR_RETURN(Place place, Find(FsCall::kMkdir, path.substr(0, at)));
    if (place.node == nullptr) {
      place.node = std::make_shared<Node>();
      place.node->is_directory = true;
      place.directory->entries[place.name] = place.node;
      place.directory->durable_entries[place.name] = place.node;
    }
    if (!place.node->is_directory) return PosixError("mkdir", path, ENOTDIR);
  }
  if (fault != Fault::kNone) return Injected(FsCall::kMkdir, path, fault);
  return Status::Ok();
}

Result<std::vector<std::string>> SimFileSystem::List(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kList, path, &fault));
  if (fault != Fault::kNone) return Injected(FsCall::kList, path, fault);
  HR_ASSIGN_OR_RETURN(auto node, FindExisting(FsCall::kList, path, true));
  std::vector<std::string> names;
  for (const auto& [name, entry] : node->entries) names.push_back(name);
  return names;
}

Result<FileStatus> SimFileSystem::Stat(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kStat, path, &fault));
  if (fault != Fault::kNone) return Injected(FsCall::kStat, path, fault);
  const auto place = Find(FsCall::kStat, path);
  // A missing parent or a file in its place means the same here as for stat(2) in PosixFileSystem.
  if (!place.ok()) {
    if (place.status().code() == StatusCode::kInvalidArgument) return place.status();
    return FileStatus{};
  }
  if (place->node == nullptr) return FileStatus{};
  return FileStatus{true, place->node->is_directory, place->node->content.cached().size()};
}

Result<std::unique_ptr<FileLock>> SimFileSystem::Lock(const std::string& path) {
  Fault fault = Fault::kNone;
  HR_RETURN_IF_ERROR(Pass(FsCall::kLock, path, &fault));
  if (fault != Fault::kNone) return Injected(FsCall::kLock, path, fault);
  HR_ASSIGN_OR_RETURN(Place place, Find(FsCall::kLock, path));
  if (locks_.count(path) > 0) {
    return Status::FailedPrecondition("directory '" + path.substr(0, path.rfind('/')) +
                                      "' is in use by another live process, which holds '" + path +
                                      "'; stop it or choose another directory");
  }
  if (place.node == nullptr) {
    RecordAndApply({std::make_shared<Node>(), nullptr, "", place.directory, place.name});
  }
  locks_.insert(path);
  return std::unique_ptr<FileLock>(new Held(this, path));
}

uint64_t SimFileSystem::used_bytes() const { return root_->TreeBytes(); }

void SimFileSystem::Crash(CrashKind kind) {
  ++generation_;
  dies_at_call_ = UINT64_MAX;
  locks_.clear();
  if (kind == CrashKind::kProcessKill) return;
  for (const NameChange& change : name_changes_) {
    if (random_.Chance(0.5)) {
      change.Apply(&Node::durable_entries);
    } else {
      ++lost_name_changes_;
    }
  }
  name_changes_.clear();
  torn_appends_ += root_->Crash(&random_);
}

void SimFileSystem::CrashChoosing(const CrashChooser& choose) {
  ++generation_;
  dies_at_call_ = UINT64_MAX;
  locks_.clear();
  for (const NameChange& change : name_changes_) {
    if (choose(2) != 0) change.Apply(&Node::durable_entries);
  }
  name_changes_.clear();
  root_->Crash(choose);
}

Status SimFileSystem::FlipBit(const std::string& path, uint64_t bit) {
  HR_ASSIGN_OR_RETURN(auto node, FindExisting(FsCall::kOpen, path, false));
  if (bit / 8 >= node->content.cached().size()) {
    return Status::InvalidArgument("'" + path + "' has no bit " + std::to_string(bit));
  }
  node->content.FlipBit(bit);
  return Status::Ok();
}

Status SimFileSystem::CutFile(const std::string& path, uint64_t size_bytes) {
  HR_ASSIGN_OR_RETURN(auto node, FindExisting(FsCall::kOpen, path, false));
  if (size_bytes > node->content.cached().size()) {
    return Status::InvalidArgument("'" + path + "' has fewer than " + std::to_string(size_bytes) +
                                   " bytes");
  }
  node->content.Cut(size_bytes);
  return Status::Ok();
}

}  // namespace headrace
