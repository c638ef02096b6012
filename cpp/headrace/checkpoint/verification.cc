#include "headrace/checkpoint/verification.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/pending_rename.h"
#include "headrace/storage/safe_path.h"

namespace headrace {
namespace {

/// Counts how far each file was read from its start. Threading: thread-safe.
class ReadCount {
 public:
  void Add(const std::string& path, uint64_t offset, uint64_t size) {
    const std::lock_guard<std::mutex> guard(mutex_);
    uint64_t& end = ends_[path];
    if (offset <= end) end = std::max(end, offset + size);
  }
  uint64_t Total() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    uint64_t total = 0;
    for (const auto& [path, end] : ends_) total += end;
    return total;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> ends_;
};

class CountedFile final : public ReadableFile {
 public:
  CountedFile(std::unique_ptr<ReadableFile> file, std::string path, ReadCount* count)
      : file_(std::move(file)), path_(std::move(path)), count_(count) {}
  Status ReadAt(uint64_t offset, size_t size, std::string* out) override {
    HR_RETURN_IF_ERROR(file_->ReadAt(offset, size, out));
    count_->Add(path_, offset, size);
    return Status::Ok();
  }
  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  std::unique_ptr<ReadableFile> file_;
  const std::string path_;
  ReadCount* count_;
};

/// The files of another file system; only reading is allowed.
class CountedFiles final : public FileSystem {
 public:
  CountedFiles(FileSystem* files, ReadCount* count) : files_(files), count_(count) {}
  Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    HR_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files_->Open(path));
    return std::unique_ptr<ReadableFile>(
        std::make_unique<CountedFile>(std::move(file), path, count_));
  }
  Result<std::string> ReadAll(const std::string& path) override {
    HR_ASSIGN_OR_RETURN(std::string content, files_->ReadAll(path));
    count_->Add(path, 0, content.size());
    return content;
  }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return files_->List(path);
  }
  Result<FileStatus> Stat(const std::string& path) override { return files_->Stat(path); }

  Result<std::unique_ptr<WritableFile>> Create(const std::string&) override { return Refused(); }
  Status Rename(const std::string&, const std::string&) override { return Refused(); }
  Status Remove(const std::string&) override { return Refused(); }
  Status SyncDirectory(const std::string&) override { return Refused(); }
  Status MakeDirectories(const std::string&) override { return Refused(); }
  Result<std::unique_ptr<FileLock>> Lock(const std::string&) override { return Refused(); }

 private:
  static Status Refused() { return Status::Internal("checking a checkpoint changes nothing"); }
  FileSystem* files_;
  ReadCount* count_;
};

class Verifier {
 public:
  explicit Verifier(FileSystem* files) : files_(*files), counted_(files, &count_) {}

  Result<DirectoryReport> Run(const std::string& path) {
    HR_ASSIGN_OR_RETURN(std::vector<std::string> manifests, FindManifests(path));
    for (const std::string& manifest : manifests) CheckManifest(manifest);
    std::stable_sort(report_.checkpoints.begin(), report_.checkpoints.end(),
                     [](const auto& a, const auto& b) { return a.id < b.id; });
    if (newest_) CheckRenames(*newest_);
    FindUnreferenced();
    for (auto& [damaged, damage] : damage_) report_.damage.push_back(std::move(damage));
    report_.bytes_read = count_.Total();
    return std::move(report_);
  }

 private:
  Result<std::vector<std::string>> FindManifests(const std::string& path) {
    HR_ASSIGN_OR_RETURN(const FileStatus status, files_.Stat(path));
    std::vector<std::string> found;
    if (status.exists && status.is_directory) {
      directory_ = path;
      HR_ASSIGN_OR_RETURN(names_, files_.List(path));
      for (const std::string& name : names_) {
        if (name.ends_with(kManifestEnd)) found.push_back(path + "/" + name);
      }
      if (found.empty()) return Status::NotFound("directory " + path + " holds no checkpoint");
      return found;
    }
    const std::string with_end = path + std::string(kManifestEnd);
    HR_ASSIGN_OR_RETURN(const FileStatus named, files_.Stat(with_end));
    if (!status.exists && !named.exists) {
      return Status::NotFound("there is no checkpoint at " + path);
    }
    found.push_back(status.exists ? path : with_end);
    return found;
  }

