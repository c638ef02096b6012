#pragma once

#include <Python.h>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"

namespace headrace::bindings {

/// Appends the typed encoding of `value` (value_codec.h). Dataclasses, named tuples and enums
/// register their class in this process. kInvalidArgument naming the type when it has no encoding,
/// when values nest more than 200 deep or a value contains itself; what was appended then is
/// garbage.
/// REQUIRES: the GIL is held.
Status EncodePython(PyObject* value, ByteWriter* out);
/// The same by the rules of keys: one zero, one NaN, numpy numbers as Python numbers.
Status EncodePythonKey(PyObject* value, ByteWriter* out);
/// Pickles `value`: for state declared as PICKLED_BYTE_ARRAY.
Status EncodePickled(PyObject* value, ByteWriter* out);

}  // namespace headrace::bindings
