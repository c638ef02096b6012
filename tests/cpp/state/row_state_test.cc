#include "headrace/state/row_state.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace headrace {
namespace {

class RowStateTest : public ::testing::Test {
 protected:
  std::string Get(KeyId key, std::string_view ns, std::string_view sub_key) {
    std::string_view value;
    return rows_.Get(key, ns, sub_key, &value) ? std::string(value) : "<none>";
  }
  std::vector<std::string> Walk(KeyId key, std::string_view ns,
                                const std::string* after = nullptr) {
    std::vector<std::string> found;
    rows_.Walk(key, ns, after, [&](std::string_view sub_key, std::string_view value) {
      found.push_back(std::string(sub_key) + "=" + std::string(value));
      return true;
    });
    return found;
  }

  KeyDictionary keys_{128};
  RowState rows_{&keys_};
  KeyId a_ = keys_.LookupOrInsertString("a");
  KeyId b_ = keys_.LookupOrInsertString("b");
};

TEST_F(RowStateTest, rows_are_told_apart_by_key_namespace_and_sub_key) {
  rows_.Put(a_, "", "", "1");
  rows_.Put(a_, "w", "", "2");
  rows_.Put(a_, "w", "s", "3");
  rows_.Put(b_, "", "", "4");
  EXPECT_EQ(Get(a_, "", ""), "1");
  EXPECT_EQ(Get(a_, "w", ""), "2");
  EXPECT_EQ(Get(a_, "w", "s"), "3");
  EXPECT_EQ(Get(b_, "", ""), "4");
  EXPECT_EQ(Get(b_, "w", ""), "<none>");
  EXPECT_EQ(Get(a_, "", "s"), "<none>");
  EXPECT_EQ(rows_.Count(a_, "w"), 2u);
  EXPECT_EQ(rows_.rows(), 4);
}

TEST_F(RowStateTest, keys_of_any_kind_of_row_or_none_can_be_prefetched) {
  rows_.Put(a_, "", "", "1");
  rows_.Put(b_, "", "s", "2");
  constexpr KeyId kNeverUsed = 1'000'000;
  const std::vector<KeyId> keys = {a_, b_, b_ + 1, kNeverUsed};
  rows_.Prefetch(keys.data(), static_cast<int64_t>(keys.size()));
  EXPECT_EQ(Get(a_, "", ""), "1");
  EXPECT_EQ(Get(b_, "", "s"), "2");
}

TEST_F(RowStateTest, value_may_be_a_view_of_the_row_it_replaces) {
  rows_.Put(a_, "", "", "0123456789");
  std::string_view value;
  ASSERT_TRUE(rows_.Get(a_, "", "", &value));
  rows_.Put(a_, "", "", value.substr(3));
  EXPECT_EQ(Get(a_, "", ""), "3456789");
}

TEST_F(RowStateTest, sub_keys_walk_in_byte_order_from_after) {
  for (const char* sub_key : {"b", "\xff", "a", "", "ab"}) rows_.Put(a_, "", sub_key, sub_key);
  EXPECT_EQ(Walk(a_, ""), (std::vector<std::string>{"=", "a=a", "ab=ab", "b=b", "\xff=\xff"}));
  const std::string after = "ab";
  EXPECT_EQ(Walk(a_, "", &after), (std::vector<std::string>{"b=b", "\xff=\xff"}));
  int visited = 0;
  rows_.Walk(a_, "", nullptr, [&](std::string_view, std::string_view) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

TEST_F(RowStateTest, clear_removes_all_sub_keys_and_drops_the_use_of_the_key) {
  keys_.TrackIdleKeys();
  for (int i = 0; i < 10; ++i) rows_.Put(a_, "", std::to_string(i), "v");
  rows_.Put(b_, "", "", "v");
  rows_.Clear(a_, "");
  rows_.Clear(a_, "");
  EXPECT_EQ(rows_.Count(a_, ""), 0u);
  EXPECT_EQ(rows_.rows(), 1);
  keys_.ReleaseIdle(10);
  EXPECT_FALSE(keys_.live(a_));
  EXPECT_TRUE(keys_.live(b_));
}

TEST_F(RowStateTest, memory_returns_to_where_it_was) {
  rows_.Put(a_, "", "", "v");
  rows_.Put(a_, "window", "", "v");  // the smallest index stays
  rows_.Clear(a_, "window");
  const int64_t before = rows_.memory_bytes();
  // No more than the slots of one page, which stays.
  for (int i = 0; i < 100; ++i) rows_.Put(a_, "window", std::to_string(i), std::string(100, 'x'));
  EXPECT_GT(rows_.memory_bytes(), before + 100 * 100);
  rows_.Clear(a_, "window");
  EXPECT_EQ(rows_.memory_bytes(), before);
}

TEST_F(RowStateTest, equals_a_map_under_random_operations) {
  std::mt19937 random(9);
  std::map<std::tuple<KeyId, std::string, std::string>, std::string> model;
  const auto pick = [&](std::vector<std::string> choices) {
    return choices[random() % choices.size()];
  };
  for (int step = 0; step < 100'000; ++step) {
    const KeyId key = random() % 50;
    while (keys_.size() <= key) keys_.LookupOrInsertInt(keys_.size());
    const std::string ns = pick({"", "", "w1", "w2"});
    const std::string sub_key = pick({"", "", "x", "y", std::to_string(random() % 20)});
    switch (random() % 6) {
      case 0:
        ASSERT_EQ(rows_.Remove(key, ns, sub_key), model.erase({key, ns, sub_key}) == 1);
        break;
      case 1:
        if (random() % 10 == 0) {
          rows_.Clear(key, ns);
          std::erase_if(model, [&](const auto& row) {
            return std::get<0>(row.first) == key && std::get<1>(row.first) == ns;
          });
        }
        break;
      default: {
        const std::string value(random() % 30, static_cast<char>('a' + random() % 26));
        rows_.Put(key, ns, sub_key, value);
        model[{key, ns, sub_key}] = value;
      }
    }
    ASSERT_EQ(rows_.rows(), static_cast<int64_t>(model.size()));
  }
  for (const auto& [row, value] : model) {
    ASSERT_EQ(Get(std::get<0>(row), std::get<1>(row), std::get<2>(row)), value);
  }
}

}  // namespace
}  // namespace headrace
