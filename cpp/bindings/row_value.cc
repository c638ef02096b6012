#include "bindings/row_value.h"

#include "bindings/errors.h"

namespace headrace::bindings {

PyObject* RowValue::Get(const KeyCursor& cursor) const {
  // Decoding may run Python code, so the bytes are taken out of the table first.
  std::string bytes;
  if (ttl_) {
    if (!ttl_->Get(cursor.id, NamespaceOf(cursor), {}, &bytes)) return nullptr;
  } else {
    std::string_view stored;
    if (!rows_->Get(cursor.id, NamespaceOf(cursor), {}, &stored)) return nullptr;
    bytes = stored;
  }
  ByteReader in(bytes);
  Result<PyRef> value = DecodeForState(type_, &in);
  if (value.ok()) return value->Release();
  SetPythonError(value.status().WithContext("state '" + name_ + "'"));
  return nullptr;
}

bool RowValue::Set(const KeyCursor& cursor, PyObject* value) const {
  PyRef coerced = PyRef::Steal(CoerceForState(type_, value, name_));
  if (!coerced) return false;
  ByteWriter bytes;
  if (Status status = EncodeForState(type_, coerced.get(), &bytes); !status.ok()) {
    SetPythonError(status.WithContext("state '" + name_ + "'"));
    return false;
  }
  if (ttl_) {
    ttl_->Put(cursor.id, NamespaceOf(cursor), {}, bytes.view());
  } else {
    rows_->Put(cursor.id, NamespaceOf(cursor), {}, bytes.view());
  }
  return true;
}

void RowValue::Clear(const KeyCursor& cursor) const {
  rows_->Remove(cursor.id, NamespaceOf(cursor), {});
}

}  // namespace headrace::bindings
