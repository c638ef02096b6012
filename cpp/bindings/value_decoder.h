#pragma once

#include <Python.h>

#include <string_view>

#include "bindings/gil.h"
#include "headrace/base/bytes.h"
#include "headrace/base/status.h"

namespace headrace::bindings {

/// Whether stored pickles may be loaded: only where the running program declared
/// PICKLED_BYTE_ARRAY.
enum class PickleUse : bool { kRefuse, kAllow };

/// Reads one value that EncodePython wrote. kCorruption when the bytes are malformed,
/// kInvalidArgument when they name a class that is not registered or hold a pickle that is not
/// allowed.
/// REQUIRES: the GIL is held.
Result<PyRef> DecodePython(ByteReader* in, PickleUse pickles = PickleUse::kRefuse);
/// As above; the bytes must be exactly one value.
Result<PyRef> DecodePython(std::string_view bytes, PickleUse pickles = PickleUse::kRefuse);

}  // namespace headrace::bindings
