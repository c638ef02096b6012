#include "headrace/runtime/job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "headrace/operators/timestamps_and_watermarks.h"
#include "runtime/job_test_graph.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

int64_t MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

// Freed memory is used again at once, but for AddressSanitizer, which first keeps 256 MB of it in
// quarantine.
#ifdef __SANITIZE_ADDRESS__
constexpr int64_t kGrowthMaxKb = 300'000;
#else
constexpr int64_t kGrowthMaxKb = 8'000;
#endif

int64_t ResidentKb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      int64_t kb = 0;
      status >> kb;
      return kb;
    }
  }
  return 0;
}

class JobTest : public testing::Test {
 protected:
  JobTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 ("headrace-job-" + std::to_string(::getpid()) + "-" + test->name());
    std::filesystem::create_directories(directory_);
    options_.name = "test";
    options_.restart.kind = RestartSpec::Kind::kNone;
  }
  ~JobTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Job> Start() {
    Result<std::unique_ptr<Job>> job = graph_.Create(options_);
    EXPECT_TRUE(job.ok()) << job.status().ToString();
    if (!job.ok()) return nullptr;
    EXPECT_TRUE((*job)->Start().ok());
    return std::move(*job);
  }
  JobResult Run() {
    const std::unique_ptr<Job> job = Start();
    if (!job) return {};
    EXPECT_TRUE(job->WaitFor(120'000)) << "the job does not end";
    return job->result();
  }
  std::vector<std::string> PublishedLines() const {
    std::vector<std::string> lines;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "out")) {
      if (entry.path().filename().string().rfind("part-", 0) != 0) continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  std::filesystem::path directory_;
  JobTestGraph graph_;
  JobOptions options_;
  std::shared_ptr<SeenElements> seen_ = std::make_shared<SeenElements>();
};

TestSourceSpec OneRow() {
  TestSourceSpec spec;
  spec.rows_per_split = 1;
  return spec;
}

TEST_F(JobTest, OneRecordBecomesTenMillionRowsInFlatMemory) {
  options_.channel_rows = 1024;
  const int repeat =
      graph_.Add("repeat", TestRepeat(10'000'000), {graph_.From(graph_.Source(OneRow()))});
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(repeat, Partitioning::kRebalance)}, 2);
  const std::unique_ptr<Job> job = Start();
  ASSERT_NE(job, nullptr);
  while (seen_->count < 1'000'000) std::this_thread::yield();
  const int64_t before_kb = ResidentKb();
  ASSERT_TRUE(job->WaitFor(120'000));
  EXPECT_LT(ResidentKb() - before_kb, kGrowthMaxKb);
  EXPECT_TRUE(job->result().status.ok()) << job->result().status.ToString();
  EXPECT_EQ(seen_->count, 10'000'000);
  EXPECT_EQ(job->result().metrics.at("repeat.rows_out"), 10'000'000);
  EXPECT_EQ(job->result().metrics.at("source.rows_read"), 1);
}

TEST_F(JobTest, CancelEndsAJobUnderFullLoadWithinASecond) {
  const int repeat =
      graph_.Add("repeat", TestRepeat(int64_t{1} << 40), {graph_.From(graph_.Source(OneRow()))});
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(repeat, Partitioning::kRebalance)}, 2);
  const std::unique_ptr<Job> job = Start();
  ASSERT_NE(job, nullptr);
  while (seen_->count < 100'000) std::this_thread::yield();
  const Clock::time_point start = Clock::now();
  job->Cancel();
  ASSERT_TRUE(job->WaitFor(5'000));
  EXPECT_LT(MillisecondsSince(start), 1'000);
  EXPECT_EQ(job->state(), JobState::kCanceled);
  EXPECT_EQ(job->result().status.code(), StatusCode::kCancelled);
}

TEST_F(JobTest, OperatorThatDoesNotReturnIsNamedAndAbandoned) {
  auto release = std::make_shared<std::atomic<bool>>(false);
  auto entered = std::make_shared<std::atomic<bool>>(false);
  auto left = std::make_shared<std::atomic<bool>>(false);
  graph_.Add("stuck",
             RecordingSink(seen_,
                           [release, entered, left] {
                             *entered = true;
                             while (!*release)
                               std::this_thread::sleep_for(std::chrono::milliseconds(1));
                             *left = true;
                             return Status::Ok();
                           }),
             {graph_.From(graph_.Source(OneRow()))});
  options_.stop_timeout_ms = 100;
  std::unique_ptr<Job> job = Start();
  ASSERT_NE(job, nullptr);
  while (!*entered) std::this_thread::yield();
  job->Cancel();
  ASSERT_TRUE(job->WaitFor(2'000));
  EXPECT_NE(job->result().status.message().find("operator 'stuck' (subtask 0/1)"),
            std::string::npos)
      << job->result().status.ToString();
  job.reset();
  *release = true;  // the abandoned thread still has all it touches
  while (!*left) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

TEST_F(JobTest, FailureNamesTheOperatorAndEndsTheJob) {
  graph_.Add("sink", RecordingSink(seen_, [] { return Status::UserError("boom", nullptr); }),
             {graph_.From(graph_.Source({}, 2))}, 2);
  const JobResult result = Run();
  EXPECT_EQ(result.state, JobState::kFailed);
  EXPECT_EQ(result.status.code(), StatusCode::kUserError);
  EXPECT_EQ(result.status.message().rfind("operator 'sink' (subtask 0/2): boom", 0), 0u)
      << result.status.ToString();
}

TEST_F(JobTest, RestartsByItsStrategyAndReportsTheCause) {
  auto failures = std::make_shared<std::atomic<int>>(2);
  graph_.Add("sink",
             RecordingSink(seen_,
                           [failures] {
                             return (*failures)-- > 0 ? Status::IoError("disk gone") : Status::Ok();
                           }),
             {graph_.From(graph_.Source({}))});
  options_.restart.kind = RestartSpec::Kind::kFixedDelay;
  options_.restart.attempts = 2;
  options_.restart.delay_ms = 1;
  const JobResult result = Run();
  EXPECT_TRUE(result.status.ok()) << result.status.ToString();
  ASSERT_EQ(result.recoveries.size(), 2u);
  EXPECT_NE(result.recoveries[0].cause.find("disk gone"), std::string::npos);
  EXPECT_EQ(seen_->count, 100);
}

TEST_F(JobTest, WithoutCheckpointsFilesBecomeVisibleAtTheEnd) {
  graph_.Add("sink", TestFileSink(directory_ / "out"), {graph_.From(graph_.Source({}, 1))});
  EXPECT_TRUE(Run().status.ok());
  EXPECT_EQ(PublishedLines().size(), 100u);
}

TEST_F(JobTest, FinalCheckpointPublishesAndLatestOnItDoesNothing) {
  TestKeyedSpec keyed;
  const int key = graph_.Add("key_by", TestKeyBy(1), {graph_.From(graph_.Source({}, 1))});
  const int count =
      graph_.Add("keyed", TestKeyed(keyed), {graph_.From(key, Partitioning::kHash)}, 2);
  graph_.graph.nodes[count].keyed = true;
  graph_.Add("sink", TestFileSink(directory_ / "out"), {graph_.From(count)}, 2);
  options_.checkpoint_directory = directory_ / "checkpoints";
  options_.checkpoints.interval_ms = 1;
  options_.restore_path = "latest";
  const JobResult first = Run();
  ASSERT_TRUE(first.status.ok()) << first.status.ToString();
  EXPECT_GE(first.metrics.at("job.checkpoints_completed"), 1);
  EXPECT_EQ(std::count_if(first.checkpoints.begin(), first.checkpoints.end(),
                          [](const auto& record) { return record.final && record.completed; }),
            1);
  std::vector<TestRow> input;
  for (int i = 0; i < 100; ++i) input.push_back(TestSourceRow({}, 0, i));
  std::vector<std::string> expected;
  for (const TestRow& row : TestKeyedOracle(keyed, input)) expected.push_back(TestRowLine(row));
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(PublishedLines(), expected);

  const JobResult second = Run();
  EXPECT_TRUE(second.status.ok()) << second.status.ToString();
  EXPECT_TRUE(second.checkpoints.empty());
  EXPECT_EQ(PublishedLines(), expected);
}

TEST_F(JobTest, LatestWithoutACheckpointSaysThatItStartsAfresh) {
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(graph_.Source({}))});
  options_.checkpoint_directory = directory_ / "checkpoints";
  options_.restore_path = "latest";
  const JobResult result = Run();
  EXPECT_TRUE(result.status.ok()) << result.status.ToString();
  ASSERT_EQ(result.messages.size(), 1u);
  EXPECT_NE(result.messages[0].find("a fresh start"), std::string::npos);
}

TEST_F(JobTest, WatermarkThroughUnionAndExchangeIsTheSlowerSourcesOne) {
  WatermarkSpec monotonous;
  monotonous.kind = WatermarkSpec::Kind::kMonotonous;
  monotonous.stride_rows = 1;
  TestSourceSpec fast;
  fast.step_ms = 1000;
  TestSourceSpec slow;
  slow.step_ms = 1;
  const int a = graph_.Source(fast);
  const int b = graph_.Source(slow);
  graph_.graph.nodes[a].source_options.watermarks = monotonous;
  graph_.graph.nodes[b].source_options.watermarks = monotonous;
  const int both = graph_.Add("union", TestFilter(1'000'000, -1), {graph_.From(a), graph_.From(b)});
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(both, Partitioning::kRebalance)}, 2);
  ASSERT_TRUE(Run().status.ok());
  EXPECT_EQ(seen_->count, 200);
  ASSERT_FALSE(seen_->watermarks.empty());
  EXPECT_EQ(std::count(seen_->watermarks.begin(), seen_->watermarks.end(), kMaxWatermark), 2);
  for (const TimestampMs watermark : seen_->watermarks) {
    if (watermark != kMaxWatermark) {
      EXPECT_LE(watermark, 99'000);
    }
  }
}

TEST_F(JobTest, IdleInputOfAnAssignerDoesNotHoldTheOthersBack) {
  TestSourceSpec silent;
  silent.nothing_odds = 1;  // never a row, never an end
  WatermarkSpec every_row;
  every_row.kind = WatermarkSpec::Kind::kMonotonous;
  every_row.stride_rows = 1;
  WatermarkSpec with_idleness = every_row;
  with_idleness.idle_timeout_ms = 20;
  const int spoken = graph_.Source({});
  graph_.graph.nodes[spoken].source_options.rows_per_second = 200;
  const int timed = graph_.Add("timed", TimestampsAndWatermarks(kTimestampsInBatch, every_row),
                               {graph_.From(spoken)});
  const int quiet = graph_.Add("quiet", TimestampsAndWatermarks(kTimestampsInBatch, with_idleness),
                               {graph_.From(graph_.Source(silent))});
  const int both =
      graph_.Add("union", TestFilter(1'000'000, -1), {graph_.From(timed), graph_.From(quiet)});
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(both, Partitioning::kRebalance)}, 2);
  const std::unique_ptr<Job> job = Start();
  ASSERT_NE(job, nullptr);
  const Clock::time_point start = Clock::now();
  TimestampMs reached = kMinWatermark;
  while (reached == kMinWatermark && MillisecondsSince(start) < 10'000) {
    std::this_thread::yield();
    std::lock_guard lock(seen_->mutex);
    for (const TimestampMs watermark : seen_->watermarks) reached = std::max(reached, watermark);
  }
  job->Cancel();
  ASSERT_TRUE(job->WaitFor(5'000));
  EXPECT_GT(reached, kMinWatermark) << "the silent source held event time back";
  EXPECT_LT(reached, 1'000);
}

TEST_F(JobTest, CheckpointsGoOnAfterASourceHasEnded) {
  TestSourceSpec long_one;
  long_one.rows_per_split = 2000;  // two seconds, for five checkpoints of a machine with much to do
  const int brief = graph_.Source({});
  const int lasting = graph_.Source(long_one);
  graph_.graph.nodes[lasting].source_options.rows_per_second = 1000;
  graph_.graph.nodes[brief].name = "brief";
  graph_.graph.nodes[lasting].name = "lasting";
  graph_.Add("brief_sink", RecordingSink(seen_), {graph_.From(brief, Partitioning::kRebalance)}, 2);
  graph_.Add("sink", TestFileSink(directory_ / "out"), {graph_.From(lasting)});
  options_.checkpoint_directory = directory_ / "checkpoints";
  options_.checkpoints.interval_ms = 5;
  const JobResult result = Run();
  ASSERT_TRUE(result.status.ok()) << result.status.ToString();
  EXPECT_EQ(PublishedLines().size(), 2000u);
  // The brief part ends at once, so nearly all of these were taken after it.
  const auto completed = std::count_if(result.checkpoints.begin(), result.checkpoints.end(),
                                       [](const auto& record) { return record.completed; });
  EXPECT_GE(completed, 5);
}

TEST_F(JobTest, RateLimitedSourceIsNotAheadOfItsSchedule) {
  const int source = graph_.Source({});
  graph_.graph.nodes[source].source_options.rows_per_second = 500;
  graph_.Add("sink", RecordingSink(seen_), {graph_.From(source)});
  const Clock::time_point start = Clock::now();
  ASSERT_TRUE(Run().status.ok());
  EXPECT_GE(MillisecondsSince(start), 195);
  EXPECT_EQ(seen_->count, 100);
}

// Counts calls; steps must be entered on a thread that was announced.
class CountingHooks final : public ThreadHooks {
 public:
  void OnTaskThreadStart() override { ++started; }
  void OnTaskThreadStop() override { ++stopped; }
  void EnterStep() override { ++inside; }
  void LeaveStep() override { --inside; }
  std::atomic<int> started{0}, stopped{0}, inside{0};
};

TEST_F(JobTest, HostTasksRunOnThreadsOfTheirOwnInsideTheHooks) {
  class HostSink final : public OperatorFactory {
   public:
    HostSink(OperatorFactoryPtr inner) : inner_(std::move(inner)) {}
    Result<std::unique_ptr<Operator>> Make(int subtask) override { return inner_->Make(subtask); }
    bool calls_python() const override { return true; }

   private:
    OperatorFactoryPtr inner_;
  };
  auto hooks = std::make_shared<CountingHooks>();
  auto outside = std::make_shared<std::atomic<int>>(0);
  graph_.Add("sink",
             std::make_shared<HostSink>(RecordingSink(seen_,
                                                      [hooks, outside] {
                                                        if (hooks->inside < 1) ++*outside;
                                                        return Status::Ok();
                                                      })),
             {graph_.From(graph_.Source({}), Partitioning::kRebalance)}, 3);
  options_.hooks = hooks;
  ASSERT_TRUE(Run().status.ok());
  EXPECT_EQ(hooks->started, 3);
  EXPECT_EQ(hooks->stopped, 3);
  EXPECT_EQ(hooks->inside, 0);
  EXPECT_EQ(*outside, 0);
  EXPECT_EQ(seen_->count, 100);
}

}  // namespace
}  // namespace headrace
