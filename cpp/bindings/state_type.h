#pragma once

#include <Python.h>

#include <string>

#include "bindings/gil.h"
#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/types/data_type.h"

namespace headrace::bindings {

/// How the values of a state are checked and encoded.
struct StateType {
  DataTypePtr data;      ///< object: any plain value
  bool pickled = false;  ///< PICKLED_BYTE_ARRAY

  /// As it stands in fingerprints: "int64", "object", "pickle".
  std::string Name() const { return pickled ? "pickle" : data->ToString(); }
  /// True when values have a fixed width and live in a native table.
  bool fixed() const;
};

/// The state type of a TypeInformation, or of None: any plain value.
Result<StateType> StateTypeOf(PyObject* type_info);

/// `value` as the type wants it: ints wrap around, FLOAT rounds. A new reference; null with a
/// Python error set that names `state` when it does not fit.
PyObject* CoerceForState(const StateType& type, PyObject* value, const std::string& state);

/// Appends the encoding of a coerced value.
Status EncodeForState(const StateType& type, PyObject* value, ByteWriter* out);
Result<PyRef> DecodeForState(const StateType& type, ByteReader* in);

}  // namespace headrace::bindings
