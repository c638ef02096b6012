#include "headrace/base/posix_error.h"

#include <system_error>

namespace headrace {

namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return StatusCode::kNotFound;
    case EEXIST:
      return StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kIoError;
  }
}

}  // namespace

Status PosixError(std::string_view call, const std::string& path, int error) {
  return Status(CodeOf(error), std::string(call) + "('" + path +
                                   "') failed: " + std::generic_category().message(error));
}

}  // namespace headrace
