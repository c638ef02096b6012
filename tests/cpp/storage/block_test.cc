#include "headrace/storage/block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace headrace {
namespace {

std::string Payload() {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "row " + std::to_string(i * i) + ";";
  return text;
}

class BlockTest : public ::testing::TestWithParam<CodecId> {};

TEST_P(BlockTest, RoundTripsBehindOtherBytes) {
  std::string out = "before";
  const auto digest = WriteBlock({BlockKind::kDelta, GetParam(), 0}, Payload(), &out);
  ASSERT_TRUE(digest.ok());
  ASSERT_EQ(out.substr(0, 6), "before");
  const std::string_view bytes = std::string_view(out).substr(6);
  EXPECT_EQ(BlockDigest(bytes), *digest);
  const auto block = ReadBlock(bytes, "f", 6);
  ASSERT_TRUE(block.ok()) << block.status().ToString();
  EXPECT_EQ(block->kind, BlockKind::kDelta);
  EXPECT_EQ(block->payload, Payload());
}

TEST_P(BlockTest, EveryFlippedBitIsFoundAndNamed) {
  std::string bytes;
  ASSERT_TRUE(WriteBlock({BlockKind::kBase, GetParam(), 0}, Payload(), &bytes).ok());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const auto block = ReadBlock(damaged, "data-7", 4096);
    ASSERT_FALSE(block.ok()) << bit;
    ASSERT_EQ(block.status().code(), StatusCode::kCorruption) << bit;
    ASSERT_TRUE(block.status().message().starts_with("file 'data-7', offset 4096: "));
  }
}

TEST_P(BlockTest, EveryTruncationAndExtensionIsFound) {
  std::string bytes;
  ASSERT_TRUE(WriteBlock({BlockKind::kBase, GetParam(), 0}, Payload(), &bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    ASSERT_EQ(ReadBlock(cut, "f", 0).status().code(), StatusCode::kCorruption) << size;
  }
  EXPECT_EQ(ReadBlock(bytes + '\0', "f", 0).status().code(), StatusCode::kCorruption);
}

INSTANTIATE_TEST_SUITE_P(All, BlockTest,
                         ::testing::Values(CodecId::kNone, CodecId::kLz4, CodecId::kSnappy,
                                           CodecId::kZstd),
                         [](const auto& info) { return std::string(CodecName(info.param)); });

TEST(BlockFormatTest, EmptyPayloadIsABlockOfHeaderOnly) {
  std::string bytes;
  ASSERT_TRUE(WriteBlock({BlockKind::kRows, CodecId::kZstd, 0}, "", &bytes).ok());
  EXPECT_EQ(bytes.size(), kBlockHeaderBytes);
  const auto block = ReadBlock(bytes, "f", 0);
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(block->payload, "");
}

TEST(BlockFormatTest, PayloadThatDoesNotShrinkIsStoredAsItIs) {
  std::string bytes;
  ASSERT_TRUE(WriteBlock({BlockKind::kRows, CodecId::kZstd, 0}, "abc", &bytes).ok());
  const auto header = ReadBlockHeader(bytes, "f", 0);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->codec, CodecId::kNone);
  EXPECT_EQ(header->raw_bytes, 3u);
  EXPECT_EQ(header->block_bytes(), bytes.size());
}

// Frozen: blocks of every released version stay readable.
TEST(BlockFormatTest, BytesAreFrozen) {
  std::string bytes;
  ASSERT_TRUE(WriteBlock({BlockKind::kDelta, CodecId::kNone, 0}, "abc", &bytes).ok());
  std::string hex;
  for (const char c : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  EXPECT_EQ(hex,
            "4852424b0100020000000000a372341403000000000000000300000000000000"
            "50392f89945faf7885613a73b65ab006616263");
}

// Changes a byte of the header and makes its checksum right again.
std::string Forged(size_t at, char value) {
  std::string bytes;
  EXPECT_TRUE(WriteBlock({BlockKind::kBase, CodecId::kNone, 0}, "payload", &bytes).ok());
  bytes[at] = value;
  uint32_t crc = Crc32c(0, bytes.data(), 12);
  crc = Crc32c(crc, bytes.data() + 16, kBlockHeaderBytes - 16);
  std::memcpy(bytes.data() + 12, &crc, sizeof(crc));
  return bytes;
}

TEST(BlockFormatTest, NewerFormatsAreToldFromDamage) {
  EXPECT_EQ(ReadBlock(Forged(4, 2), "f", 0).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ReadBlock(Forged(5, 9), "f", 0).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ReadBlock(Forged(6, 9), "f", 0).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ReadBlock(Forged(7, 1), "f", 0).status().code(), StatusCode::kUnimplemented);
}

TEST(BlockFormatTest, ImpossibleLengthsAreRefusedBeforeAllocation) {
  EXPECT_EQ(ReadBlock(Forged(23, 0x7f), "f", 0).status().code(), StatusCode::kCorruption);
  EXPECT_EQ(ReadBlock(Forged(31, 0x7f), "f", 0).status().code(), StatusCode::kCorruption);
  EXPECT_EQ(ReadBlock(Forged(16, 8), "f", 0).status().code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace headrace
