#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/record_type.h"
#include "headrace/types/batch.h"
#include "headrace/types/column_builder.h"

namespace headrace::bindings {

/// The value at `row` as a Python object: a new reference, null with a Python error set.
/// REQUIRES: `type.data` is the column's type.
PyObject* BoxValue(const Column& column, int64_t row, const ValueType& type);

/// All records of a batch as a list: a new reference, null with a Python error set.
PyObject* BoxBatch(const RecordBatch& batch);

/// Appends `value` to a builder of the type, with PyFlink's coercions: ints wrap around at the
/// type's width, FLOAT rounds to 32 bits, ints become floats, None is null. kInvalidArgument naming
/// value, type and `field` when it does not fit. After a failure the builder holds garbage.
Status UnboxValue(PyObject* value, const ValueType& type, std::string_view field,
                  ColumnBuilder* out);

/// `value` as an int64 that wraps around; false when it is no int (a float, a str). No Python error
/// is left set.
bool AsWrappingInt(PyObject* value, int64_t* out);
/// `value` as a double; false when it is no number.
bool AsDouble(PyObject* value, double* out);
/// As AsWrappingInt, cut to the width of an integer kind and extended by its sign.
int64_t WrapTo(TypeKind kind, int64_t value);

}  // namespace headrace::bindings
