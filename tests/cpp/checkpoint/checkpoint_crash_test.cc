#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "checkpoint/model_job.h"
#include "headrace/base/failpoint.h"

// Kills and breaks everything that a checkpoint does, one file call after the other.

namespace headrace {
namespace {

// Counts file calls and interferes with one of them.
class CallCounter {
 public:
  enum class Mode : uint8_t { kCount, kDieAt, kFailAt };

  // kDieAt: call k and all later ones fail, nothing has an effect any more.
  CallCounter(Mode mode, uint64_t k, std::function<Status()> on_fail = nullptr)
      : mode_(mode), k_(k), on_fail_(std::move(on_fail)) {
    SetFailpointAction([this](std::string_view name, std::string_view) { return Hit(name); });
  }
  ~CallCounter() { SetFailpointAction(nullptr); }
  CallCounter(const CallCounter&) = delete;
  CallCounter& operator=(const CallCounter&) = delete;

  bool reached() const { return k_ > 0 && hits_ >= k_; }
  uint64_t hits() const { return hits_; }

 private:
  Status Hit(std::string_view name) {
    if (name.substr(0, 3) != "fs.") return Status::Ok();
    ++hits_;
    if (mode_ == Mode::kDieAt && hits_ >= k_) return Status::IoError("the process is dead");
    if (mode_ == Mode::kFailAt && (hits_ == k_ || hits_ == k_ + 1)) return on_fail_();
    return Status::Ok();
  }

  const Mode mode_;
  const uint64_t k_;
  const std::function<Status()> on_fail_;
  uint64_t hits_ = 0;
};

// What is done before, and what is interfered with.
struct Scenario {
  const char* name;
  std::function<void(ModelJob*)> prepare;
  std::function<Status(ModelJob*)> act;
};

void MustCheckpoint(ModelJob* job, int changes) {
  job->Work(changes);
  const Status status = job->Checkpoint();
  ASSERT_TRUE(status.ok()) << status.ToString();
}

Status WorkAndCheckpoint(ModelJob* job, int changes) {
  job->Work(changes);
  return job->Checkpoint();
}

void MustStart(ModelJob* job) {
  const Status status = job->StartProcess();
  ASSERT_TRUE(status.ok()) << status.ToString();
}

// A checkpoint is decided, its output not yet published: the process died after the decision.
void DieBeforePublication(ModelJob* job) {
  job->Work(9);
  {
    uint64_t renames = 0;
    SetFailpointAction([&renames](std::string_view name, std::string_view) {
      if (name == "fs.rename") ++renames;
      return renames >= 2 ? Status::IoError("the process is dead") : Status::Ok();
    });
    EXPECT_FALSE(job->Checkpoint().ok());
    EXPECT_TRUE(job->failed_job);
    SetFailpointAction(nullptr);
  }
  job->Crash(CrashKind::kProcessKill);
}

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> scenarios = {
      {"FirstStart", [](ModelJob*) {}, [](ModelJob* job) { return job->StartProcess(); }},
      {"FullCheckpoint", [](ModelJob* job) { MustStart(job); },
       [](ModelJob* job) { return WorkAndCheckpoint(job, 30); }},
      {"IncrementalCheckpoint",
       [](ModelJob* job) {
         MustStart(job);
         MustCheckpoint(job, 30);
       },
       [](ModelJob* job) { return WorkAndCheckpoint(job, 3); }},
      {"CheckpointWithCleanUp",
       [](ModelJob* job) {
         MustStart(job);
         for (int i = 0; i < 3; ++i) MustCheckpoint(job, 200);
       },
       [](ModelJob* job) { return WorkAndCheckpoint(job, 200); }},
      {"RestoreWithPublication",
       [](ModelJob* job) {
         MustStart(job);
         MustCheckpoint(job, 30);
         DieBeforePublication(job);
       },
       [](ModelJob* job) { return job->StartProcess(); }},
      {"RestoreAndCheckpoint",
       [](ModelJob* job) {
         MustStart(job);
         MustCheckpoint(job, 30);
         MustCheckpoint(job, 3);
       },
       [](ModelJob* job) {
         HR_RETURN_IF_ERROR(job->StartProcess());
         return WorkAndCheckpoint(job, 3);
       }},
  };
  return scenarios;
}

CheckpointId NewestCompleted(ModelJob* job) {
  return job->restored == 0 && job->expected.empty() ? 0 : job->expected.rbegin()->first;
}

// Recovers and holds everything against the model; then goes on, so that nothing half done is left.
void ExpectRecovers(ModelJob* job, CheckpointId at_least, CheckpointId at_most) {
  ASSERT_NO_FATAL_FAILURE(MustStart(job));
  ASSERT_GE(job->restored, at_least);
  ASSERT_LE(job->restored, at_most);
  if (job->restored == 0) {
    ASSERT_TRUE(job->Output().empty());
  } else {
    const ModelJob::Expected& expected = job->expected.at(job->restored);
    ASSERT_EQ(job->Rows(), expected.rows);
    ASSERT_EQ(job->offset, expected.offset);
    ASSERT_EQ(job->Output(), expected.published);
  }
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(MustCheckpoint(job, 5));
  const ModelJob::Expected expected = job->expected.at(job->last_id);
  job->Crash(CrashKind::kPowerLoss);
  ASSERT_NO_FATAL_FAILURE(MustStart(job));
  ASSERT_EQ(job->restored, job->last_id);
  ASSERT_EQ(job->Rows(), expected.rows);
  ASSERT_EQ(job->Output(), expected.published);
  // Three complete checkpoints later nothing of the accident is left.
  const auto names = job->env.files().List(job->JobDirectory());
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    ASSERT_EQ(name.find(".tmp"), std::string::npos) << name;
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kManifest) {
      ASSERT_GE(stored.checkpoint + 1, job->last_id);
    }
  }
}

