#include "headrace/state/restored_keys.h"

#include <cstring>
#include <string>
#include <utility>

#include "headrace/state/key_group.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

uint64_t WordAt(const char* from) {
  uint32_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// Reads an int of three to seven digits of 7 bits, as most keys are, without a branch on how many
// they are: keys of all sizes come in turn. False for any other value, and for what is damaged.
bool ReadIntOfUsualSize(std::string_view canonical, int64_t* number) {
  const size_t size = canonical.size();
  if (size < 4 || size > 8) return false;
  // The halves overlap in equal bytes.
  const size_t behind = 8 * (size - 4);
  const uint64_t word = WordAt(canonical.data()) | WordAt(canonical.data() + size - 4) << behind;
  const uint64_t last_byte = uint64_t{0xff000000} << behind;
  const uint64_t more_follow = 0x8080808080808000 & (last_byte - 1) & ~last_byte;
  if ((word & 0x80808080808080ff) != (more_follow | static_cast<uint64_t>(ValueTag::kInt)) ||
      (word & last_byte) == 0) {
    return false;
  }
  // Each byte has 7 bits; pairs, then fours, then eights move together.
  uint64_t bits = word >> 8 & 0x007f7f7f7f7f7f7f;
  bits = (bits & 0x007f007f007f007f) | (bits & 0x7f007f007f007f00) >> 1;
  bits = (bits & 0x00003fff00003fff) | (bits & 0x3fff00003fff0000) >> 2;
  bits = (bits & 0x000000000fffffff) | (bits & 0x0fffffff00000000) >> 4;
  *number = OfZigZag(bits);
  return true;
}

}  // namespace

RestoredKeys::RestoredKeys(KeyDictionary* target, int max_parallelism, bool keep_ids, Visitor visit)
    : target_(target),
      max_parallelism_(max_parallelism),
      keep_ids_(keep_ids),
      visit_(std::move(visit)),
      rows_(kBatchKeys),
      groups_(kBatchKeys),
      numbers_(kBatchKeys),
      strings_(kBatchKeys),
      ids_(kBatchKeys) {
  target_->BeginRestore();
}

// False for what goes alone: keys that are neither int nor str, and damaged ones, where the
// dictionary tells what is wrong.
bool RestoredKeys::ReadKey(std::string_view canonical, int key_group, Key* key) const {
  if (ReadIntOfUsualSize(canonical, &key->number)) {
    key->form = KeyForm::kInt;
    return true;
  }
  ByteReader in(canonical);
  if (!SkipValue(&in).ok() || !in.done()) return false;
  *key = Key::OfCanonical(canonical);
  if (key->form == KeyForm::kInt) return true;
  // The group of an int is found with many others when it is added.
  return key->form == KeyForm::kStr && KeyGroupOf(canonical, max_parallelism_) == key_group;
}

Status RestoredKeys::Add(uint32_t row, std::string_view canonical, int key_group) {
  Key key;
  if (!ReadKey(canonical, key_group, &key)) {
    HR_RETURN_IF_ERROR(Flush());
    return AddAlone(row, canonical, key_group);
  }
  if (key.form != form_ || count_ == kBatchKeys || !IsNext(row)) {
    HR_RETURN_IF_ERROR(Flush());
    if (!IsNext(row)) return AddAlone(row, canonical, key_group);
    form_ = key.form;
  }
  const auto at = static_cast<size_t>(count_++);
  rows_[at] = row;
  groups_[at] = static_cast<uint16_t>(key_group);
  if (form_ == KeyForm::kInt) {
    numbers_[at] = key.number;
  } else {
    strings_[at] = key.bytes;
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
  visit_(&row, &id, 1);
  return Status::Ok();
}

// The dictionary found the group of each new key.
Status RestoredKeys::CheckAdded(int64_t i) const {
  const auto at = static_cast<size_t>(i);
  const KeyId id = ids_[at];
  if (target_->KeyGroupOf(id) != groups_[at]) {
    return target_->AdoptKey(target_->EncodedKey(id), groups_[at]).status();
  }
  if (!keep_ids_ || id == rows_[at]) return Status::Ok();
  return Status::Corruption("key " + DescribeValue(target_->EncodedKey(id)) + " with id " +
                            std::to_string(rows_[at]) + " is stored twice");
}

Status RestoredKeys::Flush() {
  const int64_t count = std::exchange(count_, 0);
  if (count == 0) return Status::Ok();
  if (form_ == KeyForm::kInt) {
    target_->LookupOrInsertInts(numbers_.data(), count, ids_.data());
  } else {
    target_->LookupOrInsertStrings(strings_.data(), count, ids_.data());
  }
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    if (target_->KeyGroupOf(ids_[at]) != groups_[at] || (keep_ids_ && ids_[at] != rows_[at])) {
      return CheckAdded(i);
    }
  }
  visit_(rows_.data(), ids_.data(), count);
  return Status::Ok();
}

}  // namespace headrace
