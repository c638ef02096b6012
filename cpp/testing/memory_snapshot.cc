#include "testing/memory_snapshot.h"

namespace headrace {
namespace {

class MemoryTable final : public StoredTable {
 public:
  MemoryTable(TableMeta meta, std::vector<std::vector<std::string>> partitions)
      : meta_(std::move(meta)), partitions_(std::move(partitions)) {}

  const TableMeta& meta() const override { return meta_; }
  uint32_t partition_count() const override { return static_cast<uint32_t>(partitions_.size()); }
  Result<std::vector<std::string>> ReadPartition(uint32_t index) override {
    return partitions_[index];
  }

 private:
  const TableMeta meta_;
  const std::vector<std::vector<std::string>> partitions_;
};

}  // namespace

Status MemorySnapshot::Add(KeyedStateSnapshot snapshot) {
  for (const std::string& name : snapshot.dropped) tables_.erase(name);
  for (const auto& source : snapshot.tables) {
    const std::string& name = source->meta().name;
    if (source->full()) tables_.erase(name);
    Table& table = tables_[name];
    table.meta = source->meta();
    table.partitions.resize(source->partition_count());
    for (const uint32_t index : source->ChangedPartitions()) {
      std::vector<std::string>& payloads = table.partitions[index];
      PartitionImage image;
      HR_RETURN_IF_ERROR(source->ReadPartition(index, payloads.empty(), &image));
      if (image.payload.empty()) continue;
      if (image.whole) payloads.clear();
      if (!image.whole && payloads.empty()) {
        return Status::Internal("table '" + name + "' gave a delta without a base");
      }
      payloads.push_back(std::move(image.payload));
    }
    source->Finish();
  }
  return Status::Ok();
}

StoredKeyedState MemorySnapshot::Stored() const {
  StoredKeyedState stored;
  stored.same_parallelism = true;
  stored.subtasks.emplace_back();
  for (const auto& [name, table] : tables_) {
    stored.subtasks[0].tables.push_back(
        std::make_unique<MemoryTable>(table.meta, table.partitions));
  }
  return stored;
}

}  // namespace headrace
