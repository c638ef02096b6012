#pragma once

#include <string>
#include <string_view>

#include "headrace/base/env.h"

namespace headrace {

/// Writes a new file and syncs its content; its name is durable once the directory is synced.
/// `secret`: only the owner may read it. kAlreadyExists when there is one of this name.
Status WriteSyncedFile(FileSystem& files, const std::string& path, std::string_view content,
                       bool secret = false);

}  // namespace headrace
