#pragma once

#include <string>
#include <string_view>

#include "headrace/state/row_state.h"

namespace headrace {

/// A list as rows of a RowState, one a segment:
///
///   sub-key  4 bytes  number of the segment, big-endian, from 0 without gaps
///   value             the encoded elements behind each other
///
/// A segment is closed at 1 KiB, so that an append rewrites no more than that.

/// Appends encoded elements one by one; Finish() stores the last segment.
class ListAppender {
 public:
  ListAppender(RowState* rows, KeyId key, std::string_view ns);
  void Append(std::string_view element);
  void Finish();

 private:
  void Store();

  RowState* rows_;
  const KeyId key_;
  const std::string ns_;
  uint64_t segment_number_;
  std::string segment_;
};

/// All elements of the list behind each other.
std::string ReadList(const RowState& rows, KeyId key, std::string_view ns);

}  // namespace headrace
