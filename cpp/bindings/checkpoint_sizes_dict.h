#pragma once

#include <pybind11/pybind11.h>

#include "headrace/checkpoint/checkpoint_sizes.h"

namespace headrace::bindings {

/// {"live_bytes": S, "raw_bytes", "stored_bytes": C, "ratio": T, overheads, "states": [...]}: what
/// the checkpoint wrote itself under "written", all that it refers to under "held".
pybind11::dict CheckpointSizesDict(const CheckpointSizes& sizes);

}  // namespace headrace::bindings
