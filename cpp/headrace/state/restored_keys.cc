#include "headrace/state/restored_keys.h"

#include <string>
#include <utility>

#include "headrace/state/key_group.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

// Keys of a batch; what their lookups touch stays in the processor's second-level cache.
constexpr size_t kBatchKeys = 1024;

}  // namespace

RestoredKeys::RestoredKeys(KeyDictionary* target, int max_parallelism, bool keep_ids, Visitor visit)
    : target_(target),
      max_parallelism_(max_parallelism),
      keep_ids_(keep_ids),
      visit_(std::move(visit)) {}

// New keys get the next ids, so those that keep theirs must be stored without a gap. What is wrong
// with a key is told by the dictionary.
bool RestoredKeys::FitsBatch(uint32_t row, std::string_view canonical, int key_group,
                             Key* key) const {
  if (keep_ids_ && row != target_->size() + rows_.size()) return false;
  ByteReader in(canonical);
  if (!SkipValue(&in).ok() || !in.done()) return false;
  if (KeyGroupOf(canonical, max_parallelism_) != key_group) return false;
  *key = Key::OfCanonical(canonical);
  return key->form != KeyForm::kBytes;
}

Status RestoredKeys::Add(uint32_t row, std::string_view canonical, int key_group) {
  Key key;
  if (!FitsBatch(row, canonical, key_group, &key)) {
    HR_RETURN_IF_ERROR(Flush());
    if (!FitsBatch(row, canonical, key_group, &key)) return AddAlone(row, canonical, key_group);
  }
  if (key.form != form_ || rows_.size() == kBatchKeys) {
    HR_RETURN_IF_ERROR(Flush());
    form_ = key.form;
  }
  rows_.push_back(row);
  if (form_ == KeyForm::kInt) {
    numbers_.push_back(key.number);
  } else {
    strings_.push_back(key.bytes);
  }
  return Status::Ok();
}

Status RestoredKeys::AddAlone(uint32_t row, std::string_view canonical, int key_group) {
  KeyId id = row;
  if (keep_ids_) {
    HR_RETURN_IF_ERROR(target_->RestoreKey(id, canonical, key_group));
  } else {
    HR_ASSIGN_OR_RETURN(id, target_->AdoptKey(canonical, key_group));
  }
  visit_(row, id);
  return Status::Ok();
}

Status RestoredKeys::Flush() {
  const auto count = static_cast<int64_t>(rows_.size());
  if (count == 0) return Status::Ok();
  ids_.resize(rows_.size());
  if (form_ == KeyForm::kInt) {
    target_->LookupOrInsertInts(numbers_.data(), count, ids_.data());
  } else {
    target_->LookupOrInsertStrings(strings_.data(), count, ids_.data());
  }
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (keep_ids_ && ids_[i] != rows_[i]) {
      return Status::Corruption("key " + DescribeValue(target_->EncodedKey(ids_[i])) + " with id " +
                                std::to_string(rows_[i]) + " is stored twice");
    }
    visit_(rows_[i], ids_[i]);
  }
  rows_.clear();
  numbers_.clear();
  strings_.clear();
  return Status::Ok();
}

}  // namespace headrace
