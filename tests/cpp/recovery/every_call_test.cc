#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "headrace/checkpoint/protocol.h"
#include "number_from_environment.h"
#include "recovery/small_job.h"

// One process of a real job from start to end, and one that resumes: each of their file calls
// crashes, fails or takes long. Whatever happened, the job ends, and its output is that of one run.
// HEADRACE_EVERY_NTH_CALL=3 takes each third call only, for sanitizers, which take long.

namespace headrace {
namespace {

uint64_t Stride() {
  return std::max<uint64_t>(1, NumberFromEnvironment("HEADRACE_EVERY_NTH_CALL", 1));
}

// Which part of a process's life a call belongs to.
class Phases {
 public:
  explicit Phases(bool resumes) : starting_(resumes ? "restore" : "first start"), full_(!resumes) {}

  std::string Of(std::string_view call, std::string_view path) {
    const StoredName stored = ParseStoredName(std::string(path.substr(path.rfind('/') + 1)));
    const bool in_output = path.starts_with(SmallJob::kOutput);
    if (call == "fs.create" && stored.kind == StoredName::Kind::kData) {
      starting_.clear();
      if (checkpoint_ != 0 && stored.checkpoint != checkpoint_) full_ = false;
      checkpoint_ = stored.checkpoint;
    }
    if (!starting_.empty() && !(in_output && call == "fs.append")) return starting_;
    if (call == "fs.remove" && !in_output) return "clean-up";
    if (in_output) {
      const bool rename = call == "fs.stat" || call == "fs.rename";
      const bool in_commit = rename || (committing_ && call == "fs.sync_directory");
      committing_ = rename;
      return in_commit ? "sink commit" : "sink write";
    }
    return full_ ? "full checkpoint" : "incremental checkpoint";
  }

