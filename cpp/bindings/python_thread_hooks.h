#pragma once

#include <memory>

#include "headrace/runtime/thread_hooks.h"

namespace headrace::bindings {

/// Hooks of one job: task threads take the GIL for each step, and give dead Python values up while
/// they hold it.
std::shared_ptr<ThreadHooks> PythonThreadHooks();

}  // namespace headrace::bindings
