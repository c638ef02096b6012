#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

/// A decimal number taken apart: sign, digits without leading zeros, how many of them stand behind
/// the point (negative: zeros that were left out before it).
struct DecimalDigits {
  bool negative = false;
  std::string digits;
  int fraction = 0;

  int scale() const { return std::max(fraction, 0); }
  int whole_digits() const { return std::max(static_cast<int>(digits.size()) - fraction, 0); }
  /// The number times 10^scale, 16 bytes little-endian. REQUIRES: `scale` ≥ scale(), and not more
  /// than 38 digits come of it.
  std::string Unscaled(int scale) const;
};

/// Reads what str(Decimal) gives; false for NaN, infinity, exponents beyond ±999 and anything else.
bool ParseDecimal(std::string_view text, DecimalDigits* out);

}  // namespace headrace
