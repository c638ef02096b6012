#include "bindings/object_cell.h"

#include <algorithm>
#include <utility>

#include "bindings/errors.h"
#include "bindings/value_copy.h"

namespace headrace::bindings {
namespace {

// Cannot be changed, and has an encoding whatever its content.
bool IsPlain(PyObject* value) { return IsPlainScalar(value) || IsScalarTuple(value); }

}  // namespace

void ObjectCell::Prefetch(const KeyId* ids, int64_t count) {
  // Of a key that is missing, its own row and the one that it will push out.
  KeyId rows[2 * kPrefetchMax];
  int64_t size = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Entry* set = SetOf(ids[i]);
    bool found = false;
    for (size_t way = 0; way < kWays; ++way) found |= set[way].id == ids[i];
    rows[size] = ids[i];
    rows[size + 1] = set[kWays - 1].id;
    size += found ? 0 : 2;
  }
  rows_->Prefetch(rows, size);
}

PyObject* ObjectCell::Get(KeyId id) {
  Entry* set = SetOf(id);
  Entry* entry = Find(set, id);
  if (!entry) {
    std::string_view bytes;
    if (!rows_->Get(id, {}, {}, &bytes)) return nullptr;
    ByteReader in(bytes);
    Result<PyRef> value = DecodeForState(type_, &in);
    if (!value.ok()) {
      SetPythonError(value.status().WithContext("state '" + name_ + "'"));
      return nullptr;
    }
    entry = Insert(set, id, value->Release());
    if (!entry) return nullptr;
  }
  if (!IsPlain(entry->value) && !IsImmutable(entry->value)) entry->dirty = true;
  return Py_NewRef(entry->value);
}

bool ObjectCell::Set(KeyId id, PyObject* value) {
  PyRef coerced = PyRef::Steal(CoerceForState(type_, value, name_));
  if (!coerced) return false;
  Entry* set = SetOf(id);
  Entry* entry = Find(set, id);
  const bool plain = IsPlain(coerced.get());
  const bool fixed = plain || IsImmutable(coerced.get());
  // Plain values have an encoding; what can be changed is encoded later, once a value of its kind
  // has proved to have one.
  const bool later =
      entry && (plain || (!fixed && Py_TYPE(entry->value) == Py_TYPE(coerced.get())));
  if (!later) {
    if (Status status = Put(id, coerced.get()); !status.ok()) {
      SetPythonError(status);
      return false;
    }
  }
  if (!entry) {
    entry = Insert(set, id, coerced.Release());
    if (!entry) return false;
    entry->dirty = !fixed;
    return true;
  }
  entry->dirty = later || !fixed;
  PyObject* former = std::exchange(entry->value, coerced.Release());
  Py_DECREF(former);
  return true;
}

void ObjectCell::Clear(KeyId id) {
  if (Entry* entry = Find(SetOf(id), id)) {
    const Entry former = std::exchange(*entry, Entry());
    Py_DECREF(former.value);
  }
  rows_->Remove(id, {}, {});
}

Status ObjectCell::Flush() {
  KeyId ids[kPrefetchMax] = {};
  Entry* dirty[kPrefetchMax];
  int64_t count = 0;
  const auto write = [&]() -> Status {
    rows_->Prefetch(ids, count);
    for (int64_t i = 0; i < count; ++i) HR_RETURN_IF_ERROR(WriteBack(dirty[i]));
    count = 0;
    return Status::Ok();
  };
  for (Entry& entry : entries_) {
    if (!entry.dirty) continue;
    ids[count] = entry.id;
    dirty[count] = &entry;
    if (++count == kPrefetchMax) HR_RETURN_IF_ERROR(write());
  }
  return write();
}

void ObjectCell::ForgetKey(KeyId id) {
  if (entries_.empty()) return;
  Entry* set = SetOf(id);
  for (size_t way = 0; way < kWays; ++way) {
    // The value goes with the next one that takes the place, under the GIL.
    if (set[way].id == id) set[way].id = kNoKey;
  }
}

void ObjectCell::Forget() {
  std::vector<Entry> entries;
  entries.swap(entries_);
  for (Entry& entry : entries) {
    if (entry.value) ReleaseReference(entry.value);
  }
}

ObjectCell::Entry* ObjectCell::FindBehind(Entry* set, KeyId id) {
  for (size_t way = 1; way < kWays; ++way) {
    if (set[way].id != id) continue;
    std::rotate(set, set + way, set + way + 1);
    return set;
  }
  return nullptr;
}

ObjectCell::Entry* ObjectCell::Insert(Entry* set, KeyId id, PyObject* value) {
  Entry* last = set + kWays - 1;
  if (last->dirty) {
    if (Status status = WriteBack(last); !status.ok()) {
      SetPythonError(status);
      Py_DECREF(value);
      return nullptr;
    }
  }
  PyObject* former = last->value;
  *last = {id, false, value};
  std::rotate(set, last, last + 1);
  Py_XDECREF(former);  // may run foreign code: the set is in order again
  return set;
}

Status ObjectCell::WriteBack(Entry* entry) {
  HR_RETURN_IF_ERROR(Put(entry->id, entry->value));
  entry->dirty = false;
  return Status::Ok();
}

Status ObjectCell::Put(KeyId id, PyObject* value) {
  scratch_.Clear();
  const Status status = EncodeForState(type_, value, &scratch_);
  if (!status.ok()) return status.WithContext("state '" + name_ + "'");
  rows_->Put(id, {}, {}, scratch_.view());
  return Status::Ok();
}

}  // namespace headrace::bindings
