// Lookups of a whole key column: one loop for each kind of column, so that the known-key path of
// the common kinds is a hash, a probe and a store.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "headrace/state/key_dictionary.h"
#include "headrace/types/dictionary_index.h"
#include "headrace/types/key_groups_of_ints.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

// Rows whose ids are looked up together; their keys and ids stay in the first-level cache.
constexpr int64_t kRunRows = 1024;
// Of a run that has more of them, most are taken for new keys.
constexpr int64_t kManyMissed = 512;
// Strings that are prefetched together.
constexpr int64_t kRunStrings = 64;

}  // namespace

KeyId KeyDictionary::NoneKey() {
  static constexpr char kNone[] = {static_cast<char>(ValueTag::kNone)};
  return LookupOrInsertEncoded(std::string_view(kNone, 1));
}

// Most keys lie in their home slot. A branch on that is mispredicted for the others, which costs
// more than the lookup, so the first pass has none: a compiler would make one of `?:`, so the id of
// another key is turned into kNoKey, all ones, by arithmetic. The second pass does the rest in
// order of rows.
template <typename Integer>
void KeyDictionary::LookupRun(const Integer* keys, int64_t count, KeyId* ids) {
  uint16_t missed[kRunRows];
  int64_t misses = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t key = keys[i];
    const IntEntry& entry = ints_.Home(HashInt(key));
    const KeyId id = entry.id | (KeyId{0} - static_cast<KeyId>(entry.key != key));
    ids[i] = id;
    missed[misses] = static_cast<uint16_t>(i);
    misses += id == kNoKey ? 1 : 0;
  }
  if (misses >= kManyMissed) return InsertMissed(keys, missed, misses, ids);
  for (int64_t i = 0; i < misses; ++i) ids[missed[i]] = LookupOrInsertInt(keys[missed[i]]);
}

// Most are new, as when state is restored or filled: their key groups are found together.
template <typename Integer>
void KeyDictionary::InsertMissed(const Integer* keys, const uint16_t* missed, int64_t count,
                                 KeyId* ids) {
  int64_t wanted[kRunRows] = {};
  uint16_t groups[kRunRows];
  for (int64_t i = 0; i < count; ++i) {
    wanted[i] = keys[missed[i]];
    ints_.PrefetchInsert(HashInt(wanted[i]));
  }
  KeyGroupsOfInts(wanted, count, max_parallelism_, groups);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t key = wanted[i];
    const uint32_t hash = HashInt(key);
    const IntEntry* found =
        ints_.Find(hash, [key](const IntEntry& entry) { return entry.key == key; });
    ids[missed[i]] = found != nullptr ? found->id : Insert(Key::OfInt(key), hash, groups[i]);
  }
}

template <typename Integer>
void KeyDictionary::LookupRuns(const Integer* keys, int64_t count, KeyId* ids) {
  for (int64_t done = 0; done < count; done += kRunRows) {
    LookupRun(keys + done, std::min(kRunRows, count - done), ids + done);
  }
}

void KeyDictionary::Settle(const KeyId* ids, int64_t count) {
  EndBatch();
  for (int64_t i = 0; i < count; ++i) touched_[ids[i]] = 1;
}

void KeyDictionary::LookupOrInsertInts(const int64_t* keys, int64_t count, KeyId* ids) {
  if (!load_) return LookupRuns(keys, count, ids);
  BeginBatch();
  LookupRuns(keys, count, ids);
  Settle(ids, count);
}

void KeyDictionary::LookupOrInsertStrings(const std::string_view* utf8, int64_t count, KeyId* ids) {
  if (!load_) return LookupManyStrings(utf8, count, ids);
  BeginBatch();
  LookupManyStrings(utf8, count, ids);
  Settle(ids, count);
}

void KeyDictionary::LookupManyStrings(const std::string_view* utf8, int64_t count, KeyId* ids) {
  uint32_t hashes[kRunStrings];
  for (int64_t done = 0; done < count; done += kRunStrings) {
    const std::string_view* keys = utf8 + done;
    const int64_t run = std::min(kRunStrings, count - done);
    for (int64_t i = 0; i < run; ++i) {
      hashes[i] = HashBytes(keys[i]);
      __builtin_prefetch(&strings_.Home(hashes[i]));
    }
    for (int64_t i = 0; i < run; ++i) __builtin_prefetch(strings_.Home(hashes[i]).key);
    for (int64_t i = 0; i < run; ++i) {
      const BytesEntry* found = FindBytes(strings_, hashes[i], keys[i]);
      ids[done + i] = found != nullptr ? found->id : Insert(Key::OfStr(keys[i]), hashes[i]);
    }
  }
}

