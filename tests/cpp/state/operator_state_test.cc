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

TEST(OperatorStateTest, decode_returns_what_was_encoded_and_refuses_every_truncation) {
  const std::string bytes = With({"one", std::string(300, 'x')}, {""}).Encode();
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
