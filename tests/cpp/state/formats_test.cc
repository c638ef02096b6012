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

}  // namespace
}  // namespace headrace
