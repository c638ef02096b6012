#include "headrace/checkpoint/remote_directory.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "headrace/checkpoint/protocol.h"

namespace headrace {
namespace {

// How many numbers around one that is known are asked for one by one. They may have gaps: a
// checkpoint that fails uses its number up.
constexpr uint64_t kAskedAhead = 16;
// Of runs fewer, because it is asked at each checkpoint, and a successor has the next number.
constexpr uint64_t kRunsAskedAhead = 4;
constexpr size_t kCandidatesMax = 64;
constexpr std::string_view kEnded = "ended";
// A marker of this size says nothing that a successor takes over: it need not be read, however many
// runs could not begin.
constexpr size_t kFreshMarkerBytes = 256;

std::string Token(Env* env) {
  return std::to_string(env->Random64()) + "-" + std::to_string(env->Random64());
}

}  // namespace

Status ShownAs(const Status& status, const std::string& directory, const std::string& uri) {
  if (status.ok() || directory.empty()) return status;
  std::string message = status.message();
  for (size_t at = message.find(directory); at != std::string::npos;
       at = message.find(directory, at + uri.size())) {
    message.replace(at, directory.size(), uri);
  }
  return Status(status.code(), std::move(message), status.payload());
}

RemoteDirectory::RemoteDirectory(Env* env, std::shared_ptr<CheckpointTransport> transport,
                                 std::string staging)
    : env_(env), transport_(std::move(transport)), staging_(std::move(staging)) {}

Result<std::vector<std::string>> RemoteDirectory::Names() {
  HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> listed, transport_->List());
  sizes_.clear();
  std::vector<std::string> names;
  names.reserve(listed.size());
  for (const RemoteName& remote : listed) {
    sizes_[remote.name] = remote.size_bytes;
    names.push_back(remote.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Of the last listing, and those that it did not show yet.
Result<std::vector<std::string>> RemoteDirectory::ManifestNames() {
  std::vector<std::string> names;
  CheckpointId newest = 0;
  for (const auto& [name, size_bytes] : sizes_) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind != StoredName::Kind::kManifest) continue;
    names.push_back(name);
    newest = std::max(newest, stored.checkpoint);
  }
  std::vector<std::string> candidates;
  for (const CheckpointId id : candidates_) {
    if (!sizes_.contains(ManifestName(id))) candidates.push_back(ManifestName(id));
    newest = std::max(newest, id);
  }
  if (!candidates.empty()) {
    HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> found, transport_->Find(candidates));
    for (const RemoteName& remote : found) names.push_back(remote.name);
  }
  while (!transport_->lists_at_once()) {
    std::vector<std::string> ahead;
    for (uint64_t i = 1; i <= kAskedAhead; ++i) ahead.push_back(ManifestName(newest + i));
    HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> found, transport_->Find(ahead));
    if (found.empty()) break;
    for (const RemoteName& remote : found) {
      names.push_back(remote.name);
      newest = std::max(newest, ParseStoredName(remote.name).checkpoint);
    }
  }
  return names;
}

Status RemoteDirectory::ForgetStagedManifests() {
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> staged, env_->files().List(staging_));
  for (const std::string& name : staged) {
    if (ParseStoredName(name).kind != StoredName::Kind::kManifest) continue;
    HR_RETURN_IF_ERROR(env_->files().Remove(staging_ + "/" + name));
  }
  return Status::Ok();
}

Result<std::vector<std::string>> RemoteDirectory::Refresh() {
  HR_ASSIGN_OR_RETURN(std::vector<std::string> names, Names());
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> manifests, ManifestNames());
  HR_RETURN_IF_ERROR(ForgetStagedManifests());
  HR_RETURN_IF_ERROR(transport_->Download(manifests, staging_));
  // A listed one that is gone was deleted before the listing came to know.
  std::erase_if(names, [](const std::string& name) {
    return ParseStoredName(name).kind == StoredName::Kind::kManifest;
  });
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> staged, env_->files().List(staging_));
  for (const std::string& name : staged) {
    if (ParseStoredName(name).kind == StoredName::Kind::kManifest) names.push_back(name);
  }
  return names;
}

