#include "headrace/types/python_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "headrace/types/unicode_printable.h"

namespace headrace {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
constexpr size_t kBigIntBytesMax = 512;

void AppendHex(uint32_t value, int digits, std::string* out) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out->push_back("0123456789abcdef"[(value >> shift) & 15]);
  }
}

void AppendPadded(int64_t value, int width, std::string* out) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  if (value < 0) out->push_back('-');
  while (static_cast<int>(digits.size()) < width) digits.insert(digits.begin(), '0');
  *out += digits;
}

/// Decodes one UTF-8 sequence, surrogates included; 0 bytes when there is none.
int DecodeUtf8(std::string_view text, uint32_t* point) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto tail = [&](size_t i) { return i < text.size() && (at(i) & 0xc0) == 0x80; };
  const uint8_t first = at(0);
  if (first < 0x80) {
    *point = first;
    return 1;
  }
  if (first >= 0xc2 && first < 0xe0 && tail(1)) {
    *point = (first & 0x1fu) << 6 | (at(1) & 0x3fu);
    return 2;
  }
  if (first >= 0xe0 && first < 0xf0 && tail(1) && tail(2)) {
    *point = (first & 0xfu) << 12 | (at(1) & 0x3fu) << 6 | (at(2) & 0x3fu);
    return *point >= 0x800 ? 3 : 0;
  }
  if (first >= 0xf0 && first < 0xf5 && tail(1) && tail(2) && tail(3)) {
    *point = (first & 7u) << 18 | (at(1) & 0x3fu) << 12 | (at(2) & 0x3fu) << 6 | (at(3) & 0x3fu);
    return *point >= 0x10000 && *point <= 0x10ffff ? 4 : 0;
  }
  return 0;
}

char QuoteFor(std::string_view text) {
  const bool single = text.find('\'') != text.npos;
  return single && text.find('"') == text.npos ? '"' : '\'';
}

/// The escapes that str and bytes share; false when the character needs none of them.
bool AppendShortEscape(char c, char quote, std::string* out) {
  switch (c) {
    case '\n':
      *out += "\\n";
      return true;
    case '\r':
      *out += "\\r";
      return true;
    case '\t':
      *out += "\\t";
      return true;
    default:
      if (c != '\\' && c != quote) return false;
      out->push_back('\\');
      out->push_back(c);
      return true;
  }
}

}  // namespace

void AppendIntText(int64_t value, std::string* out) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  out->append(buffer, end);
}

void AppendFloatText(double value, std::string* out) {
  if (std::isnan(value)) {
    *out += "nan";
    return;
  }
  if (std::isinf(value)) {
    *out += value < 0 ? "-inf" : "inf";
    return;
  }
  // to_chars knows the shortest digits ("-1.25e+01"); where the point goes is Python's rule.
  char buffer[40];
  const char* end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const char* at = buffer;
  if (*at == '-') {
    out->push_back('-');
    ++at;
  }
  const char* exponent_at = std::find(at, end, 'e');
  std::string digits(1, *at);
  if (exponent_at - at > 2) digits.append(at + 2, exponent_at);
  int exponent = 0;
  std::from_chars(exponent_at + (exponent_at[1] == '+' ? 2 : 1), end, exponent);
  const int count = static_cast<int>(digits.size());
  if (exponent >= 16 || exponent < -4) {
    out->push_back(digits[0]);
    if (count > 1) {
      out->push_back('.');
      out->append(digits, 1);
    }
    out->push_back('e');
    out->push_back(exponent < 0 ? '-' : '+');
    AppendPadded(exponent < 0 ? -exponent : exponent, 2, out);
  } else if (exponent < 0) {
    *out += "0.";
    out->append(static_cast<size_t>(-exponent - 1), '0');
    *out += digits;
  } else if (count <= exponent + 1) {
    *out += digits;
    out->append(static_cast<size_t>(exponent + 1 - count), '0');
    *out += ".0";
  } else {
    out->append(digits, 0, static_cast<size_t>(exponent + 1));
    out->push_back('.');
    out->append(digits, static_cast<size_t>(exponent + 1));
  }
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    uint32_t point = 0;
    const int bytes = DecodeUtf8(text.substr(i), &point);
    if (bytes == 0 || (point >= 0xd800 && point < 0xe000)) return false;
    i += static_cast<size_t>(bytes);
  }
  return true;
}

