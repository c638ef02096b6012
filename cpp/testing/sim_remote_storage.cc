#include "testing/sim_remote_storage.h"

#include <algorithm>
#include <limits>

#include "headrace/base/check.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/checkpoint/protocol.h"

namespace headrace {
namespace {

constexpr size_t kHistoryMax = 32;
constexpr uint64_t kLateCallsMax = 12;

Status WriteLocal(FileSystem& files, const std::string& path, const std::string& bytes) {
  HR_ASSIGN_OR_RETURN(const FileStatus there, files.Stat(path));
  if (there.exists) HR_RETURN_IF_ERROR(files.Remove(path));
  HR_ASSIGN_OR_RETURN(auto file, files.Create(path));
  HR_RETURN_IF_ERROR(file->Append(bytes));
  HR_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace

/// Speaks to the storage for one process.
class SimRemoteStorage::Client final : public CheckpointTransport {
 public:
  Client(SimRemoteStorage* storage, FileSystem& files)
      : storage_(*storage), files_(files), process_(++storage->clients_) {}

  const std::string& uri() const override { return uri_; }

  Status Upload(const std::string& local_directory, const std::vector<StagedFile>& files,
                const StillWanted& still_wanted) override {
    for (const StagedFile& file : files) {
      if (still_wanted && !still_wanted()) return Status::Cancelled("the upload was given up");
      const std::string path = local_directory + "/" + file.name;
      HR_ASSIGN_OR_RETURN(std::string bytes, files_.ReadAll(path));
      if (Hash128(bytes) != file.digest) {
        return Status::IoError("file " + path + " is not read back as it was written");
      }
      HR_RETURN_IF_ERROR(storage_.Perform(
          RemoteCall::kUpload,
          [&storage = storage_, name = file.name, bytes] { storage.Put(name, bytes); }));
    }
    return Status::Ok();
  }

  Status Create(const std::string& name, std::string_view bytes) override {
    auto taken = std::make_shared<bool>(false);
    HR_RETURN_IF_ERROR(storage_.Perform(
        RemoteCall::kCreate, [&storage = storage_, name, content = std::string(bytes), taken] {
          *taken = storage.content_.contains(name);
          if (!*taken) storage.Put(name, content);
        }));
    return *taken ? Status::AlreadyExists("file " + uri_ + "/" + name + " exists") : Status::Ok();
  }

  Status Replace(const std::string& name, std::string_view bytes) override {
    return storage_.Perform(
        RemoteCall::kReplace,
        [&storage = storage_, name, content = std::string(bytes)] { storage.Put(name, content); });
  }

  Status TryReplace(const std::string& name, std::string_view bytes) override {
    return Replace(name, bytes);
  }

  bool lists_at_once() const override { return false; }

  Result<std::string> Read(const std::string& name) override {
    HR_RETURN_IF_ERROR(storage_.Perform(RemoteCall::kRead, nullptr));
    const auto found = storage_.content_.find(name);
    if (found == storage_.content_.end()) {
      return Status::NotFound("there is no file " + uri_ + "/" + name);
    }
    return found->second;
  }

  Result<std::vector<RemoteName>> List() override {
    HR_RETURN_IF_ERROR(storage_.Perform(RemoteCall::kList, nullptr));
    const auto& history = storage_.history_;
    if (history.empty()) return std::vector<RemoteName>();
    const size_t lag_max = std::min(storage_.list_lag_max_, history.size() - 1);
    const size_t lag = lag_max == 0 ? 0 : storage_.random_.Below(lag_max + 1);
    return history[history.size() - 1 - lag];
  }

  Result<std::vector<RemoteName>> Find(const std::vector<std::string>& names) override {
    HR_RETURN_IF_ERROR(storage_.Perform(RemoteCall::kFind, nullptr));
    std::vector<RemoteName> found;
    for (const std::string& name : names) {
      const auto at = storage_.content_.find(name);
      if (at != storage_.content_.end()) found.push_back({name, at->second.size()});
    }
    return found;
  }

  Status Download(const std::vector<std::string>& names,
                  const std::string& local_directory) override {
    HR_RETURN_IF_ERROR(storage_.Perform(RemoteCall::kDownload, nullptr));
    for (const std::string& name : names) {
      const auto found = storage_.content_.find(name);
      if (found == storage_.content_.end()) continue;
      HR_RETURN_IF_ERROR(WriteLocal(files_, local_directory + "/" + name, found->second));
    }
    return Status::Ok();
  }

  Status Delete(const std::vector<std::string>& names) override {
    for (const std::string& name : names) {
      HR_RETURN_IF_ERROR(storage_.Perform(RemoteCall::kDelete,
                                          [&storage = storage_, name] { storage.Erase(name); }));
    }
    return Status::Ok();
  }

  Status RemoveTemporaries() override { return storage_.Perform(RemoteCall::kDelete, nullptr); }

  std::string Owner() override { return "process " + std::to_string(process_); }
  bool IsGone(const std::string& owner) override { return storage_.gone_.contains(owner); }

 private:
  SimRemoteStorage& storage_;
  FileSystem& files_;
  const uint64_t process_;
  const std::string uri_ = "sim://bucket/job";
};

std::shared_ptr<CheckpointTransport> SimRemoteStorage::Connect(FileSystem& files) {
  return std::make_shared<Client>(this, files);
}

std::vector<std::string> SimRemoteStorage::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : content_) names.push_back(name);
  return names;
}

void SimRemoteStorage::FailNext(RemoteCall call, RemoteFault fault) {
  scripted_.emplace_back(call, fault);
}

bool SimRemoteStorage::DrawFault(RemoteCall call, RemoteFault* fault, uint64_t* late_at) {
  *late_at = std::numeric_limits<uint64_t>::max();
  const auto scripted = std::find_if(scripted_.begin(), scripted_.end(),
                                     [&](const auto& entry) { return entry.first == call; });
  if (scripted != scripted_.end()) {
    *fault = scripted->second;
    scripted_.erase(scripted);
    return true;
  }
  if (!random_.Chance(fault_probability_)) return false;
  *fault = static_cast<RemoteFault>(random_.Below(3));
  *late_at = calls_ + 1 + random_.Below(kLateCallsMax);
  return true;
}

Status SimRemoteStorage::Perform(RemoteCall call, const Effect& effect) {
  ++calls_;
  for (size_t i = 0; i < late_.size();) {
    if (late_[i].first > calls_) {
      ++i;
      continue;
    }
    const Effect due = std::move(late_[i].second);
    late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(i));
    due();
  }
  if (before_call_) before_call_(call);
  RemoteFault fault{};
  uint64_t late_at = 0;
  if (!DrawFault(call, &fault, &late_at)) {
    if (effect) effect();
    return Status::Ok();
  }
  ++faults_;
  if (effect && fault == RemoteFault::kDoneButLost) effect();
  if (effect && fault == RemoteFault::kDoneLater) {
    late_.emplace_back(late_at, effect);
  }
  return Status::IoError("sim://bucket/job does not answer");
}

