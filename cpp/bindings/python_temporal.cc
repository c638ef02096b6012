#include "bindings/python_temporal.h"

#include <datetime.h>

#include "bindings/gil.h"
#include "bindings/known_types.h"
#include "headrace/types/python_text.h"

namespace headrace::bindings {
namespace {

constexpr int64_t kMicrosADay = 86'400'000'000;
constexpr int64_t kDaysMin = -719'162;   // 0001-01-01
constexpr int64_t kDaysMax = 2'932'896;  // 9999-12-31

// Days since 1970-01-01 of a Gregorian date. Source: H. Hinnant, "chrono-compatible low-level date
// algorithms".
int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

bool CheckDays(int64_t days) {
  if (days >= kDaysMin && days <= kDaysMax) return true;
  PyErr_Format(PyExc_OverflowError, "day %lld since 1970-01-01 is outside the years 1 to 9999",
               static_cast<long long>(days));
  return false;
}

}  // namespace

bool ImportDateTime() {
  PyDateTime_IMPORT;
  return PyDateTimeAPI != nullptr;
}

int64_t DaysOfDate(PyObject* date) {
  return DaysFromCivil(PyDateTime_GET_YEAR(date), PyDateTime_GET_MONTH(date),
                       PyDateTime_GET_DAY(date));
}

int64_t MicrosOfTime(PyObject* time) {
  return ((PyDateTime_TIME_GET_HOUR(time) * 60 + PyDateTime_TIME_GET_MINUTE(time)) * int64_t{60} +
          PyDateTime_TIME_GET_SECOND(time)) *
             1'000'000 +
         PyDateTime_TIME_GET_MICROSECOND(time);
}

int64_t MicrosOfDateTime(PyObject* datetime) {
  const int64_t seconds =
      (PyDateTime_DATE_GET_HOUR(datetime) * 60 + PyDateTime_DATE_GET_MINUTE(datetime)) *
          int64_t{60} +
      PyDateTime_DATE_GET_SECOND(datetime);
  return DaysOfDate(datetime) * kMicrosADay + seconds * 1'000'000 +
         PyDateTime_DATE_GET_MICROSECOND(datetime);
}

int FoldOf(PyObject* datetime) { return PyDateTime_DATE_GET_FOLD(datetime); }

PyObject* ZoneOf(PyObject* value) {
  return PyTime_Check(value) ? PyDateTime_TIME_GET_TZINFO(value)
                             : PyDateTime_DATE_GET_TZINFO(value);
}

void PartsOfTimeDelta(PyObject* delta, int64_t* days, int64_t* seconds, int64_t* micros) {
  *days = PyDateTime_DELTA_GET_DAYS(delta);
  *seconds = PyDateTime_DELTA_GET_SECONDS(delta);
  *micros = PyDateTime_DELTA_GET_MICROSECONDS(delta);
}

bool MicrosOfTimeDelta(PyObject* delta, int64_t* micros) {
  int64_t days = 0, seconds = 0, rest = 0;
  PartsOfTimeDelta(delta, &days, &seconds, &rest);
  return !__builtin_mul_overflow(days, kMicrosADay, micros) &&
         !__builtin_add_overflow(*micros, seconds * 1'000'000 + rest, micros);
}

PyObject* NewDate(int64_t days) {
  if (!CheckDays(days)) return nullptr;
  const CivilDate date = CivilFromDays(days);
  return PyDate_FromDate(static_cast<int>(date.year), date.month, date.day);
}

PyObject* NewTime(int64_t micros, PyObject* zone) {
  if (micros < 0 || micros >= kMicrosADay) {
    return PyErr_Format(PyExc_OverflowError, "%lld microseconds are not a time of day",
                        static_cast<long long>(micros));
  }
  const int64_t seconds = micros / 1'000'000;
  return PyDateTimeAPI->Time_FromTime(
      static_cast<int>(seconds / 3600), static_cast<int>(seconds / 60 % 60),
      static_cast<int>(seconds % 60), static_cast<int>(micros % 1'000'000), zone,
      PyDateTimeAPI->TimeType);
}

PyObject* NewDateTime(int64_t micros, int fold, PyObject* zone) {
  int64_t days = micros / kMicrosADay;
  int64_t rest = micros % kMicrosADay;
  if (rest < 0) {
    rest += kMicrosADay;
    --days;
  }
  if (!CheckDays(days)) return nullptr;
  const CivilDate date = CivilFromDays(days);
  const int64_t seconds = rest / 1'000'000;
  return PyDateTimeAPI->DateTime_FromDateAndTimeAndFold(
      static_cast<int>(date.year), date.month, date.day, static_cast<int>(seconds / 3600),
      static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60),
      static_cast<int>(rest % 1'000'000), zone, fold, PyDateTimeAPI->DateTimeType);
}

PyObject* NewTimeDelta(int64_t days, int64_t seconds, int64_t micros) {
  if (days < -999'999'999 || days > 999'999'999) {
    return PyErr_Format(PyExc_OverflowError, "%lld days are outside what timedelta can hold",
                        static_cast<long long>(days));
  }
  return PyDateTimeAPI->Delta_FromDelta(static_cast<int>(days), static_cast<int>(seconds),
                                        static_cast<int>(micros), 1, PyDateTimeAPI->DeltaType);
}

PyObject* NewFixedZone(int64_t offset_seconds) {
  if (offset_seconds == 0) return Py_NewRef(known.utc);
  if (offset_seconds <= -86'400 || offset_seconds >= 86'400) {
    return PyErr_Format(PyExc_OverflowError, "%lld seconds are not an offset from UTC",
                        static_cast<long long>(offset_seconds));
  }
  PyRef delta = PyRef::Steal(NewTimeDelta(0, offset_seconds, 0));
  return delta ? PyTimeZone_FromOffset(delta.get()) : nullptr;
}

}  // namespace headrace::bindings
