#pragma once

#include <string>
#include <utility>
#include <vector>

#include "headrace/checkpoint/manifest.h"
#include "headrace/types/batch.h"

namespace headrace::bindings {

/// A list of an operator's state (state without keys) as columns: `subtask`, `index`, `value`; of
/// broadcast state, which every subtask has alike, `map_key`, `value`. Items that are not encoded
/// values are shown as the bytes that they are.
struct OperatorItems {
  bool broadcast = false;
  std::vector<std::pair<std::string, std::string>> descriptions;  ///< as StateColumns gives them
  RecordBatch batch;
};

/// Reads the list `name` of all subtasks; no rows when there is none of that name.
Result<OperatorItems> ReadOperatorItems(const OperatorManifest& op, const std::string& name);

}  // namespace headrace::bindings
