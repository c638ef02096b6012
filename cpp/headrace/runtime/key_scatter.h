#pragma once

#include <cstdint>
#include <vector>

#include "headrace/runtime/batch_part.h"
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
  /// The rows of a consumer in row order. `batch` is the one that was scattered last; called once
  /// for each consumer.
  BatchPart TakePart(const RecordBatch& batch, int consumer);

 private:
  int max_parallelism_;
  std::vector<uint16_t> consumer_of_group_;
  std::vector<uint16_t> groups_;
  /// Row numbers of each consumer, with room for all rows of the batch.
  std::vector<std::shared_ptr<Buffer>> rows_;
  std::vector<int32_t*> ends_;
};

}  // namespace headrace