class AtEveryCall : public testing::TestWithParam<size_t> {
 protected:
  const Scenario& scenario() const { return Scenarios()[GetParam()]; }
};

TEST_P(AtEveryCall, ACrashRecoversToTheNewestCheckpointOrTheOneBefore) {
  uint64_t crashes = 0;
  for (uint64_t k = 1;; ++k) {
    bool reached = true;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const CrashKind kind = seed == 0 ? CrashKind::kProcessKill : CrashKind::kPowerLoss;
      ModelJob job(k * 1000 + seed);
      ASSERT_NO_FATAL_FAILURE(scenario().prepare(&job));
      const CheckpointId before = NewestCompleted(&job);
      {
        CallCounter counter(CallCounter::Mode::kDieAt, k);
        const Status status = scenario().act(&job);
        reached = counter.reached();
        if (!reached) {
          ASSERT_TRUE(status.ok()) << status.ToString();
        }
      }
      if (!reached) break;
      ++crashes;
      job.Crash(kind);
      ASSERT_NO_FATAL_FAILURE(ExpectRecovers(&job, before, NewestCompleted(&job)))
          << scenario().name << " killed at call " << k << ", seed " << seed;
    }
    if (!reached) break;
  }
  RecordProperty("crashes", static_cast<int>(crashes));
  EXPECT_GT(crashes, 40u);
}

struct Fault {
  const char* name;
  FaultOdds odds;
};

