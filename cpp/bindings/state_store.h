#pragma once

#include <pybind11/pybind11.h>

namespace headrace::bindings {

/// Adds StateStore: keyed state of a backend outside of any job.
void BindStateStore(pybind11::module_& module);

}  // namespace headrace::bindings