Result<uint64_t> RemoteDirectory::NewestRun() {
  std::vector<RemoteName> found;
  if (!transport_->lists_at_once()) {
    std::vector<std::string> ahead;
    for (uint64_t i = 1; i <= kRunsAskedAhead; ++i) ahead.push_back(RunMarkerName(run_ + i));
    HR_ASSIGN_OR_RETURN(found, transport_->Find(ahead));
  }
  HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> listed, transport_->List());
  found.insert(found.end(), listed.begin(), listed.end());
  uint64_t newest = run_;
  for (const RemoteName& remote : found) {
    const StoredName stored = ParseStoredName(remote.name);
    if (stored.kind == StoredName::Kind::kRunMarker) newest = std::max(newest, stored.run);
  }
  return newest;
}

Result<uint64_t> RemoteDirectory::ClaimRun(uint64_t run) {
  for (run_ = run;; ++run_) {
    HR_ASSIGN_OR_RETURN(const bool ours, TryClaim(run_));
    if (!ours) continue;
    HR_ASSIGN_OR_RETURN(const uint64_t newest, NewestRun());
    if (newest == run_) break;
    run_ = newest;  // a listing that lagged had shown an older one
  }
  HR_RETURN_IF_ERROR(TakeOver());
  claimed_ = true;
  return run_;
}

// False when somebody else has that number.
Result<bool> RemoteDirectory::TryClaim(uint64_t run) {
  if (token_.empty()) token_ = Token(env_);
  const std::string name = RunMarkerName(run);
  std::string fresh = MarkerContent(transport_->Owner());
  if (fresh.size() < kFreshMarkerBytes) fresh.resize(kFreshMarkerBytes, '\n');
  const Status created = transport_->Create(name, fresh);
  if (created.ok()) return true;
  const Result<std::string> content = transport_->Read(name);
  if (content.ok()) return content->starts_with(token_);
  return created.code() == StatusCode::kAlreadyExists ? content.status() : created;
}

Result<uint64_t> RemoteDirectory::ClaimUnused(const std::vector<std::string>& names,
                                              bool assume_gone) {
  for (const std::string& name : names) run_ = std::max(run_, ParseStoredName(name).run);
  HR_ASSIGN_OR_RETURN(const uint64_t newest, NewestRun());
  if (assume_gone) return ClaimRun(newest + 1);
  HR_RETURN_IF_ERROR(CheckUnused(newest));
  // No later number: that would fence off whoever has just taken this one.
  run_ = newest + 1;
  HR_ASSIGN_OR_RETURN(const bool ours, TryClaim(run_));
  if (!ours) {
    return Status::FailedPrecondition(uri() + " is in use: another run has just begun");
  }
  claimed_ = true;
  HR_RETURN_IF_ERROR(CheckFence());
  HR_RETURN_IF_ERROR(TakeOver());
  return run_;
}

// Who left no marker has left the directory: it was copied here.
Status RemoteDirectory::CheckUnused(uint64_t run) {
  const Result<std::string> content = transport_->Read(RunMarkerName(run));
  if (content.status().code() == StatusCode::kNotFound) return Status::Ok();
  HR_RETURN_IF_ERROR(content.status());
  const std::string owner = ParseMarker(*content).owner;
  if (owner == kEnded || (!owner.empty() && transport_->IsGone(owner))) return Status::Ok();
  return Status::FailedPrecondition(
      uri() + " is in use: run " + std::to_string(run) + (owner.empty() ? "" : " (" + owner + ")") +
      " has not ended; stop that job first, or, where its process is gone for certain, say so with "
      "--job-is-gone or job_is_gone=True");
}

void RemoteDirectory::EndRun() {
  if (!claimed_ || fenced_) return;
  // Whoever finds it not done asks whether the process is gone.
  const Status written =
      transport_->TryReplace(RunMarkerName(run_), MarkerContent(std::string(kEnded)));
  if (written.ok()) claimed_ = false;
}

