#include "headrace/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace headrace {

void CheckFailed(const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "headrace: %s:%d: %s\n", file, line, message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace headrace
