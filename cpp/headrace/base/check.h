#pragma once

#include <sstream>
#include <string>

namespace headrace {

/// Prints the message with file and line to stderr and aborts: the program is in a state that must
/// not be written to a checkpoint. For our bugs only; what a user or a disk can cause is a Status.
[[noreturn]] void CheckFailed(const char* file, int line, const std::string& message);

}  // namespace headrace

/// Invariants that stay on in release builds. HR_CHECK_EQ and friends print both values.
#define HR_CHECK(condition)                                                     \
  do {                                                                          \
    if (__builtin_expect(!(condition), 0))                                      \
      ::headrace::CheckFailed(__FILE__, __LINE__, "check failed: " #condition); \
  } while (false)

#define HR_CHECK_OP(a, op, b)                                                                \
  do {                                                                                       \
    const auto& hr_a_ = (a);                                                                 \
    const auto& hr_b_ = (b);                                                                 \
    if (__builtin_expect(!(hr_a_ op hr_b_), 0)) {                                            \
      std::ostringstream hr_out_;                                                            \
      hr_out_ << "check failed: " #a " " #op " " #b " (" << hr_a_ << " vs " << hr_b_ << ")"; \
      ::headrace::CheckFailed(__FILE__, __LINE__, hr_out_.str());                            \
    }                                                                                        \
  } while (false)

#define HR_CHECK_EQ(a, b) HR_CHECK_OP(a, ==, b)
#define HR_CHECK_NE(a, b) HR_CHECK_OP(a, !=, b)
#define HR_CHECK_LT(a, b) HR_CHECK_OP(a, <, b)
#define HR_CHECK_LE(a, b) HR_CHECK_OP(a, <=, b)
#define HR_CHECK_GT(a, b) HR_CHECK_OP(a, >, b)
#define HR_CHECK_GE(a, b) HR_CHECK_OP(a, >=, b)
