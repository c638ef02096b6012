#include "golden_file.h"
#include "headrace/time/watermark_generator.h"

namespace headrace {
namespace {

TEST(TimeFormats, WatermarkGeneratorIsTheGoldenFile) {
  WatermarkSpec spec;
  spec.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
  spec.bound_ms = 1000;
  spec.stride_rows = 1024;
  WatermarkGenerator generator(spec);
  const std::vector<TimestampMs> times(1000, 1'357'034'400'123);
  generator.Observe(times.data(), static_cast<int64_t>(times.size()));
  ByteWriter bytes;
  generator.Snapshot(&bytes);
  ExpectGolden("time/golden/watermark_generator.bin", bytes.view());

  const std::string golden = ReadGolden("time/golden/watermark_generator.bin");
  WatermarkGenerator read(spec);
  ByteReader in(golden);
  ASSERT_TRUE(read.Restore(&in).ok());
  EXPECT_TRUE(in.done());
  EXPECT_EQ(read.Current(), 1'357'034'400'123 - 1000 - 1);
  EXPECT_EQ(read.RowsUntilEmission(), 24);
}

}  // namespace
}  // namespace headrace
