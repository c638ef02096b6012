#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

/// What the names of a file sink's parts are made of; see file_sink.h for their form.
struct PartName {
  std::string prefix;
  std::string suffix;
  uint32_t owner = 0;
  uint32_t run = 0;
  uint64_t checkpoint_id = 0;
  int subtask = 0;
  uint64_t counter = 0;

  std::string Final() const;
  std::string Temporary() const;
  /// Reads the subtask out of a temporary name with the given prefix and owner; false for any other
  /// name.
  static bool ParseTemporary(std::string_view name, std::string_view prefix, uint32_t owner,
                             int* subtask);
};

}  // namespace headrace
