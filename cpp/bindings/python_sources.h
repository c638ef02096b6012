#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "headrace/connectors/source.h"

namespace headrace::bindings {

/// Bounded source over a Python list: elements are boxed into columns, or passed on as objects that no function can
/// change behind the list's back. One split "elements"; position: the next index in decimal. Replayable.
SourceFactoryPtr CollectionSource(pybind11::list items, SchemaPtr schema);

/// Traits of a source whose reader is a Python object (ReaderProtocol in `_core.pyi`).
struct ReaderTraits {
  bool bounded = true;
  bool replayable = true;
  bool time_ordered = false;
};
SourceFactoryPtr ReaderSource(pybind11::object make_reader, pybind11::object plan_splits,
                              SchemaPtr schema, ReaderTraits traits);

/// What `make_iterator()` returns, one element a record. Without a position: not replayable.
SourceFactoryPtr IteratorSource(pybind11::object make_iterator, SchemaPtr schema);

/// A SourceFunction: `run(ctx)` in a thread of its own, or the iterable that `call()` returns. Replayable when it
/// has `snapshot_state` and `restore_state`; its position must be set before a record is handed over.
SourceFactoryPtr SourceFunctionSource(pybind11::object function, SchemaPtr schema,
                                      const std::string& style);

void BindPythonSources(pybind11::module_& module);

/// The current Python error of a source as a Status: OSError is kIoError (may be retried), anything else the
/// user's.
Status SourceErrorFromPython(const char* what);

}  // namespace headrace::bindings
