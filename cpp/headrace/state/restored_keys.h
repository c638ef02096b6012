#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/key_dictionary.h"

namespace headrace {

/// Puts stored keys back into a dictionary, many at once: a lookup in a large dictionary waits for
/// memory, and those of a batch wait together.
/// Threading: owned by one task thread.
class RestoredKeys {
 public:
  /// Called with each key's id, where it was stored and now.
  using Visitor = std::function<void(uint32_t row, KeyId id)>;

  /// `keep_ids`: keys go back under the ids they were stored with, and none may be there already.
  RestoredKeys(KeyDictionary* target, int max_parallelism, bool keep_ids, Visitor visit);

  /// Adds the key that was stored in `row`; `canonical` must live until Flush(). kCorruption as
  /// KeyDictionary::RestoreKey, for this key or one before it.
  Status Add(uint32_t row, std::string_view canonical, int key_group);
  /// Brings what was added into the dictionary.
  Status Flush();

 private:
  bool FitsBatch(uint32_t row, std::string_view canonical, int key_group, Key* key) const;
  Status AddAlone(uint32_t row, std::string_view canonical, int key_group);

  KeyDictionary* const target_;
  const int max_parallelism_;
  const bool keep_ids_;
  const Visitor visit_;
  KeyForm form_ = KeyForm::kInt;  // of all that waits
  std::vector<uint32_t> rows_;
  std::vector<int64_t> numbers_;
  std::vector<std::string_view> strings_;
  std::vector<KeyId> ids_;
};

}  // namespace headrace
