#pragma once

#include <cstdint>
#include <cstdlib>

namespace headrace {

/// What the environment variable `name` says, `otherwise` where it is unset or empty.
inline uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace headrace
