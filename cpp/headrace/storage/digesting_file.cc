#include "headrace/storage/digesting_file.h"

#include "headrace/base/planted_bug.h"

namespace headrace {

Result<std::unique_ptr<DigestingFile>> DigestingFile::Create(FileSystem& files,
                                                             const std::string& path) {
  auto file = files.Create(path);
  if (!file.ok()) return file.status().WithContext("creating '" + path + "'");
  std::unique_ptr<DigestingFile> made(new DigestingFile(path, std::move(file).value()));
  made->buffer_.reserve(kBufferBytes);
  return made;
}

Status DigestingFile::Append(std::string_view bytes) {
  size_bytes_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) HR_RETURN_IF_ERROR(WriteOut());
  buffer_.append(bytes);
  return Status::Ok();
}

Status DigestingFile::SyncAndClose() {
  HR_RETURN_IF_ERROR(WriteOut());
  Status synced = file_->Sync();
  if (Planted(PlantedBug::kSyncRetried) && !synced.ok()) synced = file_->Sync();
  HR_RETURN_IF_ERROR(synced.WithContext("syncing '" + path_ + "'"));
  return file_->Close().WithContext("closing '" + path_ + "'");
}

Status DigestingFile::WriteOut() {
  if (buffer_.empty()) return Status::Ok();
  digest_.Update(buffer_);
  Status status = file_->Append(buffer_);
  buffer_.clear();
  return status.WithContext("writing '" + path_ + "'");
}

}  // namespace headrace