// Before anybody removes the markers they stand in.
Status RemoteDirectory::TakeOver() {
  std::set<std::string> markers;
  const uint64_t asked = transport_->lists_at_once() ? 0 : std::min(kAskedAhead, run_ - 1);
  for (uint64_t i = 1; i <= asked; ++i) markers.insert(RunMarkerName(run_ - i));
  for (const auto& [name, size_bytes] : sizes_) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kRunMarker && stored.run < run_) markers.insert(name);
  }
  HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> found,
                      transport_->Find({markers.begin(), markers.end()}));
  for (const RemoteName& remote : found) {
    if (remote.size_bytes == kFreshMarkerBytes) continue;
    const Result<std::string> content = transport_->Read(remote.name);
    if (!content.ok()) {
      if (content.status().code() == StatusCode::kNotFound) continue;
      return content.status();
    }
    TakeOverMarker(*content);
  }
  return candidates_.empty() && choice_.run == 0 ? Status::Ok() : WriteMarker();
}

void RemoteDirectory::TakeOverMarker(const std::string& content) {
  const Marker marker = ParseMarker(content);
  for (const CheckpointId id : marker.candidates) AddCandidate(id);
  if (marker.choice.run >= choice_.run) choice_ = marker.choice;
}

// What a line does not say is as in a marker that says nothing.
RemoteDirectory::Marker RemoteDirectory::ParseMarker(const std::string& content) {
  std::istringstream lines(content);
  std::string token, candidates, choice;
  Marker marker;
  std::getline(lines, token);
  std::getline(lines, candidates);
  std::getline(lines, choice);
  std::getline(lines, marker.owner);
  std::istringstream ids(candidates);
  for (CheckpointId id = 0; ids >> id;) marker.candidates.push_back(id);
  Choice read;
  if (std::istringstream(choice) >> read.run >> read.chosen >> read.next) marker.choice = read;
  return marker;
}

Status RemoteDirectory::Choose(CheckpointId chosen, CheckpointId next) {
  choice_ = {.run = run_, .chosen = chosen, .next = next};
  candidates_.clear();
  if (chosen != 0) candidates_.insert(chosen);
  return WriteMarker();
}

bool RemoteDirectory::IsVoid(const Manifest& manifest) const {
  if (choice_.run == 0 || manifest.id <= choice_.chosen) return false;
  return manifest.run_id < choice_.run ||
         (manifest.run_id == choice_.run && manifest.id < choice_.next);
}

void RemoteDirectory::AddCandidate(CheckpointId id) {
  candidates_.insert(id);
  if (candidates_.size() > kCandidatesMax) candidates_.erase(candidates_.begin());
}

std::string RemoteDirectory::MarkerContent(const std::string& last_line) const {
  std::string content = token_ + "\n";
  for (const CheckpointId id : candidates_) content += std::to_string(id) + " ";
  content += "\n" + std::to_string(choice_.run) + " " + std::to_string(choice_.chosen) + " " +
             std::to_string(choice_.next) + "\n";
  content += last_line + "\n";
  if (content.size() == kFreshMarkerBytes) content += "\n";
  return content;
}

Status RemoteDirectory::WriteMarker() {
  return transport_->Replace(RunMarkerName(run_), MarkerContent(transport_->Owner()));
}

Status RemoteDirectory::CheckFence() {
  HR_ASSIGN_OR_RETURN(const uint64_t newest, NewestRun());
  if (newest == run_) return Status::Ok();
  fenced_ = true;
  return Status::FailedPrecondition("run " + std::to_string(run_) + " was succeeded by run " +
                                    std::to_string(newest) + " in " + uri() +
                                    ": another process works on this job; stop one of the two");
}

