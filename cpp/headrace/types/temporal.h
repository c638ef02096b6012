#pragma once

#include <cstdint>

#include "headrace/base/status.h"
#include "headrace/types/data_type.h"

namespace headrace {

/// Microseconds in a value of a timestamp or duration type, the finest unit of the host language's
/// types. kInvalidArgument for nanoseconds that are not whole microseconds, and when int64
/// overflows.
Status MicrosOf(const DataType& type, int64_t value, int64_t* micros);

/// What a timestamp type says of its zone.
struct ZoneOffset {
  bool aware = false;
  int64_t seconds = 0;
};
/// No zone, "UTC" or "+hh:mm"; kUnimplemented for names that need a time zone database.
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
