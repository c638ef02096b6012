#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/base/status.h"

namespace headrace {

/// One change of a ColdStore. The views need to live as long as the call that takes them.
struct ColdWrite {
  std::string_view key;
  std::optional<std::string_view> value;  ///< none: the row is removed
};

/// Called with each row of a range in ascending order of keys; false ends the walk.
using ColdVisitor = std::function<bool(std::string_view key, std::string_view value)>;

/// A ColdStore as it was when the view was made; later writes are not seen.
/// Threading: owned by one thread, which need not be the store's. The store must outlive it.
class ColdView {
 public:
  virtual ~ColdView() = default;
  /// Rows with begin <= key < end; an empty `end` means no bound.
  virtual Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) = 0;
};

/// Where the rows of one keyed operator subtask live that are not in memory: an ordered map from
/// bytes to bytes on the local disk.
///
/// It is scratch: its directory is made empty, belongs to one attempt, and is deleted with the
/// store. What survives a crash is in checkpoints only, so nothing here is ever synced.
/// An error is that of the disk (kIoError, kResourceExhausted when it is full) or kCorruption of a
/// block that was read; it fails the attempt.
/// Threading: Get, MultiGet, Scan and MakeView by any thread; Apply by one thread at a time.
class ColdStore {
 public:
  virtual ~ColdStore() = default;

  /// All or nothing as seen by other threads. Later writes of the same key win; sorted keys are
  /// cheaper.
  virtual Status Apply(std::span<const ColdWrite> writes) = 0;
  /// One value a key, none where there is no such row. `values` is resized.
  virtual Status MultiGet(std::span<const std::string_view> keys,
                          std::vector<std::optional<std::string>>* values) = 0;
  /// The newest rows, as ColdView::Scan; rows written during the walk may or may not be seen.
  virtual Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) = 0;
  /// O(1), whatever the size: taken at a barrier.
  virtual std::unique_ptr<ColdView> MakeView() = 0;

  /// Memory it holds now (caches, write buffers, indexes): counts against the budget.
  virtual int64_t memory_bytes() const = 0;
  virtual int64_t disk_bytes() const = 0;
  /// Numbers for metrics, by name: "block_reads", "block_cache_hits", …
  virtual std::map<std::string, int64_t> Statistics() const = 0;
};

struct ColdStoreOptions {
  std::string directory;     ///< of this store alone; made by Open, deleted with the store
  int64_t memory_bytes = 0;  ///< for caches, write buffers and indexes
  /// Length of the part of each key that point reads and narrow scans have in common (key group and
  /// hash of the key): what a bloom filter may be built on.
  size_t prefix_bytes = 6;
};

/// Opens the stores of all subtasks of a job; they may share caches. Threading: thread-safe.
class ColdStoreFactory {
 public:
  virtual ~ColdStoreFactory() = default;
  /// "disk" or "rocksdb", for messages.
  virtual std::string_view name() const = 0;
  virtual Result<std::unique_ptr<ColdStore>> Open(Env* env, const ColdStoreOptions& options) = 0;
};

}  // namespace headrace
