#pragma once

#include <cstdint>
#include <string_view>

namespace headrace {

/// A numpy scalar of a kind that a column has.
struct NumpyScalar {
  enum class Kind : uint8_t { kBool, kInt, kFloat };
  Kind kind = Kind::kInt;
  int64_t integer = 0;  ///< also of a bool
  double number = 0;
};

/// False for other dtypes, and for unsigned values beyond int64.
bool ReadNumpy(std::string_view dtype, std::string_view bytes, NumpyScalar* out);

}  // namespace headrace
