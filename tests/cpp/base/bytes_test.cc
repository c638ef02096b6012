#include "headrace/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace headrace {
namespace {

constexpr uint64_t kUnsigned[] = {0,     1,        127,        128,        16383,
                                  16384, 1u << 31, 1ull << 62, 1ull << 63, UINT64_MAX};
constexpr int64_t kSigned[] = {0,
                               -1,
                               1,
                               -64,
                               64,
                               1000000,
                               std::numeric_limits<int64_t>::min(),
                               std::numeric_limits<int64_t>::max()};

std::string Everything() {
  ByteWriter writer;
  for (const uint64_t value : kUnsigned) writer.Varint(value);
  for (const int64_t value : kSigned) writer.ZigZag(value);
  writer.Fixed(uint16_t{0x1234});
  writer.Fixed(2.5);
  writer.String("key");
  writer.String("");
  writer.Varint(2);
  writer.Raw("abcd");
  return writer.Take();
}

Status ReadEverything(std::string_view bytes) {
  ByteReader reader(bytes);
  for (const uint64_t wanted : kUnsigned) {
    uint64_t value = 0;
    HR_RETURN_IF_ERROR(reader.Varint(&value));
    EXPECT_EQ(value, wanted);
  }
  for (const int64_t wanted : kSigned) {
    int64_t value = 0;
    HR_RETURN_IF_ERROR(reader.ZigZag(&value));
    EXPECT_EQ(value, wanted);
  }
  uint16_t fixed = 0;
  HR_RETURN_IF_ERROR(reader.Fixed(&fixed));
  EXPECT_EQ(fixed, 0x1234);
  double number = 0;
  HR_RETURN_IF_ERROR(reader.Fixed(&number));
  EXPECT_EQ(number, 2.5);
  std::string_view text;
  HR_RETURN_IF_ERROR(reader.String(&text));
  EXPECT_EQ(text, "key");
  HR_RETURN_IF_ERROR(reader.String(&text));
  EXPECT_EQ(text, "");
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(reader.Count(2, &count));
  EXPECT_EQ(count, 2u);
  HR_RETURN_IF_ERROR(reader.Raw(4, &text));
  EXPECT_EQ(text, "abcd");
  return reader.ExpectDone();
}

TEST(BytesTest, ReadsWhatWasWritten) {
  const Status status = ReadEverything(Everything());
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(BytesTest, EveryTruncationIsCorruption) {
  const std::string bytes = Everything();
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees a read past the end.
    const std::string cut = bytes.substr(0, size);
    EXPECT_EQ(ReadEverything(cut).code(), StatusCode::kCorruption) << size;
  }
  EXPECT_EQ(ReadEverything(bytes + "x").code(), StatusCode::kCorruption);
}

TEST(BytesTest, VarintHasOneEncodingPerNumber) {
  uint64_t value = 0;
  for (const std::string& bad : {std::string("\x80\x00", 2), std::string("\xff\x00", 2),
                                 std::string(9, '\xff') + '\x02', std::string(11, '\xff')}) {
    ByteReader reader(bad);
    EXPECT_EQ(reader.Varint(&value).code(), StatusCode::kCorruption);
    EXPECT_EQ(reader.offset(), 0u);
  }
}

TEST(BytesTest, HugeLengthsAreRefusedWithoutMoving) {
  ByteWriter writer;
  writer.Varint(UINT64_MAX);
  ByteReader reader(writer.view());
  std::string_view text;
  uint64_t count = 0;
  EXPECT_EQ(reader.String(&text).code(), StatusCode::kCorruption);
  EXPECT_EQ(reader.Count(8, &count).code(), StatusCode::kCorruption);
  EXPECT_EQ(reader.Raw(SIZE_MAX, &text).code(), StatusCode::kCorruption);
  EXPECT_EQ(reader.offset(), 0u);
}

TEST(BytesTest, FailuresNameTheOffset) {
  ByteReader reader("abc");
  std::string_view text;
  ASSERT_TRUE(reader.Raw(2, &text).ok());
  EXPECT_EQ(reader.Raw(5, &text).message(), "truncated at offset 2: wanted 5 bytes, 1 left");
  EXPECT_EQ(reader.ExpectDone().message(), "1 unexpected bytes at offset 2");
}

}  // namespace
}  // namespace headrace
