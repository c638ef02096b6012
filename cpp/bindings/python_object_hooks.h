#pragma once

#include "headrace/types/object_block.h"

namespace headrace::bindings {

/// The hooks of all Python values: one object for the life of the process.
ObjectHooks* PythonObjectHooks();

}  // namespace headrace::bindings
