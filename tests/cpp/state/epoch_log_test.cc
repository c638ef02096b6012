#include "headrace/state/epoch_log.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace {
namespace {

TEST(EpochLog, what_is_added_last_counts) {
  EpochLog log;
  EXPECT_TRUE(log.empty());
  log.Add("b", "1");
  log.Add("a", "2");
  log.Add("b", std::nullopt);
  log.Add("c", std::nullopt);
  log.Add("c", "");
  log.Sort();
  ASSERT_EQ(log.entries().size(), 3u);
  EXPECT_EQ(log.entries()[0].row_key, "a");
  EXPECT_EQ(log.entries()[0].value, "2");
  EXPECT_EQ(log.entries()[1].row_key, "b");
  EXPECT_FALSE(log.entries()[1].value.has_value());
  EXPECT_EQ(log.entries()[2].value, "");
}

TEST(EpochLog, entries_of_any_size_are_kept_and_counted) {
  EpochLog log;
  for (int i = 0; i < 1000; ++i) {
    log.Add(std::to_string(i), std::string(static_cast<size_t>(i) * 100, static_cast<char>(i)));
  }
  EXPECT_GT(log.memory_bytes(), 100 * 1000 * 1000 / 2);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(log.entries()[static_cast<size_t>(i)].row_key, std::to_string(i));
    EXPECT_EQ(log.entries()[static_cast<size_t>(i)].value,
              std::string(static_cast<size_t>(i) * 100, static_cast<char>(i)));
  }
}

}  // namespace
}  // namespace headrace
