#include "golden_file.h"
#include "headrace/state/operator_state.h"

namespace headrace {
namespace {

TEST(StateFormats, OperatorStateIsTheGoldenFile) {
  OperatorState state;
  state.Set("offsets", Redistribution::kSplit, {"one", std::string(200, 'x'), ""});
  state.Set("watermark", Redistribution::kUnion, {std::string("\0\xff", 2)});
  state.Set("empty", Redistribution::kSplit, {});
  ExpectGolden("state/golden/operator_state.bin", state.Encode());

  const Result<OperatorState> read =
      OperatorState::Decode(ReadGolden("state/golden/operator_state.bin"));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->Items("offsets"), state.Items("offsets"));
  EXPECT_EQ(read->Items("watermark"), state.Items("watermark"));
  EXPECT_EQ(read->lists().at("watermark").redistribution, Redistribution::kUnion);
  EXPECT_EQ(read->lists().count("empty"), 1u);
}

TEST(StateFormats, OperatorStateWithTypesIsTheGoldenFile) {
  OperatorState state;
  state.Set("user/rules", Redistribution::kCopy, {"key", "value"}, "broadcast<string, object>");
  state.Set("user/seen", Redistribution::kUnion, {"one"}, "union-list<int64>");
  state.Set("user/none", Redistribution::kSplit, {}, "list<object>");
  state.Set("watermark", Redistribution::kUnion, {"x"});
  ExpectGolden("state/golden/operator_state_typed.bin", state.Encode());

  const Result<OperatorState> read =
      OperatorState::Decode(ReadGolden("state/golden/operator_state_typed.bin"));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->lists().at("user/rules").redistribution, Redistribution::kCopy);
  EXPECT_EQ(read->lists().at("user/seen").fingerprint, "union-list<int64>");
  EXPECT_EQ(read->lists().at("user/none").fingerprint, "list<object>");
  EXPECT_EQ(read->lists().at("watermark").fingerprint, "");
}

}  // namespace
}  // namespace headrace
