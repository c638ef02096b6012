#include "bindings/python_object_hooks.h"

#include <Python.h>

#include <string>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/graveyard.h"
#include "bindings/plain_keys.h"
#include "bindings/value_copy.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"
#include "headrace/types/key_codec.h"

namespace headrace::bindings {
namespace {

PyObject* Py(Object value) { return static_cast<PyObject*>(value); }

class PythonHooks final : public ObjectHooks {
 public:
  void Drop(std::vector<Object> values) override { Bury(std::move(values)); }

  Status EncodeKey(Object value, std::string* out) override {
    GilScope gil;
    ByteWriter bytes;
    bytes.buffer().swap(*out);
    Status status = EncodePythonKey(Py(value), &bytes);
    bytes.buffer().swap(*out);
    return status;
  }

  Status KeyGroups(const Object* values, int64_t count, int max_parallelism,
                   uint16_t* out) override {
    GilScope gil;
    ByteWriter scratch;
    for (int64_t i = 0; i < count; ++i) {
      PyObject* key = Py(values[i]);
      int64_t number = 0;
      std::string_view text;
      if (ReadIntKey(key, &number)) {
        out[i] = KeyGroupOfInt(number, max_parallelism);
      } else if (ReadStrKey(key, &text)) {
        out[i] = KeyGroupOfStr(text, max_parallelism);
      } else {
        scratch.Clear();
        HR_RETURN_IF_ERROR(EncodePythonKey(key, &scratch));
        out[i] = KeyGroupOf(scratch.view(), max_parallelism);
      }
    }
    return Status::Ok();
  }

  Status Encode(Object value, ByteWriter* out) override {
    GilScope gil;
    return EncodePython(Py(value), out);
  }

  Result<Object> Decode(std::string_view bytes) override {
    GilScope gil;
    HR_ASSIGN_OR_RETURN(PyRef value, DecodePython(bytes));
    return static_cast<Object>(value.Release());
  }

  Object Share(Object value) override {
    GilScope gil;
    return Py_NewRef(Py(value));
  }

  Result<Object> CopyForFanOut(Object value) override {
    GilScope gil;
    PyObject* copy = CopyMutable(Py(value));
    if (copy) return static_cast<Object>(copy);
    return StatusFromPython(StatusCode::kInvalidArgument,
                            "record " + ShortRepr(Py(value)) +
                                " goes to several consumers and cannot be copied for them");
  }

  std::string Describe(Object value) override {
    GilScope gil;
    return ShortRepr(Py(value));
  }
};

}  // namespace

ObjectHooks* PythonObjectHooks() {
  static PythonHooks* hooks = new PythonHooks;
  return hooks;
}

}  // namespace headrace::bindings