void AppendStrRepr(std::string_view utf8, std::string* out) {
  const char quote = QuoteFor(utf8);
  out->push_back(quote);
  for (size_t i = 0; i < utf8.size();) {
    if (AppendShortEscape(utf8[i], quote, out)) {
      ++i;
      continue;
    }
    uint32_t point = 0;
    const int bytes = DecodeUtf8(utf8.substr(i), &point);
    if (bytes > 0 && IsPrintable(point)) {
      out->append(utf8.substr(i, static_cast<size_t>(bytes)));
    } else if (bytes == 0 || point < 0x100) {
      *out += "\\x";
      AppendHex(bytes == 0 ? static_cast<uint8_t>(utf8[i]) : point, 2, out);
    } else {
      *out += point < 0x10000 ? "\\u" : "\\U";
      AppendHex(point, point < 0x10000 ? 4 : 8, out);
    }
    i += static_cast<size_t>(bytes == 0 ? 1 : bytes);
  }
  out->push_back(quote);
}

void AppendBytesRepr(std::string_view bytes, std::string* out) {
  const char quote = QuoteFor(bytes);
  out->push_back('b');
  out->push_back(quote);
  for (const char c : bytes) {
    if (AppendShortEscape(c, quote, out)) continue;
    if (c >= 0x20 && c < 0x7f) {
      out->push_back(c);
    } else {
      *out += "\\x";
      AppendHex(static_cast<uint8_t>(c), 2, out);
    }
  }
  out->push_back(quote);
}

