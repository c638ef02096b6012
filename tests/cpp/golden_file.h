#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace headrace {

/// Path of a golden file, `path` below tests/cpp.
inline std::string GoldenPath(const std::string& path) {
  return std::string(HEADRACE_SOURCE_DIR) + "/tests/cpp/" + path;
}

inline std::string ReadGolden(const std::string& path) {
  std::ifstream file(GoldenPath(path), std::ios::binary);
  EXPECT_TRUE(file.good()) << "there is no golden file " << GoldenPath(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// With HEADRACE_WRITE_GOLDEN set, makes the golden file anew: for new formats only, as a changed
/// one cannot be read by programs that are out there.
inline void WriteGoldenIfAsked(const std::string& path, std::string_view bytes) {
  if (std::getenv("HEADRACE_WRITE_GOLDEN") == nullptr) return;
  std::ofstream(GoldenPath(path), std::ios::binary) << bytes;
}

/// `bytes` are those of the golden file.
inline void ExpectGolden(const std::string& path, std::string_view bytes) {
  WriteGoldenIfAsked(path, bytes);
  EXPECT_EQ(std::string(bytes), ReadGolden(path)) << "the format on disk changed: " << path;
}

}  // namespace headrace
