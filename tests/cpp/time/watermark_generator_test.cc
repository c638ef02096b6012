#include "headrace/time/watermark_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace headrace {
namespace {

WatermarkSpec Bounded(int64_t bound_ms, int64_t stride) {
  WatermarkSpec spec;
  spec.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
  spec.bound_ms = bound_ms;
  spec.stride_rows = stride;
  return spec;
}

using Emission = std::pair<int64_t, TimestampMs>;  // (rows, watermark)

/// Feeds all rows in pieces of at most `piece_max` rows; with `restore` every piece goes to a new
/// generator.
std::vector<Emission> EmissionsOf(const WatermarkSpec& spec,
                                  const std::vector<TimestampMs>& timestamps, uint32_t seed,
                                  int64_t piece_max, bool restore) {
  std::mt19937 random(seed);
  auto generator = std::make_unique<WatermarkGenerator>(spec);
  std::vector<Emission> out;
  int64_t at = 0;
  const auto rows = static_cast<int64_t>(timestamps.size());
  while (at < rows) {
    int64_t piece = 1 + static_cast<int64_t>(random()) % piece_max;
    piece = std::min({piece, rows - at, generator->RowsUntilEmission()});
    if (generator->Observe(timestamps.data() + at, piece)) {
      out.emplace_back(generator->rows(), generator->Current());
    }
    at += piece;
    if (restore) {
      ByteWriter snapshot;
      generator->Snapshot(&snapshot);
      generator = std::make_unique<WatermarkGenerator>(spec);
      ByteReader in(snapshot.view());
      EXPECT_TRUE(generator->Restore(&in).ok());
      EXPECT_TRUE(in.done());
    }
  }
  return out;
}

TEST(WatermarkGenerator, EmissionsDoNotDependOnHowRowsAreCut) {
  std::mt19937 random(1);
  std::vector<TimestampMs> timestamps;
  for (int64_t i = 0; i < 10'000; ++i) {
    timestamps.push_back(random() % 20 == 0 ? kNoTimestamp : i * 10 - random() % 500);
  }
  for (const WatermarkSpec& spec : {Bounded(300, 1024), Bounded(0, 7), Bounded(5, 1)}) {
    const auto wanted = EmissionsOf(spec, timestamps, 0, 1, false);
    EXPECT_EQ(wanted.size(), timestamps.size() / static_cast<size_t>(spec.stride_rows));
    for (uint32_t seed = 1; seed < 20; ++seed) {
      ASSERT_EQ(EmissionsOf(spec, timestamps, seed, 3000, seed % 2 == 0), wanted)
          << "seed " << seed;
    }
  }
}

TEST(WatermarkGenerator, BoundedTrailsTheLargestTimestampByTheBoundAndOne) {
  WatermarkGenerator generator(Bounded(100, 4));
  EXPECT_EQ(generator.Current(), kMinWatermark);
  const std::vector<TimestampMs> timestamps = {1000, 3000, 2000};
  EXPECT_FALSE(generator.Observe(timestamps.data(), 3));
  EXPECT_EQ(generator.Current(), 2899);
  EXPECT_EQ(generator.RowsUntilEmission(), 1);
  EXPECT_TRUE(generator.Observe(timestamps.data(), 1));
  EXPECT_EQ(generator.Current(), 2899);
  EXPECT_EQ(generator.RowsUntilEmission(), 4);
}

TEST(WatermarkGenerator, MonotonousIgnoresTheBound) {
  WatermarkSpec spec = Bounded(100, 10);
  spec.kind = WatermarkSpec::Kind::kMonotonous;
  WatermarkGenerator generator(spec);
  const TimestampMs timestamp = 50;
  generator.Observe(&timestamp, 1);
  EXPECT_EQ(generator.Current(), 49);
}

TEST(WatermarkGenerator, RowsWithoutTimeCountButCarryNone) {
  WatermarkGenerator generator(Bounded(0, 2));
  EXPECT_TRUE(generator.Observe(nullptr, 2));
  EXPECT_EQ(generator.rows(), 2);
  EXPECT_EQ(generator.Current(), kMinWatermark);
  const TimestampMs none = kNoTimestamp;
  generator.Observe(&none, 1);
  EXPECT_EQ(generator.Current(), kMinWatermark);
}

TEST(WatermarkGenerator, NoneNeverAdvances) {
  WatermarkGenerator generator(WatermarkSpec{});
  const TimestampMs timestamp = 50;
  generator.Observe(&timestamp, 1);
  EXPECT_EQ(generator.Current(), kMinWatermark);
}

TEST(WatermarkGenerator, SmallestTimestampsDoNotWrapAround) {
  WatermarkGenerator generator(Bounded(100, 2));
  const TimestampMs timestamp = kNoTimestamp + 50;
  generator.Observe(&timestamp, 1);
  EXPECT_EQ(generator.Current(), kMinWatermark);
}

TEST(WatermarkGenerator, TruncatedSnapshotIsCorruption) {
  WatermarkGenerator generator(Bounded(0, 2));
  const TimestampMs timestamp = 50;
  generator.Observe(&timestamp, 1);
  ByteWriter snapshot;
  generator.Snapshot(&snapshot);
  for (size_t size = 0; size < snapshot.size(); ++size) {
    ByteReader in(snapshot.view().substr(0, size));
    EXPECT_EQ(generator.Restore(&in).code(), StatusCode::kCorruption) << size;
  }
}

}  // namespace
}  // namespace headrace
