#include "headrace/checkpoint/open_data_files.h"

#include <algorithm>

#include "headrace/storage/safe_path.h"

namespace headrace {

Result<Block> OpenDataFiles::Read(const std::string& name, const PartitionRef& ref,
                                  const CheckpointFileIdentity* expected) {
  HR_ASSIGN_OR_RETURN(const std::shared_ptr<CheckpointFileReader> reader, Open(name, expected));
  return reader->Read({.offset = ref.offset,
                       .block_bytes = ref.stored_bytes,
                       .raw_bytes = ref.raw_bytes,
                       .digest = ref.digest});
}

Result<std::shared_ptr<CheckpointFileReader>> OpenDataFiles::Open(
    const std::string& name, const CheckpointFileIdentity* expected) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto found = std::find_if(open_.begin(), open_.end(),
                                  [&name](const Entry& entry) { return entry.first == name; });
  if (found != open_.end()) {
    open_.splice(open_.begin(), open_, found);
    return open_.front().second;
  }
  HR_ASSIGN_OR_RETURN(const std::string path, JoinSafely(directory_, name));
  auto opened = CheckpointFileReader::Open(files_, path);
  if (!opened.ok()) {
    if (opened.status().code() != StatusCode::kNotFound) return opened.status();
    return Status::Corruption("file " + path + ", offset 0: missing");
  }
  std::shared_ptr<CheckpointFileReader> reader = std::move(opened).value();
  if (expected != nullptr) HR_RETURN_IF_ERROR(reader->ExpectIdentity(*expected));
  open_.emplace_front(name, reader);
  if (open_.size() > kOpenMax) open_.pop_back();
  return reader;
}

}  // namespace headrace
