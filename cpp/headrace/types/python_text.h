#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

/// Appends what Python's repr() gives for a value of the host language's built-in types.
void AppendIntText(int64_t value, std::string* out);
/// "1.0", "1e+16", "inf", "nan": the shortest digits that read back as the same number.
void AppendFloatText(double value, std::string* out);
/// Quoted and escaped. Bytes that are not UTF-8 (also surrogates) appear as \xNN or \uNNNN.
void AppendStrRepr(std::string_view utf8, std::string* out);
/// True for well-formed UTF-8 without surrogates, which is what a string column may hold.
bool IsUtf8(std::string_view text);
/// b'...'
void AppendBytesRepr(std::string_view bytes, std::string* out);
/// An integer of any size, two's complement little-endian; "<int of N bytes>" over 512 bytes.
void AppendBigIntText(std::string_view little_endian, std::string* out);

/// A day of the proleptic Gregorian calendar.
struct CivilDate {
  int64_t year;
  int month;
  int day;
};
CivilDate CivilFromDays(int64_t days_since_epoch);

/// "2024-01-02"
void AppendDateText(int64_t days_since_epoch, std::string* out);
/// "03:04:05" or "03:04:05.000006"
void AppendTimeText(int64_t micros_of_day, std::string* out);
/// "2024-01-02 03:04:05"
void AppendDateTimeText(int64_t micros_since_epoch, std::string* out);
/// "1 day, 0:00:01"; 0 <= seconds < 86,400 and 0 <= micros < 1,000,000
void AppendTimeDeltaText(int64_t days, int64_t seconds, int64_t micros, std::string* out);
/// "datetime.date(2024, 1, 2)"
void AppendDateRepr(int64_t days_since_epoch, std::string* out);
/// The arguments of datetime.time(...) that repr shows: "3, 4, 5, 6"
void AppendTimeArguments(int64_t micros_of_day, std::string* out);
/// The arguments of datetime.datetime(...) that repr shows: "2024, 1, 2, 3, 4"
void AppendDateTimeArguments(int64_t micros_since_epoch, std::string* out);
/// "datetime.timedelta(days=1, seconds=1)"
void AppendTimeDeltaRepr(int64_t days, int64_t seconds, int64_t micros, std::string* out);
/// Unscaled 128-bit integer (16 bytes, little-endian) times 10^-scale as str(Decimal) gives it.
void AppendDecimalText(const void* unscaled, int scale, std::string* out);

}  // namespace headrace