void SimRemoteStorage::SettleLate() {
  std::vector<std::pair<uint64_t, Effect>> late;
  late.swap(late_);
  for (const auto& [call, effect] : late) effect();
}

void SimRemoteStorage::CopyTo(FileSystem& files, const std::string& directory) {
  HR_CHECK(files.MakeDirectories(directory).ok());
  const Result<std::vector<std::string>> there = files.List(directory);
  HR_CHECK(there.ok());
  for (const std::string& name : *there) HR_CHECK(files.Remove(directory + "/" + name).ok());

  std::map<CheckpointId, std::string> manifests;
  for (const auto& [name, bytes] : content_) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kManifest) {
      manifests[stored.checkpoint] = name;
    } else {
      HR_CHECK(WriteLocal(files, directory + "/" + name, bytes).ok());
    }
  }
  int whole = 0;
  for (auto manifest = manifests.rbegin(); manifest != manifests.rend(); ++manifest) {
    const std::string& bytes = content_.at(manifest->second);
    const Result<Manifest> parsed = ParseManifest(bytes, manifest->second);
    const bool lacks = parsed.ok() && std::any_of(parsed->files.begin(), parsed->files.end(),
                                                  [&](const FileManifest& file) {
                                                    return !content_.contains(file.name);
                                                  });
    if (lacks && whole >= 2) continue;
    whole += lacks ? 0 : 1;
    HR_CHECK(WriteLocal(files, directory + "/" + manifest->second, bytes).ok());
  }
}

void SimRemoteStorage::Put(const std::string& name, std::string bytes) {
  content_[name] = std::move(bytes);
  NoteNames();
}

void SimRemoteStorage::Erase(const std::string& name) {
  if (content_.erase(name) > 0) NoteNames();
}

void SimRemoteStorage::NoteNames() {
  std::vector<RemoteName> names;
  for (const auto& [name, bytes] : content_) names.push_back({name, bytes.size()});
  history_.push_back(std::move(names));
  if (history_.size() > kHistoryMax) history_.erase(history_.begin());
}

}  // namespace headrace
