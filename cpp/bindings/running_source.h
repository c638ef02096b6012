#pragma once

#include <memory>

#include "bindings/gil.h"
#include "headrace/connectors/source.h"

namespace headrace::bindings {

/// Reader of one split that a source function's `run(ctx)` fills from a thread of its own.
/// REQUIRES: the GIL is held.
std::unique_ptr<SourceReader> MakeRunningReader(PyRef function, SchemaPtr schema, bool positioned);

/// Adds `SourceContext` to the module; false with a Python error set.
bool AddSourceContextType(PyObject* module);

}  // namespace headrace::bindings
