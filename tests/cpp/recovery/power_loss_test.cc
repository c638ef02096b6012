#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/hash.h"
#include "number_from_environment.h"
#include "recovery/small_job.h"

// Every state in which a power loss may leave the disk: for each prefix of the file calls of a job,
// what was not synced kept, lost or torn in each combination. Each state resumes from checkpoint n
// or n - 1 and ends with the output of one run.

namespace headrace {
namespace {

// Goes through all sequences of answers to questions that depend on the answers before.
class Enumeration {
 public:
  uint64_t Choose(uint64_t bound) {
    if (at_ == digits_.size()) digits_.push_back({0, bound});
    EXPECT_EQ(digits_[at_].bound, bound) << "the run does not repeat";
    return digits_[at_++].value;
  }
  // To the next sequence; false when all were there.
  bool Next() {
    digits_.resize(at_);
    at_ = 0;
    while (!digits_.empty() && digits_.back().value + 1 == digits_.back().bound) digits_.pop_back();
    if (digits_.empty()) return false;
    ++digits_.back().value;
    return true;
  }

 private:
  struct Digit {
    uint64_t value;
    uint64_t bound;
  };
  std::vector<Digit> digits_;
  size_t at_ = 0;
};

constexpr uint64_t kSeedsMax = 8;
constexpr int kEnumeratedMax = 24;  // of one prefix; where there are more, some are drawn as well
constexpr int kDrawn = 16;

class PowerLoss {
 public:
  explicit PowerLoss(uint64_t seed) : seed_(seed), random_(seed) {}

  // What the output must be after each checkpoint, and which calls may change the disk.
  void RecordOneRun() {
    {
      SmallJob job(seed_);
      const FileCallWatch watch([&](uint64_t number, std::string_view call, std::string_view) {
        if (ChangesFiles(call)) prefixes_.push_back(number + 1);
        return Status::Ok();
      });
      auto started = job.Start();
      ASSERT_TRUE(started.ok()) << started.status().ToString();
      const Status ended = job.Finish(started->get());
      ASSERT_TRUE(ended.ok()) << ended.ToString();
    }
    // Once more, as looking at the output is file calls too.
    SmallJob job(seed_);
    auto started = job.Start();
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    published_[0] = {};
    job.Run(started->get(), [&] {
      for (const CheckpointRecord& record : (*started)->Checkpoints()) {
        if (record.completed && !published_.contains(record.id)) {
          published_[record.id] = job.OutputLines();
        }
      }
      return false;
    });
    ASSERT_TRUE((*started)->result().status.ok()) << (*started)->result().status.ToString();
    published_[(*started)->Checkpoints().back().id] = job.OutputLines();
    ASSERT_EQ(job.OutputLines(), job.ExpectedLines());
    ASSERT_GE(published_.size(), 5u);
  }

  // In any order, so that those of a run that ends early are of all its parts.
  void TryEveryPrefix(size_t states_max) {
    std::vector<uint64_t> prefixes = prefixes_;
    std::shuffle(prefixes.begin(), prefixes.end(), std::minstd_rand(static_cast<uint32_t>(seed_)));
    for (const uint64_t prefix : prefixes) {
      if (states() >= states_max) return;
      SCOPED_TRACE("before file call " + std::to_string(prefix) + ", seed " +
                   std::to_string(seed_));
      Enumeration enumeration;
      int tried = 0;
      bool more = true;
      while (more && tried < kEnumeratedMax) {
        ++tried;
        ASSERT_NO_FATAL_FAILURE(
            Try(prefix, [&](uint64_t bound) { return enumeration.Choose(bound); }));
        more = enumeration.Next();
      }
      for (int drawn = 0; more && drawn < kDrawn; ++drawn) {
        ASSERT_NO_FATAL_FAILURE(Try(prefix, [&](uint64_t bound) { return random_.Below(bound); }));
      }
    }
  }

