#include "headrace/types/value_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "golden_file.h"
#include "types/column_of.h"

namespace headrace {
namespace {

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out.push_back("0123456789abcdef"[static_cast<uint8_t>(c) >> 4]);
    out.push_back("0123456789abcdef"[c & 15]);
  }
  return out;
}

std::string Unhex(std::string_view hex) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  }
  return out;
}

std::string HexAt(const Column& column, int64_t row, bool as_key = false) {
  ByteWriter out;
  const Status status = EncodeColumnValue(column, row, as_key, &out);
  return status.ok() ? Hex(out.view()) : std::string(StatusCodeName(status.code()));
}

DataTypePtr Type(TypeKind kind, const char* format) {
  return std::make_shared<const DataType>(kind, format);
}

/// Every tag with its bytes, drawn by hand from the table in the header, and its text.
struct Sample {
  const char* hex;
  const char* text;
};
const Sample kSamples[] = {
    {"00", "None"},
    {"01", "False"},
    {"02", "True"},
    {"0300", "0"},
    {"0301", "-1"},
    {"03808080808040", "1099511627776"},
    {"03ffffffffffffffffff01", "-9223372036854775808"},
    {"0409000000000000000001", "18446744073709551616"},
    {"0409ffffffffffffffffff", "-1"},
    {"040a00000000000000c0ffff", "-4611686018427387904"},
    {"05000000000000f83f", "1.5"},
    {"0600", "''"},
    {"0606e697a5e69cac", "'日本'"},
    {"0703eda080", "'\\ud800'"},
    {"0803000aff", "b'\\x00\\n\\xff'"},
    {"0900", "()"},
    {"0901"
     "0302",
     "(1,)"},
    {"0902"
     "0302"
     "060161",
     "(1, 'a')"},
    {"0a02"
     "0302"
     "00",
     "[1, None]"},
    {"0b02"
     "060161"
     "0302"
     "060162"
     "0a00",
     "{'a': 1, 'b': []}"},
    {"0c00", "set()"},
    {"0c02"
     "0302"
     "0304",
     "{1, 2}"},
    {"0d00", "frozenset()"},
    {"0d01"
     "0302",
     "frozenset({1})"},
    {"0e98ab01", "datetime.date(1999, 12, 31)"},
    {"0f8094ebdc0300", "datetime.time(0, 16, 40)"},
    {"1002"
     "00"
     "00",
     "datetime.datetime(1970, 1, 1, 0, 0, 0, 1)"},
    {"1001"
     "01"
     "01f070",
     "datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, fold=1, "
     "tzinfo=datetime.timezone(datetime.timedelta(seconds=7224)))"},
    {"1000"
     "00"
     "0100",
     "datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"},
    {"1000"
     "00"
     "0203555443",
     "datetime.datetime(1970, 1, 1, 0, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'))"},
    {"1101"
     "0a"
     "0b",
     "datetime.timedelta(days=-1, seconds=10, microseconds=11)"},
    {"1204312e3530", "Decimal('1.50')"},
    {"13000102030405060708090a0b0c0d0e0f", "UUID('00010203-0405-0607-0809-0a0b0c0d0e0f')"},
    {"1400"
     "02"
     "01"
     "0161"
     "0162"
     "0302"
     "060178",
     "Row(a=1, b='x')"},
    {"1400"
     "02"
     "00"
     "0302"
     "060178",
     "Row(1, 'x')"},
    {"15"
     "0150"
     "02"
     "0302"
     "0304",
     "P(1, 2)"},
    {"16"
     "0150"
     "01"
     "0178"
     "0302",
     "P(x=1)"},
    {"17"
     "033c6938"
     "080100000000000000",
     "numpy('<i8', b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00')"},
    {"1803800495", "pickle(3 bytes)"},
    {"19026162", "bytearray(b'ab')"},
    {"1a"
     "05436f6c6f72"
     "03524544",
     "Color.RED"},
};

TEST(ValueCodec, EverySampleIsSkippedAndDescribed) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.hex);
    const std::string bytes = Unhex(sample.hex);
    ByteReader in(bytes);
    EXPECT_TRUE(SkipValue(&in).ok());
    EXPECT_TRUE(in.done());
    EXPECT_EQ(DescribeValue(bytes), sample.text);
  }
}

