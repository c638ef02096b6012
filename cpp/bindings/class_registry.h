#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace::bindings {

/// The dataclasses, named tuples and enums that stored values may name. A file never names code to
/// import: a class is found here or not at all. Classes whose values this process encodes register
/// themselves.
/// Threading: the GIL is held.

/// kInvalidArgument when `type` is none of the three kinds. A class registered again under its name
/// (a reloaded module) replaces the former one.
Status RegisterClass(PyObject* type);
/// "module.Qualified.name", the name that stored values use.
std::string ClassName(PyTypeObject* type);
/// The name of a class that is registered by this call if it was not.
const std::string& RegisteredName(PyTypeObject* type);
/// Borrowed; kInvalidArgument naming the class and `headrace.register_class` when it is not
/// registered.
Result<PyObject*> FindClass(std::string_view name);

}  // namespace headrace::bindings
