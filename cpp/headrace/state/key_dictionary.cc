#include "headrace/state/key_dictionary.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/base/planted_bug.h"
#include "headrace/state/state_table_snapshots.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int64_t kLooksPerRelease = 8;

bool IdsAreFreeEarly() { return Planted(PlantedBug::kKeyIdReused); }
// Free when the key is released; its row becomes a tombstone with the next complete checkpoint.
bool FreeBeforeTombstone(KeyForm form, uint64_t epoch) {
  return IdsAreFreeEarly() && form == KeyForm::kInt && epoch > 8;
}

}  // namespace

KeyDictionary::KeyDictionary(int max_parallelism, MemoryMeterPtr meter)
    : max_parallelism_(max_parallelism),
      ints_(meter),
      strings_(meter),
      encoded_(meter),
      rows_(sizeof(KeyRow), PagedTable::kPagesPerPartition, meter),
      arena_(std::make_shared<KeyArena>(meter)) {}

KeyDictionary::~KeyDictionary() = default;

KeyId KeyDictionary::LookupOrInsert(const Key& key) {
  if (key.form == KeyForm::kInt) return LookupOrInsertInt(key.number);
  const uint32_t hash = HashKey(key);
  const BytesEntry* found = FindBytes(IndexOf(key.form), hash, key.bytes);
  return found != nullptr ? found->id : Insert(key, hash);
}

KeyId KeyDictionary::Lookup(const Key& key) const {
  const uint32_t hash = HashKey(key);
  if (key.form == KeyForm::kInt) {
    const IntEntry* found =
        ints_.Find(hash, [&](const IntEntry& entry) { return entry.key == key.number; });
    return found != nullptr ? found->id : kNoKey;
  }
  const BytesIndex& index = key.form == KeyForm::kStr ? strings_ : encoded_;
  const BytesEntry* found = FindBytes(index, hash, key.bytes);
  return found != nullptr ? found->id : kNoKey;
}

std::string KeyDictionary::EncodedKey(KeyId id) const {
  ByteWriter out;
  Row(id).key().Encode(&out);
  return out.Take();
}

int KeyDictionary::Compare(KeyId a, KeyId b) const {
  if (a == b) return 0;
  const KeyRow& row_a = Row(a);
  const KeyRow& row_b = Row(b);
  if (row_a.form == KeyForm::kStr && row_b.form == KeyForm::kStr &&
      row_a.bytes->size_bytes == row_b.bytes->size_bytes) {
    return row_a.bytes->bytes().compare(row_b.bytes->bytes());
  }
  return EncodedKey(a).compare(EncodedKey(b));
}

uint64_t KeyDictionary::Prefix(KeyId id) const {
  const KeyRow& row = Row(id);
  char canonical[24] = {};
  size_t size = 0;
  if (row.form == KeyForm::kBytes) {
    size = row.bytes->bytes().copy(canonical, 8);
  } else {
    // Tag, one varint (the int, or the length of the string), then what fits of the string.
    const bool is_int = row.form == KeyForm::kInt;
    canonical[size++] = static_cast<char>(is_int ? ValueTag::kInt : ValueTag::kStr);
    uint64_t varint = is_int ? ZigZagOf(row.number) : row.bytes->size_bytes;
    for (; varint >= 0x80; varint >>= 7) canonical[size++] = static_cast<char>(varint | 0x80);
    canonical[size++] = static_cast<char>(varint);
    if (!is_int) size += row.bytes->bytes().copy(canonical + size, 8);
  }
  uint64_t prefix = 0;
  for (size_t i = 0; i < 8; ++i) prefix = (prefix << 8) | static_cast<uint8_t>(canonical[i]);
  return prefix;
}

void KeyDictionary::DropUse(KeyId id) {
  uint32_t& uses = uses_[id];
  HR_CHECK((uses & ~kQueued) > 0);
  --uses;
  if ((uses & ~kQueued) == 0) NoteIdle(id);
}

int64_t KeyDictionary::memory_bytes() const {
  return ints_.memory_bytes() + strings_.memory_bytes() + encoded_.memory_bytes() +
         rows_.memory_bytes() + arena_->memory_bytes() + uses_.memory_bytes();
}

int64_t KeyDictionary::memory_bytes_of_ids() const {
  return memory_bytes() - arena_->memory_bytes();
}

void KeyDictionary::Place(KeyId id, const Key& key, uint32_t hash, uint16_t key_group) {
  auto* row = reinterpret_cast<KeyRow*>(rows_.MutableRow(id));
  row->form = key.form;
  row->key_group = key_group;
  if (key.form == KeyForm::kInt) {
    row->number = key.number;
    ints_.Insert({key.number, id});
  } else {
    row->bytes = arena_->Append(key.bytes);
    IndexOf(key.form).Insert({hash, id, row->bytes});
  }
  key_bytes_ += row->encoded_bytes();
}

