#pragma once

#include <cstdint>

namespace headrace {

/// Whether Python's repr() shows the code point as itself and not as an escape.
bool IsPrintable(uint32_t code_point);

}  // namespace headrace
