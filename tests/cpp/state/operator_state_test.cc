#include "headrace/state/operator_state.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

using Items = std::vector<std::string>;

OperatorState With(Items split, Items all) {
  OperatorState state;
  state.Set("split", Redistribution::kSplit, std::move(split));
  state.Set("all", Redistribution::kUnion, std::move(all));
  return state;
}

TEST(OperatorStateTest, equal_parallelism_keeps_split_items_and_unites_the_others) {
  const std::vector<OperatorState> former = {With({"1", "2"}, {"x"}), With({"3"}, {"y"})};
  const OperatorState first = OperatorState::Redistribute(former, 0, 2);
  EXPECT_EQ(first.Items("split"), (Items{"1", "2"}));
  EXPECT_EQ(first.Items("all"), (Items{"x", "y"}));
  EXPECT_EQ(OperatorState::Redistribute(former, 1, 2).Items("split"), Items{"3"});
  EXPECT_TRUE(first.Items("unknown").empty());
}

TEST(OperatorStateTest, split_items_are_dealt_round_robin_without_loss) {
  const std::vector<OperatorState> former = {With({"1", "2"}, {"x"}), With({"3", "4", "5"}, {})};
  EXPECT_EQ(OperatorState::Redistribute(former, 0, 3).Items("split"), (Items{"1", "4"}));
  EXPECT_EQ(OperatorState::Redistribute(former, 1, 3).Items("split"), (Items{"2", "5"}));
  EXPECT_EQ(OperatorState::Redistribute(former, 2, 3).Items("split"), Items{"3"});
  EXPECT_EQ(OperatorState::Redistribute(former, 0, 1).Items("split"),
            (Items{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(OperatorState::Redistribute(former, 2, 3).Items("all"), Items{"x"});
}

TEST(OperatorStateTest, copied_items_come_from_one_former_subtask_at_any_parallelism) {
  for (const int formerly : {1, 2, 3}) {
    std::vector<OperatorState> former(formerly);
    for (OperatorState& one : former) {
      one.Set("rules", Redistribution::kCopy, {"key", "value"}, "broadcast<object, object>");
    }
    for (const int parallelism : {1, 2, 3, 5}) {
      for (int index = 0; index < parallelism; ++index) {
        const OperatorState dealt = OperatorState::Redistribute(former, index, parallelism);
        EXPECT_EQ(dealt.Items("rules"), (Items{"key", "value"}));
        EXPECT_EQ(dealt.lists().at("rules").fingerprint, "broadcast<object, object>");
      }
    }
  }
}

TEST(OperatorStateTest, fingerprints_survive_every_redistribution) {
  std::vector<OperatorState> former(3);
  former[1].Set("split", Redistribution::kSplit, {"1"}, "list<int64>");
  former[2].Set("all", Redistribution::kUnion, {"1"}, "union-list<int64>");
  for (const int parallelism : {1, 3, 4}) {
    const OperatorState dealt = OperatorState::Redistribute(former, 0, parallelism);
    EXPECT_EQ(dealt.lists().at("all").fingerprint, "union-list<int64>");
  }
  EXPECT_EQ(OperatorState::Redistribute(former, 0, 1).lists().at("split").fingerprint,
            "list<int64>");
}

TEST(OperatorStateTest, decode_returns_what_was_encoded_and_refuses_every_truncation) {
  OperatorState state = With({"one", std::string(300, 'x')}, {""});
  state.Set("typed", Redistribution::kCopy, {"key", "value"}, "broadcast<object, object>");
  const std::string bytes = state.Encode();
  const Result<OperatorState> decoded = OperatorState::Decode(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ((*decoded).Encode(), bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(OperatorState::Decode(bytes.substr(0, size)).status().code(),
              StatusCode::kCorruption);
  }
}

}  // namespace
}  // namespace headrace
