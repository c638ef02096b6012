#pragma once

#include <cstdint>
#include <vector>

#include "headrace/types/batch.h"

namespace headrace {

/// Deals the rows of batches out to the subtasks that own their keys: key → key group → subtask.
///
/// Cost: one hash a row (KeyView::Groups), then one pass.
/// Threading: owned by one task thread; keys that are host values are encoded by their hooks, so
/// that task must be one that may touch host values.
class KeyScatter {
 public:
  KeyScatter(int consumers, int max_parallelism);

  /// Finds the rows of each consumer. kInvalidArgument when a value cannot be a key.
  Status Scatter(const RecordBatch& batch);
  /// Row numbers in row order, valid until the next Scatter().
  const std::vector<int32_t>& rows_of(int consumer) const { return rows_[consumer]; }

 private:
  int max_parallelism_;
  std::vector<uint16_t> consumer_of_group_;
  std::vector<uint16_t> groups_;
  std::vector<std::vector<int32_t>> rows_;
};

}  // namespace headrace
