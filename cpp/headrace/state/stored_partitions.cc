#include "headrace/state/stored_partitions.h"

namespace headrace {

Status ForEachPartition(
    StoredTable& table,
    const std::function<Status(uint32_t index, const std::vector<std::string>& payloads)>& visit) {
  for (uint32_t index = 0; index < table.partition_count(); ++index) {
    const Result<std::vector<std::string>> payloads = table.ReadPartition(index);
    Status status = payloads.status();
    if (status.ok() && !payloads->empty()) status = visit(index, *payloads);
    if (!status.ok()) return status.WithContext("partition " + std::to_string(index));
  }
  return Status::Ok();
}

}  // namespace headrace