// An error at call k, and with it the one that follows from it, if the code were to try again.
TEST_P(AtEveryCall, AnErrorLeavesTheOldCheckpointUsableAndALaterOneSucceeds) {
  const std::vector<Fault> faults = {
      {"EIO", {.io_error = 1}}, {"ENOSPC", {.no_space = 1}}, {"short", {.short_write = 1}}};
  uint64_t injected = 0;
  for (const Fault& fault : faults) {
    for (uint64_t k = 1;; ++k) {
      bool reached = true;
      for (uint64_t seed = 0; seed < 3; ++seed) {
        SCOPED_TRACE(std::string(scenario().name) + ", " + fault.name + " at call " +
                     std::to_string(k) + ", seed " + std::to_string(seed));
        ModelJob job(k * 1000 + seed);
        ASSERT_NO_FATAL_FAILURE(scenario().prepare(&job));
        const CheckpointId before = NewestCompleted(&job);
        Status status;
        {
          FaultPlan plan;
          plan.odds.fill(fault.odds);
          bool on = false;
          CallCounter counter(CallCounter::Mode::kFailAt, k, [&] {
            on = !on;
            job.env.sim_files().set_faults(on ? plan : FaultPlan());
            return Status::Ok();
          });
          status = scenario().act(&job);
          reached = counter.reached();
          job.env.sim_files().set_faults(FaultPlan());
        }
        if (!reached) {
          ASSERT_TRUE(status.ok()) << status.ToString();
          break;
        }
        ++injected;
        if (status.ok()) {
          ASSERT_FALSE(job.failed_job);
        }
        // The job goes on where it may, starts an attempt where it must.
        if (job.coordinator == nullptr) {
          ASSERT_NO_FATAL_FAILURE(MustStart(&job));
        } else if (job.failed_job) {
          const Status restarted = job.StartAttempt();
          ASSERT_TRUE(restarted.ok()) << restarted.ToString();
          ASSERT_EQ(job.restored, NewestCompleted(&job)) << "a decided checkpoint was lost";
          ASSERT_EQ(job.Output(), job.expected.at(job.restored).published);
        }
        // Until the next checkpoint is decided, a crash finds this one or the one before.
        if (seed > 0) {
          job.Crash(seed == 1 ? CrashKind::kProcessKill : CrashKind::kPowerLoss);
        } else {
          ASSERT_NO_FATAL_FAILURE(MustCheckpoint(&job, 4));
          job.Crash(CrashKind::kPowerLoss);
        }
        const CheckpointId newest = NewestCompleted(&job);
        const CheckpointId at_least = status.ok() || seed == 0 ? newest : before;
        ASSERT_NO_FATAL_FAILURE(ExpectRecovers(&job, at_least, newest));
      }
      if (!reached) break;
    }
  }
  EXPECT_GT(injected, 60u);
}

INSTANTIATE_TEST_SUITE_P(Scenarios, AtEveryCall, testing::Range<size_t>(0, 6),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return Scenarios()[info.param].name;
                         });

// Everything at random for a while: work, checkpoints, faults, crashes, restarts.
TEST(CheckpointStorm, NeverLosesOrMixesCheckpoints) {
  uint64_t crashes = 0;
  uint64_t faults = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ModelJob job(seed);
    job.options.retained = static_cast<int>(1 + seed % 3);
    SimRandom random(seed);
    CheckpointId completed = 0;
    for (int step = 0; step < 40; ++step) {
      const double odds = random.Below(3) == 0 ? 0.02 : 0;
      job.env.sim_files().set_faults(FaultPlan::Uniform(odds));
      if (job.coordinator == nullptr || job.failed_job) {
        const Status started =
            job.store != nullptr && job.failed_job ? job.StartAttempt() : job.StartProcess();
        if (!started.ok()) {
          ASSERT_NE(started.code(), StatusCode::kCorruption) << started.ToString();
          job.env.sim_files().set_faults(FaultPlan());
          ASSERT_NO_FATAL_FAILURE(MustStart(&job));
        }
        ASSERT_GE(job.restored, completed);
        if (job.restored > 0) {
          completed = job.restored;
          const ModelJob::Expected& expected = job.expected.at(job.restored);
          ASSERT_EQ(job.Rows(), expected.rows);
          ASSERT_EQ(job.Output(), expected.published);
        }
      }
      const Status status = WorkAndCheckpoint(&job, static_cast<int>(random.Below(20)));
      if (status.ok()) completed = job.last_id;
      if (random.Below(6) == 0) {
        ++crashes;
        job.Crash(random.Below(2) == 0 ? CrashKind::kProcessKill : CrashKind::kPowerLoss);
      }
    }
    faults += job.env.sim_files().fault_counts().total();
  }
  EXPECT_GT(crashes, 200u);
  EXPECT_GT(faults, 200u);
}

}  // namespace
}  // namespace headrace
