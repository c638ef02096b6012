#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// The Status of a failed POSIX call: "open('/a/b') failed: No such file or directory". Codes as in
/// posix_file_system.h. Threading: thread-safe.
Status PosixError(std::string_view call, const std::string& path, int error);

/// Repeats a call that returns -1 with errno = EINTR.
template <typename Call>
auto RetryWhenInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

}  // namespace headrace
