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
  /// Called with the ids of some keys, where they were stored and now.
  using Visitor = std::function<void(const uint32_t* rows, const KeyId* ids, int64_t count)>;

  /// `keep_ids`: keys go back under the ids they were stored with, and none may be there already.
  RestoredKeys(KeyDictionary* target, int max_parallelism, bool keep_ids, Visitor visit);

  /// Adds the key that was stored in `row`; `canonical` must live until Flush(). kCorruption as
  /// KeyDictionary::RestoreKey, for this key or one before it.
  Status Add(uint32_t row, std::string_view canonical, int key_group);
  /// Brings what was added into the dictionary; kCorruption as Add().
  Status Flush();
  /// Says how many keys like the last one there are in all; a guess.
  void Expect(int64_t count) { target_->ExpectKeys(form_, count); }

 private:
  // Keys of a batch; what their lookups touch stays in the processor's second-level cache.
  static constexpr int64_t kBatchKeys = 1024;

  bool ReadKey(std::string_view canonical, int key_group, Key* key) const;
  // New keys get the next ids, so those that keep theirs must be stored without a gap.
  bool IsNext(uint32_t row) const {
    return !keep_ids_ || row == target_->size() + static_cast<uint32_t>(count_);
  }
  Status AddAlone(uint32_t row, std::string_view canonical, int key_group);
  Status CheckAdded(int64_t at) const;

  KeyDictionary* const target_;
  const int max_parallelism_;
  const bool keep_ids_;
  const Visitor visit_;
  // What waits: `count_` keys of one form.
  KeyForm form_ = KeyForm::kInt;
  int64_t count_ = 0;
  std::vector<uint32_t> rows_;
  std::vector<uint16_t> groups_;
  std::vector<int64_t> numbers_;
  std::vector<std::string_view> strings_;
  std::vector<KeyId> ids_;
};

}  // namespace headrace