// One line a sample: the bytes in hex, a tab, the value. Tags are never reused, so lines are only
// added.
TEST(ValueCodec, SamplesOfEveryTagAreTheGoldenFile) {
  std::string text;
  std::set<int> tags;
  for (const Sample& sample : kSamples) {
    text += std::string(sample.hex) + "\t" + sample.text + "\n";
    tags.insert(static_cast<uint8_t>(Unhex(sample.hex)[0]));
  }
  EXPECT_EQ(tags.size(), static_cast<size_t>(ValueTag::kEnum) + 1);
  EXPECT_EQ(*tags.rbegin(), static_cast<int>(ValueTag::kEnum));
  ExpectGolden("types/golden/values.txt", text);
}

TEST(ValueCodec, EveryTruncationIsCorruption) {
  for (const Sample& sample : kSamples) {
    const std::string bytes = Unhex(sample.hex);
    for (size_t size = 0; size < bytes.size(); ++size) {
      // On the heap, so that a read past the end is seen.
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<int64_t>(size));
      ByteReader in({cut.data(), size});
      EXPECT_EQ(SkipValue(&in).code(), StatusCode::kCorruption) << sample.hex << " at " << size;
      EXPECT_NE(DescribeValue({cut.data(), size}).find("not a value"), std::string::npos);
    }
  }
}

TEST(ValueCodec, DamagedBytesNeverCrash) {
  std::mt19937 random(11);
  int64_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = Unhex(kSamples[random() % std::size(kSamples)].hex);
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    ByteReader in(bytes);
    refused += !SkipValue(&in).ok();
    EXPECT_FALSE(DescribeValue(bytes).empty());
  }
  EXPECT_GT(refused, 0);
}

TEST(ValueCodec, RandomBytesNeverCrash) {
  std::mt19937 random(12);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 2 ? random() : random() % 0x1b);
    ByteReader in(bytes);
    const Status status = SkipValue(&in);
    ASSERT_TRUE(status.ok() || status.code() == StatusCode::kCorruption);
  }
}

TEST(ValueCodec, NestingOverTwoHundredIsCorruption) {
  for (int depth : {200, 201}) {
    std::string bytes;
    for (int i = 0; i < depth; ++i) bytes += Unhex("0a01");
    bytes += '\0';
    ByteReader in(bytes);
    EXPECT_EQ(SkipValue(&in).ok(), depth == 200);
  }
}

TEST(ValueCodec, HugeCountsAreRefusedWithoutAllocating) {
  for (const char* hex : {"06ffffffffffffffff7f", "09ffffffffffffffff7f", "0bffffffff0f00",
                          "0cffffffffffffffffff01", "1400ffffffff0f01", "16015affffffff0f"}) {
    const std::string bytes = Unhex(hex);
    ByteReader in(bytes);
    EXPECT_EQ(SkipValue(&in).code(), StatusCode::kCorruption) << hex;
  }
}

TEST(ValueCodec, UnknownTagsAreCorruption) {
  for (int tag = 0x1b; tag < 256; ++tag) {
    const std::string bytes = {static_cast<char>(tag), 0, 0, 0};
    ByteReader in(bytes);
    EXPECT_EQ(SkipValue(&in).code(), StatusCode::kCorruption) << tag;
  }
}

TEST(ValueCodec, IntegersEncodeAlikeAtAnyWidth) {
  for (const DataTypePtr& type : {Int8Type(), Int16Type(), Int32Type(), Int64Type()}) {
    const ColumnPtr column = IntsOf<int64_t>(type, {0, -1, 100, std::nullopt});
    EXPECT_EQ(HexAt(*column, 0), "0300");
    EXPECT_EQ(HexAt(*column, 1), "0301");
    EXPECT_EQ(HexAt(*column, 2), "03c801");
    EXPECT_EQ(HexAt(*column, 3), "00");
  }
}

TEST(ValueCodec, KeysHaveOneZeroAndOneNan) {
  const double other_nan = std::bit_cast<double>(uint64_t{0xfff8000000000001});
  const ColumnPtr column = Doubles({0.0, -0.0, std::nan(""), other_nan, 1.5});
  EXPECT_EQ(HexAt(*column, 0, true), HexAt(*column, 1, true));
  EXPECT_NE(HexAt(*column, 0), HexAt(*column, 1));
  EXPECT_EQ(HexAt(*column, 2, true), "05000000000000f87f");
  EXPECT_EQ(HexAt(*column, 3, true), "05000000000000f87f");
  EXPECT_EQ(HexAt(*column, 3), "05010000000000f8ff");
  EXPECT_EQ(HexAt(*column, 4, true), "05000000000000f83f");
}