void AppendBigIntText(std::string_view little_endian, std::string* out) {
  if (little_endian.size() > kBigIntBytesMax) {
    *out += "<int of " + std::to_string(little_endian.size()) + " bytes>";
    return;
  }
  std::vector<uint8_t> bytes(little_endian.begin(), little_endian.end());
  if (!bytes.empty() && (bytes.back() & 0x80) != 0) {
    out->push_back('-');
    unsigned carry = 1;
    for (uint8_t& byte : bytes) {
      const unsigned negated = static_cast<uint8_t>(~byte) + carry;
      byte = static_cast<uint8_t>(negated);
      carry = negated >> 8;
    }
  }
  // Schoolbook division by 10^9, least significant group first.
  std::string reversed;
  while (!bytes.empty()) {
    uint64_t rest = 0;
    for (size_t i = bytes.size(); i-- > 0;) {
      const uint64_t part = rest << 8 | bytes[i];
      bytes[i] = static_cast<uint8_t>(part / 1'000'000'000);
      rest = part % 1'000'000'000;
    }
    while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
    for (int i = 0; i < 9; ++i, rest /= 10) reversed.push_back(static_cast<char>('0' + rest % 10));
  }
  while (reversed.size() > 1 && reversed.back() == '0') reversed.pop_back();
  if (reversed.empty()) reversed = "0";
  out->append(reversed.rbegin(), reversed.rend());
}

// Source: http://howardhinnant.github.io/date_algorithms.html, civil_from_days.
CivilDate CivilFromDays(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t day_of_era = days - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int day = static_cast<int>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  const int month =
      static_cast<int>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

void AppendDateText(int64_t days_since_epoch, std::string* out) {
  const CivilDate date = CivilFromDays(days_since_epoch);
  AppendPadded(date.year, 4, out);
  out->push_back('-');
  AppendPadded(date.month, 2, out);
  out->push_back('-');
  AppendPadded(date.day, 2, out);
}

void AppendTimeText(int64_t micros_of_day, std::string* out) {
  const int64_t seconds = micros_of_day / kMicrosPerSecond;
  AppendPadded(seconds / 3600, 2, out);
  out->push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendPadded(seconds % 60, 2, out);
  if (micros_of_day % kMicrosPerSecond != 0) {
    out->push_back('.');
    AppendPadded(micros_of_day % kMicrosPerSecond, 6, out);
  }
}

namespace {

/// Day and microsecond of day; times before 1970 round down.
std::pair<int64_t, int64_t> SplitMicros(int64_t micros) {
  int64_t days = micros / kMicrosPerDay;
  int64_t rest = micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  return {days, rest};
}

}  // namespace

void AppendDateTimeText(int64_t micros_since_epoch, std::string* out) {
  const auto [days, micros] = SplitMicros(micros_since_epoch);
  AppendDateText(days, out);
  out->push_back(' ');
  AppendTimeText(micros, out);
}

void AppendTimeDeltaText(int64_t days, int64_t seconds, int64_t micros, std::string* out) {
  if (days != 0) {
    *out += std::to_string(days) + (days == 1 || days == -1 ? " day, " : " days, ");
  }
  *out += std::to_string(seconds / 3600) + ":";
  AppendPadded(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendPadded(seconds % 60, 2, out);
  if (micros != 0) {
    out->push_back('.');
    AppendPadded(micros, 6, out);
  }
}

void AppendDateRepr(int64_t days_since_epoch, std::string* out) {
  const CivilDate date = CivilFromDays(days_since_epoch);
  *out += "datetime.date(" + std::to_string(date.year) + ", " + std::to_string(date.month) + ", " +
          std::to_string(date.day) + ")";
}

void AppendTimeArguments(int64_t micros_of_day, std::string* out) {
  const int64_t micros = micros_of_day % kMicrosPerSecond;
  const int64_t seconds = micros_of_day / kMicrosPerSecond;
  *out += std::to_string(seconds / 3600) + ", " + std::to_string(seconds / 60 % 60);
  if (seconds % 60 != 0 || micros != 0) *out += ", " + std::to_string(seconds % 60);
  if (micros != 0) *out += ", " + std::to_string(micros);
}

void AppendDateTimeArguments(int64_t micros_since_epoch, std::string* out) {
  const auto [days, micros] = SplitMicros(micros_since_epoch);
  const CivilDate date = CivilFromDays(days);
  *out += std::to_string(date.year) + ", " + std::to_string(date.month) + ", " +
          std::to_string(date.day) + ", ";
  AppendTimeArguments(micros, out);
}

void AppendTimeDeltaRepr(int64_t days, int64_t seconds, int64_t micros, std::string* out) {
  std::string arguments;
  const auto add = [&](const char* name, int64_t value) {
    if (value == 0) return;
    if (!arguments.empty()) arguments += ", ";
    arguments += name + std::to_string(value);
  };
  add("days=", days);
  add("seconds=", seconds);
  add("microseconds=", micros);
  *out += "datetime.timedelta(" + (arguments.empty() ? "0" : arguments) + ")";
}

void AppendDecimalText(const void* unscaled, int scale, std::string* out) {
  std::string digits;
  AppendBigIntText({static_cast<const char*>(unscaled), 16}, &digits);
  if (digits[0] == '-') {
    out->push_back('-');
    digits.erase(0, 1);
  }
  // Rules of str(Decimal): plain notation unless the exponent is positive or the number very small.
  const int count = static_cast<int>(digits.size());
  const int exponent = -scale;
  const int left_digits = exponent + count;
  const int point = exponent <= 0 && left_digits > -6 ? left_digits : 1;
  if (point <= 0) {
    *out += "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  } else if (point >= count) {
    *out += digits + std::string(static_cast<size_t>(point - count), '0');
  } else {
    out->append(digits, 0, static_cast<size_t>(point));
    out->push_back('.');
    out->append(digits, static_cast<size_t>(point));
  }
  if (left_digits != point) {
    *out += left_digits > point ? "E+" : "E-";
    *out += std::to_string(left_digits > point ? left_digits - point : point - left_digits);
  }
}

}  // namespace headrace
