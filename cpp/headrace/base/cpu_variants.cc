#include "headrace/base/cpu_variants.h"

#include <cstdlib>

namespace headrace {

namespace {

bool OnlyBaseline() {
  const char* wanted = std::getenv("HEADRACE_CPU");
  return wanted != nullptr && std::string_view(wanted) == "baseline";
}

}  // namespace

bool MayUseSse42() {
#if defined(__x86_64__)
  static const bool may = !OnlyBaseline() && __builtin_cpu_supports("sse4.2") != 0;
  return may;
#else
  return false;
#endif
}

std::string_view Crc32cVariant() { return MayUseSse42() ? "sse4.2" : "baseline"; }

}  // namespace headrace