Status RemoteDirectory::CheckFilesPresent(const Manifest& manifest) {
  std::map<std::string, uint64_t> sizes;
  std::vector<std::string> asked;
  for (const FileManifest& file : manifest.files) {
    const auto listed = sizes_.find(file.name);
    if (listed != sizes_.end() && listed->second == file.size_bytes) continue;
    asked.push_back(file.name);
  }
  if (asked.empty()) return Status::Ok();
  HR_ASSIGN_OR_RETURN(const std::vector<RemoteName> found, transport_->Find(asked));
  for (const RemoteName& remote : found) sizes[remote.name] = remote.size_bytes;
  for (const FileManifest& file : manifest.files) {
    if (std::find(asked.begin(), asked.end(), file.name) == asked.end()) continue;
    const std::string path = uri() + "/" + file.name;
    const auto size = sizes.find(file.name);
    if (size == sizes.end()) return Status::Corruption("file " + path + ", offset 0: missing");
    if (size->second == file.size_bytes) continue;
    return Status::Corruption("file " + path + ", offset " +
                              std::to_string(std::min(size->second, file.size_bytes)) + ": has " +
                              std::to_string(size->second) + " bytes where the manifest says " +
                              std::to_string(file.size_bytes));
  }
  return Status::Ok();
}

Status RemoteDirectory::Fetch(const Manifest& manifest) {
  std::vector<std::string> names;
  names.reserve(manifest.files.size());
  for (const FileManifest& file : manifest.files) names.push_back(file.name);
  return names.empty() ? Status::Ok() : transport_->Download(names, staging_);
}

Status RemoteDirectory::Upload(const Manifest& manifest,
                               const CheckpointTransport::StillWanted& still_wanted) {
  std::vector<StagedFile> files;
  for (const FileManifest& file : manifest.files) {
    if (file.checkpoint == manifest.id) files.push_back({file.name, file.digest});
  }
  return files.empty() ? Status::Ok() : transport_->Upload(staging_, files, still_wanted);
}

Status RemoteDirectory::UploadFiles(const std::vector<StagedFile>& files) {
  return files.empty() ? Status::Ok() : transport_->Upload(staging_, files, nullptr);
}

Status RemoteDirectory::ReplaceManifest(const std::string& name, const std::string& bytes) {
  const Status replaced = transport_->Replace(name, bytes);
  if (replaced.ok()) return replaced;
  const Result<std::string> content = transport_->Read(name);
  return content.ok() && *content == bytes ? Status::Ok() : replaced;
}

Status RemoteDirectory::CheckContent(const std::string& name, const std::string& bytes) {
  HR_ASSIGN_OR_RETURN(const std::string content, transport_->Read(name));
  if (content == bytes) return Status::Ok();
  return Status::FailedPrecondition("file " + uri() + "/" + name +
                                    " was changed by somebody else meanwhile: try again");
}

Status RemoteDirectory::Decide(CheckpointId id, const std::string& bytes) {
  HR_RETURN_IF_ERROR(CheckFence());
  const std::string name = ManifestName(id);
  AddCandidate(id);
  if (!transport_->lists_at_once()) HR_RETURN_IF_ERROR(WriteMarker());
  const Status created = transport_->Create(name, bytes);
  if (!created.ok()) {
    // Neither "exists" nor a failure tells whether it was us: what is there now does.
    const Result<std::string> content = transport_->Read(name);
    if (!content.ok()) {
      if (created.code() != StatusCode::kAlreadyExists) return created;
      return Status::IoError("file " + uri() + "/" + name +
                             " exists but cannot be read back: " + content.status().message());
    }
    if (*content != bytes) {
      return Status::AlreadyExists("file " + uri() + "/" + name + " exists; it was left alone");
    }
  }
  HR_RETURN_IF_ERROR(CheckFence());
  candidates_ = {id};
  return Status::Ok();
}

void RemoteDirectory::FreeStaging(CheckpointId id) {
  const Result<std::vector<std::string>> staged = env_->files().List(staging_);
  if (!staged.ok()) return;
  for (const std::string& name : *staged) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind != StoredName::Kind::kData || stored.checkpoint > id) continue;
    // It is scratch; what stays now goes with the next checkpoint.
    const Status removed = env_->files().Remove(staging_ + "/" + name);
    if (!removed.ok()) continue;
  }
}

}  // namespace headrace
