#include "headrace/storage/synced_file.h"

#include <memory>
#include <utility>

namespace headrace {

Status WriteSyncedFile(FileSystem& files, const std::string& path, std::string_view content,
                       bool secret) {
  auto created = secret ? files.CreatePrivate(path) : files.Create(path);
  HR_ASSIGN_OR_RETURN(const auto file, std::move(created));
  HR_RETURN_IF_ERROR(file->Append(content));
  HR_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace headrace
