#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/state/key_arena.h"
#include "headrace/state/paged_table_snapshot.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// The part of a TableSnapshot that all kinds share: pages come from a PagedTableSnapshot, and a
/// partition is written whole when asked for, when the table is full, or when a quarter of its rows
/// changed.
/// Threading: owned by one thread.
class PagedTableSnapshotAdapter : public TableSnapshot {
 public:
  PagedTableSnapshotAdapter(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                            uint32_t row_bytes, uint64_t live_bytes);

  const TableMeta& meta() const override { return meta_; }
  bool full() const override { return pages_->full(); }
  uint32_t partition_count() const override { return pages_->partition_count(); }
  const std::vector<uint32_t>& ChangedPartitions() const override {
    return pages_->ChangedPartitions();
  }
  Status ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) override;
  uint64_t live_bytes() const override { return live_bytes_; }
  void Finish() override { pages_->Finish(); }

 protected:
  virtual std::string Encode(const PartitionRows& rows, bool whole) const = 0;
  /// Takes out of a whole image the rows that nobody will ask for.
  virtual void LeaveOut(PartitionRows* rows) const { (void)rows; }

  const uint32_t row_bytes_;

 private:
  TableMeta meta_;
  const std::shared_ptr<PagedTableSnapshot> pages_;
  const uint64_t live_bytes_;
  PartitionRows rows_;  // reused
};

/// Tables of kFixedValue and kSlice.
class FixedTableSnapshot final : public PagedTableSnapshotAdapter {
 public:
  FixedTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages);

 private:
  std::string Encode(const PartitionRows& rows, bool whole) const override;
};

/// Table of kDictionary; keeps the key bytes alive.
class DictionaryTableSnapshot final : public PagedTableSnapshotAdapter {
 public:
  DictionaryTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                          int64_t live_bytes, std::shared_ptr<const KeyArena> arena);

 private:
  std::string Encode(const PartitionRows& rows, bool whole) const override;
  const std::shared_ptr<const KeyArena> arena_;
  mutable std::vector<char> room_;
};

/// Table of kRows.
class RowTableSnapshot final : public PagedTableSnapshotAdapter {
 public:
  /// `left_out_until_ms`: as RowState::LeaveOutOfImages().
  RowTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages, int64_t live_bytes,
                   std::optional<int64_t> left_out_until_ms);

 private:
  std::string Encode(const PartitionRows& rows, bool whole) const override;
  void LeaveOut(PartitionRows* rows) const override;

  const std::optional<int64_t> left_out_until_ms_;
  mutable std::vector<char> room_;
};

/// Table of kTimers.
class TimerTableSnapshot final : public PagedTableSnapshotAdapter {
 public:
  TimerTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages, int64_t live_bytes);

 private:
  std::string Encode(const PartitionRows& rows, bool whole) const override;
};

}  // namespace headrace
