#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "headrace/metrics/histogram.h"
#include "headrace/metrics/registry.h"

namespace headrace {
namespace {

TEST(CounterTest, IsReadableWhileItsTaskCounts) {
  Counter counter;
  std::thread task([&] {
    for (int i = 0; i < 100'000; ++i) counter.Increment();
  });
  int64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = counter.value();
    ASSERT_GE(now, last);
    last = now;
  }
  task.join();
  EXPECT_EQ(counter.value(), 100'000);
}

TEST(HistogramTest, BucketsArePowersOfTwo) {
  EXPECT_EQ(Histogram::BucketOf(std::numeric_limits<int64_t>::min()), 0);
  EXPECT_EQ(Histogram::BucketOf(0), 0);
  EXPECT_EQ(Histogram::BucketOf(1), 1);
  EXPECT_EQ(Histogram::BucketOf(2), 2);
  EXPECT_EQ(Histogram::BucketOf(3), 2);
  EXPECT_EQ(Histogram::BucketOf(4), 3);
  EXPECT_EQ(Histogram::BucketOf(std::numeric_limits<int64_t>::max()), 63);
  for (int index = 1; index < Histogram::kBuckets; ++index) {
    EXPECT_EQ(Histogram::BucketOf(Histogram::BucketMax(index)), index);
  }
}

TEST(HistogramTest, QuantileIsExactToAFactorOfTwo) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), 0);
  for (int value = 1; value <= 1000; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.count(), 1000);
  EXPECT_EQ(histogram.sum(), 500'500);
  EXPECT_EQ(histogram.Quantile(0), 1);
  EXPECT_EQ(histogram.Quantile(0.5), 511);
  EXPECT_EQ(histogram.Quantile(1), 1023);
}

TEST(MetricsRegistryTest, SubtasksAddUpAndWatermarkIsTheSmallest) {
  MetricsRegistry registry;
  auto first = registry.Register("map", 0);
  auto second = registry.Register("map", 1);
  first->rows_in.Add(3);
  second->rows_in.Add(4);
  first->watermark_ms.Set(100);
  second->watermark_ms.Set(70);
  second->UserCounter("errors").Increment();
  const auto total = registry.Snapshot();
  EXPECT_EQ(total.at("map.rows_in"), 7);
  EXPECT_EQ(total.at("map.watermark_ms"), 70);
  EXPECT_EQ(total.at("map.errors"), 1);
  EXPECT_EQ(registry.SnapshotBySubtask().at("map.1.rows_in"), 4);
}

TEST(MetricsRegistryTest, TotalsGrowOverARestartAndGaugesStartAnew) {
  MetricsRegistry registry;
  auto attempt = registry.Register("sum", 0);
  attempt->rows_in.Add(10);
  attempt->state_bytes.Set(1000);
  attempt->UserHistogram("size").Add(8);
  attempt = registry.Register("sum", 0);
  attempt->rows_in.Add(5);
  attempt->state_bytes.Set(300);
  attempt->UserHistogram("size").Add(8);
  const auto total = registry.Snapshot();
  EXPECT_EQ(total.at("sum.rows_in"), 15);
  EXPECT_EQ(total.at("sum.state_bytes"), 300);
  EXPECT_EQ(total.at("sum.size.count"), 2);
  EXPECT_EQ(total.at("sum.size.p99"), 15);
  EXPECT_EQ(total.count("sum.watermark_ms"), 0u) << "left out while unknown";
}

TEST(TaskMetricsTest, UserMetricKeepsItsAddress) {
  TaskMetrics metrics;
  Counter* const counter = &metrics.UserCounter("a");
  for (int i = 0; i < 100; ++i) metrics.UserCounter("n" + std::to_string(i));
  EXPECT_EQ(&metrics.UserCounter("a"), counter);
}

}  // namespace
}  // namespace headrace
