#pragma once

#include <cstdint>
#include <limits>

#include "headrace/types/batch.h"

namespace headrace {

/// "No record with event time ≤ this will follow" (later ones are late).
inline constexpr TimestampMs kMinWatermark = std::numeric_limits<int64_t>::min();
inline constexpr TimestampMs kMaxWatermark = std::numeric_limits<int64_t>::max();

}  // namespace headrace
