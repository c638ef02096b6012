#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

using ModelRows = std::map<uint32_t, std::string>;

/// A table of keyed state that is simple enough to be right: rows by id, four a partition,
/// snapshots by copying. Keeps the contract of TableSnapshot to the letter and reports who breaks
/// it.
class ModelTable {
 public:
  static constexpr uint32_t kPartitionRows = 4;

  explicit ModelTable(std::string name) { meta_.name = std::move(name); }

  const ModelRows& rows() const { return rows_; }
  void Put(uint32_t row, std::string value) {
    rows_[row] = std::move(value);
    Touch(row);
  }
  void Erase(uint32_t row) {
    if (rows_.erase(row) > 0) Touch(row);
  }

  /// The next snapshot builds on no earlier one.
  void RequireFull() { flags_->full = true; }

  std::unique_ptr<TableSnapshot> Snapshot() {
    EXPECT_FALSE(flags_->open) << "the previous snapshot is still held";
    auto snapshot = std::make_unique<Frozen>(this);
    changed_.clear();
    flags_->full = false;
    return snapshot;
  }

  /// Continues from stored partitions; `keep_ids` as at equal parallelism.
  Status Restore(StoredTable* stored, bool keep_ids) {
    for (uint32_t index = 0; index < stored->partition_count(); ++index) {
      HR_ASSIGN_OR_RETURN(const std::vector<std::string> payloads, stored->ReadPartition(index));
      for (const std::string& payload : payloads) HR_RETURN_IF_ERROR(Apply(payload));
    }
    size_ = stored->partition_count() * kPartitionRows;
    flags_->full = !keep_ids;
    if (!keep_ids) size_ = rows_.empty() ? 0 : rows_.rbegin()->first + 1;
    return Status::Ok();
  }

 private:
  struct Flags {
    bool full = true;
    bool open = false;
  };

  class Frozen final : public TableSnapshot {
   public:
    explicit Frozen(ModelTable* table)
        : meta_(table->meta_),
          flags_(table->flags_),
          full_(table->flags_->full),
          partitions_((table->size_ + kPartitionRows - 1) / kPartitionRows),
          rows_(table->rows_),
          changed_rows_(table->changed_) {
      std::set<uint32_t> changed;
      for (const uint32_t row : changed_rows_) changed.insert(row / kPartitionRows);
      if (full_) {
        for (uint32_t i = 0; i < partitions_; ++i) changed.insert(i);
      }
      changed_.assign(changed.begin(), changed.end());
      holds_ = full_ || !changed_.empty();
      flags_->open = holds_;
    }
    ~Frozen() override {
      if (!holds_) return;
      flags_->open = false;
      flags_->full = true;
    }

    const TableMeta& meta() const override { return meta_; }
    bool full() const override { return full_; }
    uint32_t partition_count() const override { return partitions_; }
    const std::vector<uint32_t>& ChangedPartitions() const override { return changed_; }
    Status ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) override {
      if (!read_.insert(index).second ||
          std::find(changed_.begin(), changed_.end(), index) == changed_.end()) {
        return Status::Internal("partition read twice or not part of the snapshot");
      }
      *out = PartitionImage();
      ByteWriter whole;
      ByteWriter delta;
      for (uint32_t row = index * kPartitionRows; row < (index + 1) * kPartitionRows; ++row) {
        const auto found = rows_.find(row);
        if (found != rows_.end()) {
          ++out->live_rows;
          out->live_bytes += found->second.size();
          PutRow(&whole, row, &found->second);
        }
        if (!changed_rows_.contains(row)) continue;
        ++out->changed_rows;
        PutRow(&delta, row, found == rows_.end() ? nullptr : &found->second);
      }
      out->whole = want_whole || full_;
      out->payload = out->whole ? "W" + whole.Take() : "D" + delta.Take();
      return Status::Ok();
    }
    uint64_t live_bytes() const override {
      uint64_t bytes = 0;
      for (const auto& [row, value] : rows_) bytes += value.size();
      return bytes;
    }
    void Finish() override {
      EXPECT_EQ(read_.size(), changed_.size()) << "finished before all was read";
      if (holds_) flags_->open = false;
      holds_ = false;
    }

   private:
    static void PutRow(ByteWriter* out, uint32_t row, const std::string* value) {
      out->Varint(row);
      out->Fixed<uint8_t>(value != nullptr);
      if (value != nullptr) out->String(*value);
    }

    const TableMeta meta_;
    const std::shared_ptr<Flags> flags_;
    const bool full_;
    const uint32_t partitions_;
    const ModelRows rows_;
    const std::set<uint32_t> changed_rows_;
    std::vector<uint32_t> changed_;
    std::set<uint32_t> read_;
    bool holds_ = false;
  };

  void Touch(uint32_t row) {
    size_ = std::max(size_, row + 1);
    changed_.insert(row);
  }

  Status Apply(const std::string& payload) {
    ByteReader in(std::string_view(payload).substr(1));
    while (!in.done()) {
      uint64_t row = 0;
      uint8_t live = 0;
      std::string_view value;
      HR_RETURN_IF_ERROR(in.Varint(&row));
      HR_RETURN_IF_ERROR(in.Fixed(&live));
      if (live != 0) HR_RETURN_IF_ERROR(in.String(&value));
      if (live != 0) {
        rows_[static_cast<uint32_t>(row)] = std::string(value);
      } else {
        rows_.erase(static_cast<uint32_t>(row));
      }
    }
    return Status::Ok();
  }

  TableMeta meta_;
  ModelRows rows_;
  uint32_t size_ = 0;
  std::set<uint32_t> changed_;
  std::shared_ptr<Flags> flags_ = std::make_shared<Flags>();
};

}  // namespace headrace
