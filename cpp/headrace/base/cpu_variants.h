#pragma once

#include <string_view>

namespace headrace {

/// headrace is built for plain x86-64. A kernel that gains from more carries a variant marked
/// `__attribute__((target(...)))` and asks here, once, whether it may run.
///
/// `HEADRACE_CPU=baseline` in the environment switches all variants off: to compare them, and for
/// processors that lie about what they can do. It is read at the first question.

/// True when the processor has SSE4.2. Threading: thread-safe.
bool MayUseSse42();

/// What Crc32c() runs: "sse4.2" or "baseline".
std::string_view Crc32cVariant();

}  // namespace headrace
