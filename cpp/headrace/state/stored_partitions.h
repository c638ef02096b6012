#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Calls `visit` with the payloads, oldest first, of each partition of a stored table that has any.
/// Views into them are good until it returns. A failure names the partition.
Status ForEachPartition(
    StoredTable& table,
    const std::function<Status(uint32_t index, const std::vector<std::string>& payloads)>& visit);

}  // namespace headrace
