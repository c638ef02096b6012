#include "headrace/types/decimal_text.h"

#include <charconv>
#include <cstring>

namespace headrace {
namespace {

constexpr int kExponentMax = 999;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool ParseDecimal(std::string_view text, DecimalDigits* out) {
  *out = DecimalDigits();
  size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) out->negative = text[at++] == '-';
  bool any = false;
  bool point = false;
  for (; at < text.size() && (IsDigit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    any = true;
    if (point) ++out->fraction;
    if (text[at] != '0' || !out->digits.empty()) out->digits.push_back(text[at]);
  }
  if (!any || out->fraction > kExponentMax) return false;
  if (at == text.size()) return true;
  if (text[at] != 'E' && text[at] != 'e') return false;
  ++at;
  if (at < text.size() && text[at] == '+') ++at;
  int exponent = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + at, end, exponent);
  if (parsed.ec != std::errc() || parsed.ptr != end) return false;
  if (exponent < -kExponentMax || exponent > kExponentMax) return false;
  out->fraction -= exponent;
  return true;
}

std::string DecimalDigits::Unscaled(int scale) const {
  __extension__ using Int128 = __int128;
  Int128 value = 0;
  for (const char digit : digits) value = value * 10 + (digit - '0');
  if (value != 0) {
    for (int i = fraction; i < scale; ++i) value *= 10;
  }
  if (negative) value = -value;
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

}  // namespace headrace