TEST(ValueCodec, ColumnsOfTimesEncodeAsTheHostsTypes) {
  EXPECT_EQ(HexAt(*IntsOf<int64_t>(Date32Type(), {-1}), 0), "0e01");
  EXPECT_EQ(HexAt(*IntsOf<int64_t>(Time64Type(), {1'000'000'000}), 0), "0f8094ebdc0300");
  const auto stamp = [](const char* format, int64_t value) {
    return HexAt(*IntsOf<int64_t>(Type(TypeKind::kTimestamp, format), {value}), 0);
  };
  EXPECT_EQ(stamp("tss:", 1), stamp("tsu:", 1'000'000));
  EXPECT_EQ(stamp("tsm:", -1), stamp("tsn:", -1'000'000));
  EXPECT_EQ(stamp("tsu:", 1), "10020000");
  EXPECT_EQ(stamp("tsu:UTC", 1), "1002000100");
  // 02:00 of the wall clock: two hours ahead of the instant.
  EXPECT_EQ(stamp("tss:+02:00", 0),
            "1080a0bad235"
            "00"
            "01"
            "c070");
  EXPECT_EQ(stamp("tsn:", 1), "InvalidArgument");
  EXPECT_EQ(stamp("tss:", int64_t{1} << 60), "InvalidArgument");
  EXPECT_EQ(stamp("tsm:Europe/Berlin", 1), "Unimplemented");
  EXPECT_EQ(stamp("tss:+24:00", 1), "Unimplemented");
  EXPECT_EQ(stamp("tss:+00:60", 1), "Unimplemented");
  EXPECT_EQ(HexAt(*IntsOf<int64_t>(Type(TypeKind::kDuration, "tDm"), {-1}), 0),
            "11"
            "01"
            "ffa205"
            "d8fc3c");
}

// Once written they could not be read again, and with a key the whole checkpoint would be lost.
TEST(ValueCodec, DatesAndTimesThatTheHostCannotHoldAreNotEncoded) {
  const auto date = [](int32_t days) { return HexAt(*IntsOf<int32_t>(Date32Type(), {days}), 0); };
  EXPECT_EQ(date(-719'162), "0ef3e457");
  EXPECT_EQ(date(2'932'896), "0ec082e602");
  EXPECT_EQ(date(-719'163), "InvalidArgument");
  EXPECT_EQ(date(2'932'897), "InvalidArgument");
  const auto time = [](int64_t micros) {
    return HexAt(*IntsOf<int64_t>(Time64Type(), {micros}), 0);
  };
  EXPECT_EQ(time(86'399'999'999), "0fffbfddeec10200");
  EXPECT_EQ(time(86'400'000'000), "InvalidArgument");
  EXPECT_EQ(time(-1), "InvalidArgument");
}

TEST(ValueCodec, NestedColumnsEncodeAsHostContainers) {
  std::vector<std::string> texts;
  auto builder = ColumnBuilder::Make(NativeTypes().back()).value();
  auto& entries = builder->children()[0];
  entries->children()[0]->AppendString("k");
  entries->children()[1]->AppendNull();
  entries->CloseStruct();
  builder->CloseList();
  builder->CloseList();
  builder->AppendNull();
  const ColumnPtr map = builder->Finish();
  EXPECT_EQ(Texts(*map), (std::vector<std::string>{"{'k': None}", "{}", "None"}));
  const DataTypePtr pair = StructType({{"a", Int64Type()}, {"b", StringType()}});
  auto pairs = ColumnBuilder::Make(pair).value();
  pairs->children()[0]->AppendInt(1);
  pairs->children()[1]->AppendString("a");
  pairs->CloseStruct();
  EXPECT_EQ(HexAt(*pairs->Finish(), 0),
            "0902"
            "0302"
            "060161");
}

TEST(ValueCodec, ForeignColumnsAreUnimplemented) {
  Column column;
  column.type = Type(TypeKind::kForeign, "vu");
  column.length = 1;
  EXPECT_EQ(HexAt(column, 0), "Unimplemented");
}

}  // namespace
}  // namespace headrace