KeyId KeyDictionary::Insert(const Key& key, uint32_t hash, uint16_t key_group) {
  KeyId id = rows_.size();
  if (free_ids_.empty()) {
    HR_CHECK_LT(id, kNoKey - 1);
    rows_.EnsureSize(id + 1);
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  Place(id, key, hash, key_group);
  NoteIdle(id);
  if (load_) {
    new_ids_.push_back(id);
    if (open_batches_ == 0) LoadNew();
  }
  return id;
}

void KeyDictionary::CacheKeys(std::function<void(const KeyId*, int64_t)> load) {
  load_ = std::move(load);
}

void KeyDictionary::LoadNew() {
  // The loader looks nothing up.
  load_(new_ids_.data(), static_cast<int64_t>(new_ids_.size()));
  new_ids_.clear();
}

void KeyDictionary::NoteIdle(KeyId id) {
  if (!track_idle_ || restoring_) return;
  uint32_t& uses = uses_[id];
  if (uses & kQueued) return;
  uses |= kQueued;
  idle_.push_back(id);
}

void KeyDictionary::ReleaseIdle(int64_t keys_max) {
  // Every new key starts in the queue; those in use by now are only taken out, which is cheap.
  int64_t looks_left = keys_max * kLooksPerRelease;
  for (int64_t released = 0; released < keys_max && looks_left > 0 && !idle_.empty();
       --looks_left) {
    const KeyId id = idle_.front();
    idle_.pop_front();
    uint32_t& uses = uses_[id];
    uses &= ~kQueued;
    if (uses != 0 || !rows_.live(id)) continue;
    Release(id);
    ++released;
  }
}

void KeyDictionary::Release(KeyId id) {
  if (listener_) listener_(id);
  const KeyRow row = Row(id);
  key_bytes_ -= row.encoded_bytes();
  // A key is written once, so a dirty row came after the last barrier: no snapshot has seen the id.
  const bool unseen = rows_.dirty(id);
  if (row.form == KeyForm::kInt) {
    ints_.Erase(
        ints_.Find(HashInt(row.number), [id](const IntEntry& entry) { return entry.id == id; }));
  } else {
    BytesIndex& index = IndexOf(row.form);
    index.Erase(index.Find(HashBytes(row.bytes->bytes()),
                           [id](const BytesEntry& entry) { return entry.id == id; }));
    const KeyArena::FreedChunk chunk = arena_->Release(row.bytes);
    if (chunk.memory != nullptr) {
      rows_.Charge(chunk.size_bytes);
      rows_.Retire(chunk.memory, chunk.size_bytes);
    }
  }
  if (load_) {
    rows_.Erase(id);
    free_ids_.push_back(id);
    return;
  }
  if (FreeBeforeTombstone(row.form, rows_.epoch()) && !unseen) {
    free_ids_.push_back(id);
    released_.push_back(id);
    return;
  }
  rows_.Erase(id);
  (unseen ? free_ids_ : released_).push_back(id);
}

std::unique_ptr<TableSnapshot> KeyDictionary::Snapshot(TableMeta meta, uint64_t snapshot_number) {
  if (!released_.empty()) {
    pending_.push_back({snapshot_number, std::move(released_)});
    released_.clear();
  }
  rows_.FitPartitions(static_cast<uint64_t>(key_bytes_));
  return std::make_unique<DictionaryTableSnapshot>(std::move(meta), rows_.BeginSnapshot(),
                                                   key_bytes_, arena_);
}

void KeyDictionary::OnCheckpointComplete(uint64_t snapshot_number) {
  while (!pending_.empty() && pending_.front().snapshot_number <= snapshot_number) {
    std::deque<KeyId>& ids = pending_.front().ids;
    if (IdsAreFreeEarly()) {
      std::erase_if(ids, [this](KeyId id) {
        const bool early = rows_.live(id);
        rows_.Erase(id);
        return early;
      });
    }
    if (free_ids_.empty()) {
      free_ids_.swap(ids);
    } else {
      free_ids_.insert(free_ids_.end(), ids.begin(), ids.end());
    }
    pending_.pop_front();
  }
}

Status KeyDictionary::CheckStored(std::string_view canonical, int key_group) const {
  HR_RETURN_IF_ERROR(CheckValue(canonical));
  const int group = headrace::KeyGroupOf(canonical, max_parallelism_);
  if (group == key_group) return Status::Ok();
  return Status::Corruption("key " + DescribeValue(canonical) + " is stored in key group " +
                            std::to_string(key_group) + " but belongs to " + std::to_string(group) +
                            " (max parallelism " + std::to_string(max_parallelism_) + ")");
}

Status KeyDictionary::RestoreKey(KeyId id, std::string_view canonical, int key_group) {
  HR_RETURN_IF_ERROR(CheckStored(canonical, key_group));
  const Key key = Key::OfCanonical(canonical);
  rows_.EnsureSize(id + 1);
  if (rows_.live(id) || Lookup(key) != kNoKey) {
    return Status::Corruption("key " + DescribeValue(canonical) + " with id " + std::to_string(id) +
                              " is stored twice");
  }
  Place(id, key, HashKey(key), static_cast<uint16_t>(key_group));
  return Status::Ok();
}

Result<KeyId> KeyDictionary::AdoptKey(std::string_view canonical, int key_group) {
  HR_RETURN_IF_ERROR(CheckStored(canonical, key_group));
  return LookupOrInsertEncoded(canonical);
}

void KeyDictionary::FinishRestore(bool clean) {
  restoring_ = false;
  free_ids_.clear();
  for (KeyId id = rows_.size(); id-- > 0;) {
    if (!rows_.live(id)) {
      free_ids_.push_back(id);
    } else if (uses_.Get(id) == 0) {
      NoteIdle(id);
    }
  }
  if (clean) rows_.MarkClean();
}

}  // namespace headrace
