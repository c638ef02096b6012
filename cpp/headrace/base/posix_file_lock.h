#pragma once

#include <memory>
#include <string>

#include "headrace/base/env.h"

namespace headrace {

/// Takes the lock behind PosixFileSystem::Lock(): flock(2), not waiting. kFailedPrecondition names
/// the directory and the process that holds it. The lock file is never removed: a second process
/// could be waiting on the old one while a third creates a new one. Threading: thread-safe.
Result<std::unique_ptr<FileLock>> TakePosixFileLock(const std::string& path);

}  // namespace headrace
