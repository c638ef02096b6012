#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"

namespace headrace {

/// How the items of an operator state are dealt out when parallelism changes.
enum class Redistribution : uint8_t {
  kSplit = 0,  ///< dealt round robin over the new subtasks
  kUnion = 1,  ///< every new subtask gets all items
  kCopy = 2,   ///< every new subtask gets those of one former subtask: all had the same
};

/// State of an operator subtask that is not bound to keys (document 001's operator state): named
/// lists of byte items. Small; copied at the barrier.
/// Threading: owned by one task thread.
class OperatorState {
 public:
  struct List {
    Redistribution redistribution = Redistribution::kSplit;
    std::vector<std::string> items;
    std::string fingerprint;  ///< type of what a user put in, "" for the engine's own lists
  };

  /// Replaces the items of `name`.
  void Set(std::string_view name, Redistribution redistribution, std::vector<std::string> items,
           std::string_view fingerprint = {});
  /// Items of `name`, empty when there are none.
  const std::vector<std::string>& Items(std::string_view name) const;
  const std::map<std::string, List, std::less<>>& lists() const { return lists_; }

  /// Deals the lists of all former subtasks to subtask `index` of `parallelism`. Equal parallelism
  /// keeps each subtask's split and copied items where they were.
  static OperatorState Redistribute(const std::vector<OperatorState>& former, int index,
                                    int parallelism);

  std::string Encode() const;
  static Result<OperatorState> Decode(std::string_view bytes);

 private:
  std::map<std::string, List, std::less<>> lists_;
};

}  // namespace headrace
