#pragma once

#include <cstdint>

#include "headrace/base/status.h"
#include "headrace/types/data_type.h"

namespace headrace {

/// What the host language's date and time can hold, and with them the encoding of values: days from
/// 1970-01-01 in years 1 to 9999, microseconds of a day.
inline constexpr int64_t kDateDaysMin = -719'162;
inline constexpr int64_t kDateDaysMax = 2'932'896;
inline constexpr int64_t kMicrosPerDay = int64_t{86'400} * 1'000'000;

/// Microseconds in a value of a timestamp or duration type, the finest unit of the host language's
/// types. kInvalidArgument for nanoseconds that are not whole microseconds, and when int64
/// overflows.
Status MicrosOf(const DataType& type, int64_t value, int64_t* micros);

/// What a timestamp type says of its zone.
struct ZoneOffset {
  bool aware = false;
  int64_t seconds = 0;
};
/// No zone, "UTC" or "+hh:mm" of less than a day; kUnimplemented for names that need a time zone
/// database.
Status ZoneOffsetOf(const DataType& type, ZoneOffset* out);

/// A duration in the normal form of datetime.timedelta: 0 <= seconds < 86,400, 0 <= micros <
/// 1,000,000.
struct TimeDelta {
  int64_t days = 0;
  int64_t seconds = 0;
  int64_t micros = 0;
};
Status TimeDeltaOf(const DataType& type, int64_t value, TimeDelta* out);

/// The scale that "d:precision,scale" names.
int DecimalScaleOf(const DataType& type);

}  // namespace headrace