  size_t states() const { return restored_from_.size(); }
  size_t prefixes() const { return prefixes_.size(); }
  int newest() const { return newest_; }
  int one_before() const { return one_before_; }

 private:
  void Try(uint64_t prefix, const CrashChooser& choose) {
    SmallJob job(seed_);
    SmallJob::Progress progress;
    {
      bool dead = false;
      std::unique_ptr<Job> running;
      {
        const FileCallWatch watch([&](uint64_t number, std::string_view, std::string_view) {
          dead |= number >= prefix;
          return dead ? Status::IoError("the power is gone") : Status::Ok();
        });
        auto started = job.Start();
        if (started.ok()) {
          running = std::move(started).value();
          job.Run(running.get(), [&] { return dead; });
        }
      }
      if (running != nullptr) progress = job.ProgressOf(*running);
      job.env.CrashChoosing(choose);
    }
    const CheckpointId newest = std::max(progress.completed, progress.visible);
    ASSERT_LE(newest, progress.completed + 1);
    const auto [state, is_new] = restored_from_.try_emplace(HashOfDisk(&job), 0);
    if (is_new) {
      ASSERT_NO_FATAL_FAILURE(Resume(&job, &state->second));
    }
    ASSERT_GE(state->second, progress.completed);
    ASSERT_LE(state->second, newest);
    ++(state->second == newest ? newest_ : one_before_);
  }

  void Resume(SmallJob* job, CheckpointId* restored) {
    auto started = job->Start();
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    const std::vector<std::string> lines = job->OutputLines();
    const Status ended = job->Finish(started->get());
    ASSERT_TRUE(ended.ok()) << ended.ToString();
    *restored = SmallJob::ResumedFrom(**started);
    ASSERT_EQ(lines, published_.at(*restored)) << "resumed from " << *restored;
    ASSERT_EQ(job->OutputLines(), job->ExpectedLines());
  }

  static uint64_t HashOfDisk(SmallJob* job) {
    FileSystem& files = job->env.files();
    std::string disk;
    for (const std::string& directory : {job->directory(), std::string(SmallJob::kOutput)}) {
      const auto names = files.List(directory);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        const std::string content = files.ReadAll(directory + "/" + name).value();
        disk += directory + "/" + name + " " + std::to_string(content.size()) + "\n" + content;
      }
    }
    return Hash64(disk);
  }

  const uint64_t seed_;
  SimRandom random_;
  std::vector<uint64_t> prefixes_ = {1};
  std::map<CheckpointId, std::vector<std::string>> published_;
  std::map<uint64_t, CheckpointId> restored_from_;  // by hash of what is on the disk
  int newest_ = 0;
  int one_before_ = 0;
};

// HEADRACE_POWER_LOSS_STATES says how many states at least.
TEST(PowerLossStates, EachResumesFromTheNewestCheckpointOrTheOneBefore) {
  const size_t wanted = NumberFromEnvironment("HEADRACE_POWER_LOSS_STATES", 5000);
  size_t states = 0;
  int one_before = 0;
  for (uint64_t seed = 1; states < wanted; ++seed) {  // all of each but the last
    ASSERT_LE(seed, kSeedsMax) << "only " << states << " states";
    PowerLoss power_loss(seed);
    ASSERT_NO_FATAL_FAILURE(power_loss.RecordOneRun());
    ASSERT_NO_FATAL_FAILURE(power_loss.TryEveryPrefix(wanted - states));
    states += power_loss.states();
    one_before += power_loss.one_before();
    std::cout << "seed " << seed << ": " << power_loss.states() << " states of the disk after "
              << power_loss.prefixes() << " prefixes; newest checkpoint " << power_loss.newest()
              << " times, the one before " << power_loss.one_before() << " times\n";
  }
  EXPECT_GE(one_before * 500, static_cast<int>(wanted)) << "hardly any manifest was ever lost";
}

}  // namespace
}  // namespace headrace
