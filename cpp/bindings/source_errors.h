#pragma once

#include <string_view>

#include "headrace/base/status.h"

namespace headrace::bindings {

/// The current Python error of a source as a Status: OSError is kIoError (may be retried), anything
/// else the user's.
Status SourceErrorFromPython(const char* what);

/// The same for our own readers, whose calls mean nothing to a user: a ValueError is bad input and
/// its text says all. `what` is only told of other errors.
Status ReaderErrorFromPython(std::string_view what);

}  // namespace headrace::bindings