 private:
  std::string starting_;  // empty once the first checkpoint has begun
  CheckpointId checkpoint_ = 0;
  bool full_;
  bool committing_ = false;
};

struct Fault {
  const char* name;
  FaultOdds odds;
  int64_t slow_ns = 0;
};

const Fault kFaults[] = {
    {"Eio", {.io_error = 1}},
    {"Enospc", {.no_space = 1}},
    {"ShortWrite", {.short_write = 1}},
    {"Delay", {.slow = 1}, 2'000'000'000},
    {"DelayOverTheTimeout", {.slow = 1}, 40'000'000'000},
};

// A fresh start, or a process that resumes from a checkpoint whose output is not yet published.
void Prepare(SmallJob* job, bool resumes) {
  if (!resumes) return;
  auto started = job->Start();
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  ASSERT_FALSE(job->Run(started->get(), [&] { return job->ProgressOf(**started).completed >= 2; }));
  bool dead = false;
  {
    const FileCallWatch watch([&](uint64_t, std::string_view call, std::string_view path) {
      dead |= call == "fs.rename" && path.starts_with(SmallJob::kOutput);
      return dead ? Status::IoError("the process is dead") : Status::Ok();
    });
    ASSERT_FALSE(job->Run(started->get(), [&] { return dead; }));
  }
  job->env.Crash(CrashKind::kProcessKill);
}

void ExpectEndsRight(SmallJob* job) {
  auto started = job->Start();
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  const Status ended = job->Finish(started->get());
  ASSERT_TRUE(ended.ok()) << ended.ToString();
  ASSERT_EQ(job->OutputLines(), job->ExpectedLines());
}

void Print(const std::string& what, const std::map<std::string, int>& hits) {
  std::cout << what << ":";
  for (const auto& [phase, count] : hits) std::cout << " " << count << " in " << phase << ";";
  std::cout << "\n";
}

class EveryCall : public testing::TestWithParam<std::tuple<bool, int>> {
 protected:
  bool resumes() const { return std::get<0>(GetParam()); }

  // `reads` and `changes_names`: whether calls that read, and those that change names, were hit.
  void ExpectEveryPhaseHit(const std::map<std::string, int>& hits, bool reads, bool changes_names) {
    Print(resumes() ? "resumed process" : "first process", hits);
    std::vector<std::string> phases = {"incremental checkpoint", "sink write"};
    if (!resumes()) phases.emplace_back("full checkpoint");
    if (reads) phases.emplace_back("clean-up");
    if (changes_names) {
      phases.emplace_back(resumes() ? "restore" : "first start");
      phases.emplace_back("sink commit");
    }
    for (const std::string& phase : phases) EXPECT_GT(hits.count(phase), 0u) << phase;
  }
};

class CrashAtEveryCall : public EveryCall {};

TEST_P(CrashAtEveryCall, ResumesAndEndsRight) {
  const auto kind = static_cast<CrashKind>(std::get<1>(GetParam()));
  std::map<std::string, int> hits;
  for (uint64_t k = 1;; k += Stride()) {
    SCOPED_TRACE("crash at call " + std::to_string(k));
    SmallJob job(1);
    ASSERT_NO_FATAL_FAILURE(Prepare(&job, resumes()));
    Phases phases(resumes());
    bool dead = false;
    {
      const FileCallWatch watch([&](uint64_t number, std::string_view call, std::string_view path) {
        const std::string phase = phases.Of(call, path);
        if (number == k) {
          dead = true;
          ++hits[phase];
        }
        return dead ? Status::IoError("the process is dead") : Status::Ok();
      });
      auto started = job.Start();
      if (started.ok()) job.Run(started->get(), [&] { return dead; });
      if (dead) job.env.Crash(kind);
    }
    if (!dead) break;
    ASSERT_NO_FATAL_FAILURE(ExpectEndsRight(&job));
  }
  ExpectEveryPhaseHit(hits, true, true);
}

INSTANTIATE_TEST_SUITE_P(Processes, CrashAtEveryCall,
                         testing::Combine(testing::Bool(),
                                          testing::Values(static_cast<int>(CrashKind::kProcessKill),
                                                          static_cast<int>(CrashKind::kPowerLoss))),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) ? "Resumed" : "First") +
                                  (std::get<1>(info.param) == 0 ? "Kill" : "PowerLoss");
                         });

class FaultAtEveryCall : public EveryCall {};

TEST_P(FaultAtEveryCall, TheJobGoesOnOrStartsAgainAndEndsRight) {
  const Fault& fault = kFaults[std::get<1>(GetParam())];
  std::map<std::string, int> hits;
  for (uint64_t k = 1;; k += Stride()) {
    SCOPED_TRACE(std::string(fault.name) + " at call " + std::to_string(k));
    SmallJob job(1);
    job.restart_attempts = 3;
    job.tolerable_failures = static_cast<int>(k % 2);
    ASSERT_NO_FATAL_FAILURE(Prepare(&job, resumes()));
    Phases phases(resumes());
    FaultPlan plan;
    plan.odds.fill(fault.odds);
    plan.slow_ns = fault.slow_ns;
    std::string phase;
    Status status;
    uint64_t calls = 0;
    {
      SimFileSystem& files = job.env.sim_files();
      const FileCallWatch watch([&](uint64_t number, std::string_view call, std::string_view path) {
        const std::string now = phases.Of(call, path);
        if (number == k) phase = now;
        files.set_faults(number == k ? plan : FaultPlan());
        return Status::Ok();
      });
      auto started = job.Start();
      status = started.ok() ? job.Finish(started->get()) : started.status();
      calls = watch.calls();
      files.set_faults(FaultPlan());
    }
    if (calls < k) break;
    // Not every call can fail in every way: only appends are short.
    if (job.env.sim_files().fault_counts().total() > 0) ++hits[phase];
    if (!status.ok()) {
      // Only what comes before the first record ends a job that may restart.
      ASSERT_NE(status.message().find("injected"), std::string::npos) << status.ToString();
      ASSERT_TRUE(phase == "first start" || phase == "restore") << phase;
      ASSERT_NO_FATAL_FAILURE(ExpectEndsRight(&job));
    }
    ASSERT_EQ(job.OutputLines(), job.ExpectedLines());
  }
  ExpectEveryPhaseHit(hits, fault.odds.io_error > 0 || fault.odds.slow > 0,
                      fault.odds.short_write == 0);
}

INSTANTIATE_TEST_SUITE_P(Processes, FaultAtEveryCall,
                         testing::Combine(testing::Bool(), testing::Range(0, 5)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) ? "Resumed" : "First") +
                                  kFaults[std::get<1>(info.param)].name;
                         });

}  // namespace
}  // namespace headrace
