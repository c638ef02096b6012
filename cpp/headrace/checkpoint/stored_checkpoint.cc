#include "headrace/checkpoint/stored_checkpoint.h"

#include <algorithm>

#include "headrace/checkpoint/protocol.h"
#include "headrace/storage/pending_rename.h"
#include "headrace/storage/safe_path.h"

namespace headrace {
namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A missing file is damage to the checkpoint that needs it; an I/O error stays one.
Status AsDamage(const Status& status, const std::string& path) {
  if (status.code() != StatusCode::kNotFound) return status;
  return Status::Corruption("file " + path + ", offset 0: missing");
}

Status CheckOneFile(FileSystem& files, const Manifest& manifest, const FileManifest& file,
                    const std::string& directory) {
  HR_ASSIGN_OR_RETURN(const std::string path, JoinSafely(directory, file.name));
  const Status content = VerifyCheckpointFile(files, path, {file.size_bytes, file.digest});
  if (!content.ok()) return AsDamage(content, path);
  HR_ASSIGN_OR_RETURN(auto reader, CheckpointFileReader::Open(files, path));
  return reader->ExpectIdentity(IdentityOf(manifest, file));
}

struct Found {
  std::string manifest_path;
  std::string directory;
};

// The newest manifest of a directory that can be used, judged by presence and length of its files.
Result<Found> FindInDirectory(FileSystem& files, const std::string& directory) {
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory));
  std::vector<LatestCandidate> candidates;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    const std::string path = directory + "/" + name;
    if (stored.kind == StoredName::Kind::kManifest) {
      Result<Manifest> manifest = ReadManifestFile(files, path);
      const Status status =
          manifest.ok() ? CheckFilesPresent(files, *manifest, directory) : manifest.status();
      candidates.push_back({.id = stored.checkpoint, .path = path, .status = status});
    } else if (LooksLikeManifest(name)) {
      others.push_back(path);
    }
  }
  if (candidates.empty() && others.size() == 1) return Found{others.front(), directory};
  LatestDecision decision = DecideLatest(candidates, /*allow_older=*/false);
  switch (decision.kind) {
    case LatestDecision::Kind::kUse:
      return Found{candidates[decision.index].path, directory};
    case LatestDecision::Kind::kRefuse:
      return decision.refusal;
    case LatestDecision::Kind::kFreshStart:
      break;
  }
  return Status::NotFound("directory " + directory + " holds no checkpoint");
}

Result<Found> Find(FileSystem& files, const std::string& path) {
  HR_ASSIGN_OR_RETURN(const FileStatus status, files.Stat(path));
  if (status.exists && !status.is_directory) return Found{path, DirectoryOf(path)};
  if (status.exists) return FindInDirectory(files, path);
  // As Flink names it: chk-7 for chk-7.manifest.
  const std::string with_end = path + std::string(kManifestEnd);
  HR_ASSIGN_OR_RETURN(const FileStatus manifest, files.Stat(with_end));
  if (manifest.exists && !manifest.is_directory) return Found{with_end, DirectoryOf(path)};
  return Status::NotFound("there is no checkpoint at " + path);
}

}  // namespace

CheckpointFileIdentity IdentityOf(const Manifest& manifest, const FileManifest& file) {
  return {.job_key_hash = Hash64(manifest.job_key),
          .checkpoint_id = file.checkpoint,
          .epoch = ParseStoredName(file.name).run};
}

Result<Manifest> ReadManifestFile(FileSystem& files, const std::string& path) {
  Result<std::string> bytes = files.ReadAll(path);
  if (!bytes.ok()) return AsDamage(bytes.status(), path);
  HR_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(*bytes, path));
  // A savepoint's manifest may have any name; one that says its number must mean it.
  const StoredName stored = ParseStoredName(path.substr(path.rfind('/') + 1));
  if (stored.kind == StoredName::Kind::kManifest && stored.checkpoint != manifest.id) {
    return Status::Corruption("file " + path + ", offset 0: holds checkpoint " +
                              std::to_string(manifest.id));
  }
  return manifest;
}

Status CheckFilesPresent(FileSystem& files, const Manifest& manifest,
                         const std::string& directory) {
  for (const FileManifest& file : manifest.files) {
    HR_ASSIGN_OR_RETURN(const std::string path, JoinSafely(directory, file.name));
    HR_ASSIGN_OR_RETURN(const FileStatus status, files.Stat(path));
    if (!status.exists || status.is_directory) {
      return Status::Corruption("file " + path + ", offset 0: missing");
    }
    if (status.size_bytes != file.size_bytes) {
      return Status::Corruption("file " + path + ", offset " +
                                std::to_string(std::min(status.size_bytes, file.size_bytes)) +
                                ": has " + std::to_string(status.size_bytes) +
                                " bytes where the manifest says " +
                                std::to_string(file.size_bytes));
    }
  }
  return Status::Ok();
}

Status CheckFilesWhole(FileSystem& files, const Manifest& manifest, const std::string& directory) {
  // Lengths first: a missing file should not be found after gigabytes were read.
  HR_RETURN_IF_ERROR(CheckFilesPresent(files, manifest, directory));
  for (const FileManifest& file : manifest.files) {
    HR_RETURN_IF_ERROR(CheckOneFile(files, manifest, file, directory));
  }
  return Status::Ok();
}

Result<Manifest> LoadManifest(FileSystem& files, const std::string& path, std::string* directory) {
  HR_ASSIGN_OR_RETURN(const Found found, Find(files, path));
  HR_ASSIGN_OR_RETURN(Manifest manifest, ReadManifestFile(files, found.manifest_path));
  HR_RETURN_IF_ERROR(CheckFilesPresent(files, manifest, found.directory));
  if (directory != nullptr) *directory = found.directory;
  return manifest;
}

Status FinishPublication(FileSystem& files, const Manifest& manifest) {
  // All are checked before the first is renamed, so a damaged one leaves nothing half published.
  for (const PendingRename& rename : manifest.renames) {
    HR_RETURN_IF_ERROR(CheckPublishable(files, rename));
  }
  return PublishAll(files, manifest.renames);
}

}  // namespace headrace