template <typename Integer>
void KeyDictionary::LookupIntegers(const Column& keys, int64_t start, int64_t count, KeyId* ids) {
  const Integer* values = keys.Values<Integer>() + start;
  if (!keys.validity) return LookupRuns(values, count, ids);
  for (int64_t i = 0; i < count; ++i) {
    ids[i] = keys.IsNull(start + i) ? NoneKey() : LookupOrInsertInt(values[i]);
  }
}

void KeyDictionary::LookupStrings(const Column& keys, int64_t start, int64_t count, KeyId* ids) {
  std::string_view run[kRunStrings];
  for (int64_t done = 0; done < count;) {
    int64_t rows = 0;
    while (rows < kRunStrings && done + rows < count && !keys.IsNull(start + done + rows)) {
      run[rows] = keys.StringAt(start + done + rows);
      ++rows;
    }
    LookupManyStrings(run, rows, ids + done);
    done += rows;
    if (done < count && keys.IsNull(start + done)) ids[done++] = NoneKey();
  }
}

Status KeyDictionary::LookupObjects(const Column& keys, int64_t start, int64_t count, KeyId* ids) {
  ObjectHooks* hooks = keys.objects->hooks();
  std::string encoded;
  Object last = nullptr;
  for (int64_t i = 0; i < count; ++i) {
    const Object value = keys.ObjectAt(start + i);
    if (i > 0 && value == last) {
      ids[i] = ids[i - 1];
      continue;
    }
    encoded.clear();
    HR_RETURN_IF_ERROR(hooks->EncodeKey(value, &encoded));
    ids[i] = LookupOrInsertEncoded(encoded);
    last = value;
  }
  return Status::Ok();
}

Status KeyDictionary::LookupByDictionary(const Column& keys, int64_t start, int64_t count,
                                         KeyId* ids) {
  // Each distinct value is looked up once, and only if a row refers to it: values of other
  // subtasks' rows must not enter this dictionary.
  std::vector<KeyId> known(static_cast<size_t>(keys.dictionary->length), kNoKey);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = start + i;
    if (keys.IsNull(row)) {
      ids[i] = NoneKey();
      continue;
    }
    const int64_t value = DictionaryIndexAt(keys, row);
    if (value < 0 || value >= keys.dictionary->length) {
      return Status::InvalidArgument("dictionary index " + std::to_string(value) +
                                     " of a key column is outside of its " +
                                     std::to_string(keys.dictionary->length) + " values");
    }
    KeyId& id = known[static_cast<size_t>(value)];
    if (id == kNoKey) HR_RETURN_IF_ERROR(LookupColumn(*keys.dictionary, value, 1, &id));
    ids[i] = id;
  }
  return Status::Ok();
}

Status KeyDictionary::LookupAny(const Column& keys, int64_t start, int64_t count, KeyId* ids) {
  KeyView view(keys);
  Key key;
  for (int64_t i = 0; i < count; ++i) {
    HR_RETURN_IF_ERROR(view.Read(start + i, &key));
    ids[i] = LookupOrInsert(key);
  }
  return Status::Ok();
}

Status KeyDictionary::LookupOrInsertBatch(const Column& keys, int64_t start, int64_t count,
                                          KeyId* ids) {
  if (!load_) return LookupColumn(keys, start, count, ids);
  BeginBatch();
  const Status status = LookupColumn(keys, start, count, ids);
  Settle(ids, status.ok() ? count : 0);
  return status;
}

Status KeyDictionary::LookupColumn(const Column& keys, int64_t start, int64_t count, KeyId* ids) {
  switch (keys.type->kind()) {
    case TypeKind::kInt8:
      LookupIntegers<int8_t>(keys, start, count, ids);
      return Status::Ok();
    case TypeKind::kInt16:
      LookupIntegers<int16_t>(keys, start, count, ids);
      return Status::Ok();
    case TypeKind::kInt32:
      LookupIntegers<int32_t>(keys, start, count, ids);
      return Status::Ok();
    case TypeKind::kInt64:
      LookupIntegers<int64_t>(keys, start, count, ids);
      return Status::Ok();
    case TypeKind::kString:
      LookupStrings(keys, start, count, ids);
      return Status::Ok();
    case TypeKind::kObject:
      return LookupObjects(keys, start, count, ids);
    case TypeKind::kDictionary:
      return LookupByDictionary(keys, start, count, ids);
    default:
      return LookupAny(keys, start, count, ids);
  }
}

}  // namespace headrace
