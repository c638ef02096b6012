#pragma once

#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <type_traits>
#include <utility>

#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wsign-compare"

/// What comparisons become in build/mutants: `a < b` is built as `a < ::mutants::Less{17} < b`,
/// which keeps precedence, associativity and the operands as they stand. It compares as before,
/// unless the environment says HEADRACE_MUTANT=17. Comparisons that the compiler evaluates stay as
/// they are.
///
/// At exit the numbers of all comparisons made are written to the file HEADRACE_MUTANTS_SEEN.
namespace mutants {

inline constexpr int kNumbersMax = 4096;

inline std::array<std::atomic<bool>, kNumbersMax> seen;

inline int NumberFromEnvironment() {
  const char* text = std::getenv("HEADRACE_MUTANT");
  return text != nullptr ? std::atoi(text) : -1;
}

inline const int flipped_number = NumberFromEnvironment();

struct SeenNumbers {
  ~SeenNumbers() {
    const char* path = std::getenv("HEADRACE_MUTANTS_SEEN");
    if (path == nullptr) return;
    std::ofstream out(path);
    for (int number = 0; number < kNumbersMax; ++number) {
      if (seen[number]) out << number << "\n";
    }
  }
};

inline const SeenNumbers seen_numbers;

inline bool IsFlipped(int number) {
  seen[number].store(true, std::memory_order_relaxed);
  return number == flipped_number;
}

template <class Kept, class Flipped>
struct Comparison {
  int number;
};

using Equal = Comparison<std::equal_to<>, std::not_equal_to<>>;
using NotEqual = Comparison<std::not_equal_to<>, std::equal_to<>>;
using Less = Comparison<std::less<>, std::less_equal<>>;
using LessEqual = Comparison<std::less_equal<>, std::less<>>;
using Greater = Comparison<std::greater<>, std::greater_equal<>>;
using GreaterEqual = Comparison<std::greater_equal<>, std::greater<>>;

/// A comparison that waits for its right operand.
template <class Left, class Kept, class Flipped>
struct HalfComparison {
  Left&& left;
  int number;

  template <class Right>
  constexpr bool With(Right&& right) const {
    if (!std::is_constant_evaluated() && IsFlipped(number)) return Flipped()(left, right);
    return Kept()(left, right);
  }
};

template <class Left, class Kept, class Flipped>
constexpr HalfComparison<Left, Kept, Flipped> operator<(Left&& left,
                                                        Comparison<Kept, Flipped> comparison) {
  return {std::forward<Left>(left), comparison.number};
}

template <class Left, class Kept, class Flipped>
constexpr HalfComparison<Left, Kept, Flipped> operator==(Left&& left,
                                                         Comparison<Kept, Flipped> comparison) {
  return {std::forward<Left>(left), comparison.number};
}

template <class Left, class Kept, class Flipped, class Right>
constexpr bool operator<(HalfComparison<Left, Kept, Flipped>&& half, Right&& right) {
  return half.With(right);
}

template <class Left, class Kept, class Flipped, class Right>
constexpr bool operator==(HalfComparison<Left, Kept, Flipped>&& half, Right&& right) {
  return half.With(right);
}

}  // namespace mutants