  void Count(const std::string& path) {
    const Result<FileStatus> status = files_.Stat(path);
    if (!status.ok() || !status->exists || status->is_directory) return;
    ++report_.files;
    report_.bytes_on_disk += status->size_bytes;
  }

  // A status of the form "file X, offset N: what", or anything else about `path`.
  void Note(const std::string& path, const Status& status) {
    constexpr std::string_view kOffset = ", offset ";
    Damage damage{path, 0, status.message()};
    if (status.code() == StatusCode::kNotFound) damage.what = "missing";
    const size_t at = damage.what.find(kOffset);
    if (at != std::string::npos) {
      const char* end = damage.what.data() + damage.what.size();
      const auto parsed =
          std::from_chars(damage.what.data() + at + kOffset.size(), end, damage.offset);
      if (parsed.ec == std::errc() && end - parsed.ptr >= 2 && parsed.ptr[0] == ':') {
        damage.what = std::string(parsed.ptr + 2, end);
      }
    }
    damage_.emplace(path, std::move(damage));
  }

  void CheckManifest(const std::string& path) {
    Count(path);
    CheckedCheckpoint& checked = report_.checkpoints.emplace_back();
    checked.manifest_path = path;
    Result<Manifest> manifest = ReadManifestFile(counted_, path);
    if (!manifest.ok()) {
      Note(path, manifest.status());
      return;
    }
    checked.id = manifest->id;
    checked.kind = manifest->kind;
    checked.whole = true;
    const std::string directory = path.substr(0, path.rfind('/'));
    for (const FileManifest& file : manifest->files) {
      referenced_.insert(file.name);
      const auto [known, added] = file_ok_.try_emplace(file.name, false);
      if (added) known->second = CheckFile(*manifest, file, directory);
      checked.whole = checked.whole && known->second;
    }
    if (!newest_ || newest_->id < manifest->id) newest_ = std::move(manifest).value();
  }

  bool CheckFile(const Manifest& manifest, const FileManifest& file, const std::string& directory) {
    const Result<std::string> path = JoinSafely(directory, file.name);
    if (!path.ok()) {
      Note(directory + "/" + file.name, path.status());
      return false;
    }
    Count(*path);
    Status status = VerifyCheckpointFile(counted_, *path, {file.size_bytes, file.digest});
    if (status.ok()) {
      // Looks at bytes that were read above.
      const auto reader = CheckpointFileReader::Open(files_, *path);
      status =
          reader.ok() ? (*reader)->ExpectIdentity(IdentityOf(manifest, file)) : reader.status();
    }
    if (!status.ok()) Note(*path, status);
    return status.ok();
  }

  void CheckRenames(const Manifest& manifest) {
    std::set<std::string> seen;  // one may be named again by what came before it
    for (const PendingRename& rename : manifest.renames) {
      if (!seen.insert(rename.final_path).second) continue;
      const Result<FileStatus> published = files_.Stat(rename.final_path);
      const bool done = published.ok() && published->exists;
      const std::string& path = done ? rename.final_path : rename.temporary_path;
      Count(path);
      const Status status = CheckPublishable(counted_, rename);
      if (status.ok()) continue;
      Note(path, status);
      report_.checkpoints.back().whole = false;
    }
  }

  void FindUnreferenced() {
    for (const std::string& name : names_) {
      if (ParseStoredName(name).kind == StoredName::Kind::kData && !referenced_.contains(name)) {
        report_.unreferenced.push_back(directory_ + "/" + name);
      }
    }
  }

  FileSystem& files_;
  ReadCount count_;
  CountedFiles counted_;
  DirectoryReport report_;
  std::string directory_;
  std::vector<std::string> names_;
  std::map<std::string, Damage> damage_;
  std::map<std::string, bool> file_ok_;
  std::set<std::string> referenced_;
  std::optional<Manifest> newest_;
};

}  // namespace

const CheckedCheckpoint* DirectoryReport::newest_whole() const {
  for (auto checked = checkpoints.rbegin(); checked != checkpoints.rend(); ++checked) {
    if (checked->whole) return &*checked;
  }
  return nullptr;
}

Result<DirectoryReport> VerifyStored(FileSystem& files, const std::string& path) {
  return Verifier(&files).Run(path);
}

}  // namespace headrace
