#pragma once

#include <memory>

#include "bindings/gil.h"
#include "headrace/connectors/source.h"

namespace headrace::bindings {

/// Where the records come from: `function()`, or a method of it, returns an iterable.
struct IterableSpec {
  PyRef function;
  const char* method = nullptr;  ///< null: the function itself is called
  bool positioned = false;       ///< it has snapshot_state and restore_state
};

/// Reader of one split. REQUIRES: the GIL is held.
std::unique_ptr<SourceReader> MakeIterableReader(IterableSpec spec, SchemaPtr schema);

}  // namespace headrace::bindings
