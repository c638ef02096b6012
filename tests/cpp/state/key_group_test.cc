#include "headrace/state/key_group.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(KeyGroupTest, ranges_cover_all_groups_once_and_agree_with_the_subtask_of_a_group) {
  for (const int max : {1, 2, 7, 128, 1000}) {
    for (int parallelism = 1; parallelism <= std::min(max, 130); ++parallelism) {
      int next = 0;
      for (int index = 0; index < parallelism; ++index) {
        const KeyGroupRange range = KeyGroupRangeOf(index, parallelism, max);
        ASSERT_EQ(range.first, next);
        ASSERT_GE(range.size(), 1);
        for (int group = range.first; group <= range.last; ++group) {
          ASSERT_EQ(SubtaskOfKeyGroup(group, parallelism, max), index);
        }
        next = range.last + 1;
      }
      ASSERT_EQ(next, max);
    }
  }
}

}  // namespace
}  // namespace headrace
