#pragma once

#include "headrace/base/status.h"

namespace headrace::bindings {

/// The current Python error of a source as a Status: OSError is kIoError (may be retried), anything
/// else the user's.
Status SourceErrorFromPython(const char* what);

}  // namespace headrace::bindings
