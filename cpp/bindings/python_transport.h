#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "bindings/gil.h"
#include "headrace/checkpoint/checkpoint_transport.h"

namespace headrace::bindings {

/// A transport that calls the Python object `transport`, a
/// `headrace.checkpoint_storage.transport.CheckpointTransport`. It takes the GIL for each call;
/// Python gives it up while it waits for the network. REQUIRES: the GIL is held.
/// A failed call loses its traceback: what a client library says may hold credentials, so only the
/// message that the Python side has cleaned goes on.
std::shared_ptr<CheckpointTransport> MakePythonTransport(PyRef transport);

/// manifest_files, sanitize_name: what the Python side must know of the core's formats.
void BindTransport(pybind11::module_& module);

}  // namespace headrace::bindings
