#include "headrace/types/temporal.h"

#include <cstdlib>
#include <string>
#include <string_view>

namespace headrace {
namespace {

bool TwoDigits(std::string_view text, int64_t* out) {
  if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
    return false;
  }
  *out = (text[0] - '0') * 10 + (text[1] - '0');
  return true;
}

}  // namespace

Status MicrosOf(const DataType& type, int64_t value, int64_t* micros) {
  // Third letter of "tsm:..." and "tDm".
  const char unit = type.arrow_format()[2];
  if (unit == 'n') {
    if (value % 1000 != 0) {
      return Status::InvalidArgument(std::to_string(value) + " ns of type " + type.ToString() +
                                     " is not a whole number of microseconds, the finest unit of a "
                                     "Python datetime: truncate the column first");
    }
    *micros = value / 1000;
    return Status::Ok();
  }
  const int64_t factor = unit == 's' ? 1'000'000 : unit == 'm' ? 1'000 : 1;
  if (__builtin_mul_overflow(value, factor, micros)) {
    return Status::InvalidArgument(std::to_string(value) + " of type " + type.ToString() +
                                   " is out of range");
  }
  return Status::Ok();
}

Status ZoneOffsetOf(const DataType& type, ZoneOffset* out) {
  const std::string_view zone = std::string_view(type.arrow_format()).substr(4);
  *out = {};
  if (zone.empty()) return Status::Ok();
  out->aware = true;
  if (zone == "UTC" || zone == "Z") return Status::Ok();
  int64_t hours = 0;
  int64_t minutes = 0;
  if (zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' &&
      TwoDigits(zone.substr(1, 2), &hours) && TwoDigits(zone.substr(4, 2), &minutes) &&
      hours < 24 && minutes < 60) {
    out->seconds = (hours * 60 + minutes) * 60 * (zone[0] == '-' ? -1 : 1);
    return Status::Ok();
  }
  return Status::Unimplemented("values of type " + type.ToString() +
                               " cannot be keys, state or text: convert the column to UTC");
}

Status TimeDeltaOf(const DataType& type, int64_t value, TimeDelta* out) {
  int64_t micros = 0;
  HR_RETURN_IF_ERROR(MicrosOf(type, value, &micros));
  out->days = micros / kMicrosPerDay;
  int64_t rest = micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --out->days;
  }
  out->seconds = rest / 1'000'000;
  out->micros = rest % 1'000'000;
  return Status::Ok();
}

int DecimalScaleOf(const DataType& type) {
  const std::string& format = type.arrow_format();
  const size_t comma = format.find(',');
  return comma == format.npos ? 0 : std::atoi(format.c_str() + comma + 1);
}

}  // namespace headrace
