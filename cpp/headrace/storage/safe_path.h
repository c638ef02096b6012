#pragma once

#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// Ok when `name`, read from a file or given by a user, is a relative path that cannot leave its
/// directory: one to four segments of 1 to 80 characters of [a-z0-9._-] between single slashes,
/// none starting with a dot. kInvalidArgument quotes the name (shortened, unprintable bytes
/// replaced) and says what is wrong.
Status ValidateRelativeName(std::string_view name);

/// `root` and `name` joined by one slash, after ValidateRelativeName(name).
Result<std::string> JoinSafely(std::string_view root, std::string_view name);

/// A path segment for a job name of any bytes: its readable part in lower case, at most 60
/// characters, and eight hex digits of its hash, so that names which look alike stay apart. Passes
/// ValidateRelativeName(); on disk, so it never changes (golden values in
/// tests/cpp/storage/safe_path_test.cc).
std::string SanitizeName(std::string_view job_name);

}  // namespace headrace
