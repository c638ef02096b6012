#include "bindings/object_cell.h"

#include "bindings/errors.h"
#include "bindings/value_copy.h"

namespace headrace::bindings {

PyObject* ObjectCell::Get(KeyId id) {
  Entry& entry = EntryOf(id);
  if (entry.id != id) {
    std::string_view bytes;
    if (!rows_->Get(id, {}, {}, &bytes)) return nullptr;
    ByteReader in(bytes);
    Result<PyRef> value = DecodeForState(type_, &in);
    if (!value.ok()) {
      SetPythonError(value.status().WithContext("state '" + name_ + "'"));
      return nullptr;
    }
    if (!Evict(&entry)) return nullptr;
    entry = {id, false, value->Release()};
  }
  if (!IsPlainScalar(entry.value) && !IsImmutable(entry.value)) entry.dirty = true;
  return Py_NewRef(entry.value);
}

bool ObjectCell::Set(KeyId id, PyObject* value) {
  PyObject* coerced = CoerceForState(type_, value, name_);
  if (!coerced) return false;
  Entry& entry = EntryOf(id);
  const bool known = entry.id == id;
  // What can be changed later is encoded later, once its kind has proved to have an encoding.
  const bool later = known && !IsPlainScalar(coerced) &&
                     (entry.value == coerced || Py_TYPE(entry.value) == Py_TYPE(coerced)) &&
                     !IsImmutable(coerced);
  if (!later) {
    if (Status status = Put(id, coerced); !status.ok()) {
      SetPythonError(status);
      Py_DECREF(coerced);
      return false;
    }
  }
  if (!known && !Evict(&entry)) {
    Py_DECREF(coerced);
    return false;
  }
  PyObject* former = entry.value;
  entry = {id, later || (!IsPlainScalar(coerced) && !IsImmutable(coerced)), coerced};
  Py_XDECREF(former);
  return true;
}

void ObjectCell::Clear(KeyId id) {
  Entry& entry = EntryOf(id);
  if (entry.id == id) {
    PyObject* former = entry.value;
    entry = Entry();
    Py_XDECREF(former);
  }
  rows_->Remove(id, {}, {});
}

Status ObjectCell::Flush() {
  for (Entry& entry : entries_) {
    if (entry.dirty) HR_RETURN_IF_ERROR(WriteBack(&entry));
  }
  return Status::Ok();
}

void ObjectCell::Forget() {
  std::vector<Entry> entries;
  entries.swap(entries_);
  for (Entry& entry : entries) {
    if (entry.value) ReleaseReference(entry.value);
  }
}

bool ObjectCell::Evict(Entry* entry) {
  if (!entry->value) return true;
  if (entry->dirty) {
    if (Status status = WriteBack(entry); !status.ok()) {
      SetPythonError(status);
      return false;
    }
  }
  PyObject* former = entry->value;
  *entry = Entry();
  Py_DECREF(former);
  return true;
}

Status ObjectCell::WriteBack(Entry* entry) {
  HR_RETURN_IF_ERROR(Put(entry->id, entry->value));
  entry->dirty = false;
  return Status::Ok();
}

Status ObjectCell::Put(KeyId id, PyObject* value) {
  scratch_.Clear();
  HR_RETURN_IF_ERROR(EncodeForState(type_, value, &scratch_).WithContext("state '" + name_ + "'"));
  rows_->Put(id, {}, {}, scratch_.view());
  return Status::Ok();
}

}  // namespace headrace::bindings
