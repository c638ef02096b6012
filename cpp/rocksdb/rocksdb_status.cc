#include "rocksdb/rocksdb_status.h"

#include <string>

namespace headrace {

namespace {

StatusCode CodeOf(const rocksdb::Status& status, const std::string& text) {
  if (status.IsCorruption()) return StatusCode::kCorruption;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit ||
      status.IsMemoryLimit()) {
    return StatusCode::kResourceExhausted;
  }
  if (status.IsIOError()) {
    // RocksDB has no code for EMFILE, and puts the system's text at the end.
    const bool no_descriptor = text.find("Too many open files") != std::string::npos;
    return no_descriptor ? StatusCode::kResourceExhausted : StatusCode::kIoError;
  }
  return StatusCode::kInternal;
}

}  // namespace

Status FromRocksDb(const rocksdb::Status& status, std::string_view context) {
  if (status.ok()) return Status::Ok();
  std::string text = status.ToString();
  const StatusCode code = CodeOf(status, text);
  return Status(code, std::string(context) + ": " + text);
}

}  // namespace headrace
