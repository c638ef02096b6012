#include "testing/simulation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "number_from_environment.h"

namespace headrace {
namespace {

uint64_t SeedsAsked() { return NumberFromEnvironment("HEADRACE_SIM_SEEDS", 2000); }

// Figures of many seeds.
struct Totals {
  SimulationOutcome sum;
  int64_t seeds = 0;
  int64_t seeds_checkpointed_and_restored = 0;
  int64_t seeds_rescaled = 0;
  std::vector<int64_t> rows_after_restore;  // of seeds that restored

  void Add(const SimulationOutcome& outcome) {
    ++seeds;
    seeds_checkpointed_and_restored += outcome.checkpoints > 0 && outcome.restores > 0;
    seeds_rescaled += outcome.rescales > 0;
    if (outcome.restores > 0) rows_after_restore.push_back(outcome.rows_after_restore);
    for (const auto member : {&FaultCounts::slow, &FaultCounts::io_errors, &FaultCounts::no_space,
                              &FaultCounts::short_writes, &FaultCounts::bit_flips}) {
      sum.disk.*member += outcome.disk.*member;
    }
    for (size_t i = 0; i < kFsCalls; ++i) sum.disk.by_call[i] += outcome.disk.by_call[i];
    for (const auto member :
         {&SimulationOutcome::processes, &SimulationOutcome::kills,
          &SimulationOutcome::power_losses, &SimulationOutcome::cancels, &SimulationOutcome::stops,
          &SimulationOutcome::suspends, &SimulationOutcome::savepoints,
          &SimulationOutcome::failed_jobs, &SimulationOutcome::restarts,
          &SimulationOutcome::restores, &SimulationOutcome::rescales,
          &SimulationOutcome::clock_jumps, &SimulationOutcome::cold_processes}) {
      sum.*member += outcome.*member;
    }
    for (const auto member : {&SimulationOutcome::steps, &SimulationOutcome::checkpoints,
                              &SimulationOutcome::torn_writes, &SimulationOutcome::lost_names,
                              &SimulationOutcome::rows_out, &SimulationOutcome::late_rows,
                              &SimulationOutcome::remote_faults}) {
      sum.*member += outcome.*member;
    }
  }

  int64_t MedianRowsAfterRestore() {
    if (rows_after_restore.empty()) return 0;
    const auto middle =
        rows_after_restore.begin() + static_cast<int64_t>(rows_after_restore.size() / 2);
    std::nth_element(rows_after_restore.begin(), middle, rows_after_restore.end());
    return *middle;
  }

  std::string Report() {
    std::ostringstream out;
    out << sum.faults() << " faults: " << sum.kills << " kills, " << sum.power_losses
        << " power losses, " << sum.torn_writes << " torn writes, " << sum.lost_names
        << " lost names, " << sum.disk.io_errors << " EIO, " << sum.disk.no_space << " ENOSPC, "
        << sum.disk.short_writes << " short writes, " << sum.disk.slow << " slow calls, "
        << sum.disk.bit_flips << " flipped bits, " << sum.restarts
        << " attempts failed\nfaults at each failpoint:";
    for (size_t i = 0; i < kFsCalls; ++i) {
      out << " " << FsCallName(static_cast<FsCall>(i)) << " " << sum.disk.by_call[i];
    }
    out << "\nprocesses: " << sum.processes << ", " << sum.cancels << " cancelled, " << sum.stops
        << " stopped, " << sum.suspends << " stopped with a savepoint, " << sum.failed_jobs
        << " failed, " << sum.restores << " restored, " << sum.rescales
        << " of them rescaled\nseeds with a checkpoint and a restore: "
        << seeds_checkpointed_and_restored << " of " << seeds
        << "; restored at another parallelism: " << seeds_rescaled
        << "; median rows read after restores: " << MedianRowsAfterRestore()
        << "\ncheckpoints: " << sum.checkpoints << ", savepoints: " << sum.savepoints
        << ", rows committed: " << sum.rows_out << ", late rows: " << sum.late_rows
        << ", clock jumps: " << sum.clock_jumps << ", steps: " << sum.steps << "\n";
    return out.str();
  }
};

std::string Failure(uint64_t seed, const SimulationOutcome& outcome, bool remote = false) {
  return "seed " + std::to_string(seed) + ": " + outcome.failure +
         "\nreplay: " + SimulationReplayCommand(seed, remote);
}

thread_local std::string words_if_it_ends;

void TellSeed(int signal) {
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, words_if_it_ends.data(), words_if_it_ends.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// RunSimulation() whose seed is told also when the process ends in it, as by a failed HR_CHECK.
SimulationOutcome Simulate(uint64_t seed, bool lying_disk = false, bool remote = false) {
  SimulationOutcome ended;
  ended.failure = "the process ended";
  words_if_it_ends = Failure(seed, ended, remote) + "\n";
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, TellSeed);
  return RunSimulation(seed, lying_disk, remote);
}

// Runs seeds one after the other, each wholly on one thread, with as many threads as there are
// cores. Begins no new one when one has failed; every seed below the first that failed has been
// run.
class SeedRunner {
 public:
  SeedRunner(uint64_t start, uint64_t seeds, bool lying_disk, bool remote = false)
      : end_(start + seeds), lying_disk_(lying_disk), remote_(remote), next_(start) {}

  void Run() {
    // This thread is one of them: it is the one that gets signals from outside.
    std::vector<std::thread> others;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) {
      others.emplace_back([this] { RunSeeds(); });
    }
    RunSeeds();
    for (std::thread& other : others) other.join();
  }

  Totals& totals() { return totals_; }
  /// By seed.
  const std::map<uint64_t, SimulationOutcome>& failed() const { return failed_; }

 private:
  void RunSeeds() {
    for (uint64_t seed = next_++; seed < end_; seed = next_++) {
      const SimulationOutcome outcome = Simulate(seed, lying_disk_, remote_);
      const std::lock_guard lock(mutex_);
      totals_.Add(outcome);
      if (outcome.failure.empty()) continue;
      failed_.emplace(seed, outcome);
      next_ = end_;
    }
  }

  const uint64_t end_;
  const bool lying_disk_;
  const bool remote_;
  std::atomic<uint64_t> next_;
  std::mutex mutex_;
  Totals totals_;
  std::map<uint64_t, SimulationOutcome> failed_;
};

// The first number of each line; '#' begins a comment.
std::vector<uint64_t> SeedsThatFailedBefore() {
  std::vector<uint64_t> seeds;
  std::ifstream file(HEADRACE_SOURCE_DIR "/tests/cpp/simulation/failed_seeds.txt");
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') seeds.push_back(std::stoull(line));
  }
  return seeds;
}

// HEADRACE_SIM_SEEDS says how many seeds, HEADRACE_SIM_START the first one, HEADRACE_SIM_REPORT a
// file for the figures. HEADRACE_SIM_LYING_DISK=1 makes a disk that does not keep what it has
// synced, for the test of the replay command. HEADRACE_SIM_REMOTE=1 puts checkpoints into a remote
// storage.
TEST(SimulationTest, EverySeedKeepsTheInvariants) {
  const uint64_t seeds = SeedsAsked();
  const uint64_t start = NumberFromEnvironment("HEADRACE_SIM_START", 1);
  const bool lying_disk = NumberFromEnvironment("HEADRACE_SIM_LYING_DISK", 0) != 0;
  std::cout << seeds << " seeds from " << start << std::endl;
  const bool remote = NumberFromEnvironment("HEADRACE_SIM_REMOTE", 0) != 0;
  SeedRunner runner(start, seeds, lying_disk, remote);
  runner.Run();
  if (!runner.failed().empty()) {
    const auto& [seed, outcome] = *runner.failed().begin();
    ASSERT_EQ(outcome.failure, "") << Failure(seed, outcome, remote);
  }
  Totals& totals = runner.totals();
  const std::string report =
      std::to_string(seeds) + " seeds from " + std::to_string(start) + "\n" + totals.Report();
  std::cout << report;
  if (const char* path = std::getenv("HEADRACE_SIM_REPORT")) std::ofstream(path) << report;

  // A simulation in which nothing happens proves nothing. Few seeds say little about shares.
  if (seeds < 500) return;
  const auto each = static_cast<int64_t>(seeds);
  EXPECT_GE(totals.sum.faults(), each * 10);
  EXPECT_GE(totals.seeds_checkpointed_and_restored * 10, each * 9);
  EXPECT_GE(totals.seeds_rescaled * 10, each * 3);
  EXPECT_GE(totals.MedianRowsAfterRestore(), 200);
  EXPECT_GT(totals.sum.late_rows, each);
  EXPECT_GT(totals.sum.processes, each * 2);
  EXPECT_GT(totals.sum.kills, each / 2);
  EXPECT_GT(totals.sum.power_losses, each / 2);
  EXPECT_GT(totals.sum.torn_writes, each / 2);
  EXPECT_GT(totals.sum.rescales, each / 4);
  EXPECT_GT(totals.sum.restores, each / 4);
  EXPECT_GT(totals.sum.cold_processes, each);
  EXPECT_GT(totals.sum.restarts, 0);
  EXPECT_GE(totals.sum.cancels, each / 20);
  EXPECT_GE(totals.sum.stops, each / 20);
  EXPECT_GE(totals.sum.suspends, each / 20);
  EXPECT_GE(totals.sum.savepoints, each / 4);
  for (size_t i = 0; i < kFsCalls; ++i) {
    EXPECT_GE(totals.sum.disk.by_call[i], seeds / 100) << FsCallName(static_cast<FsCall>(i));
  }
}

TEST(SimulationTest, SeedsWithARemoteStorageKeepTheInvariants) {
  const uint64_t seeds = std::max<uint64_t>(20, SeedsAsked() * 3 / 40);
  const uint64_t start = NumberFromEnvironment("HEADRACE_SIM_START", 1);
  SeedRunner runner(start, seeds, /*lying_disk=*/false, /*remote=*/true);
  runner.Run();
  if (!runner.failed().empty()) {
    const auto& [seed, outcome] = *runner.failed().begin();
    ASSERT_EQ(outcome.failure, "") << Failure(seed, outcome, /*remote=*/true);
  }
  const SimulationOutcome& sum = runner.totals().sum;
  const auto each = static_cast<int64_t>(seeds);
  EXPECT_GT(sum.remote_faults, each);
  EXPECT_GT(sum.restores, each / 2);
  EXPECT_GT(sum.power_losses, each / 2);
}

TEST(SimulationTest, SeedsThatFailedBeforeKeepTheInvariants) {
  for (const uint64_t seed : SeedsThatFailedBefore()) {
    const SimulationOutcome outcome = Simulate(seed);
    EXPECT_EQ(outcome.failure, "") << Failure(seed, outcome);
  }
}

TEST(SimulationTest, SameSeedGivesTheSameTrace) {
  const uint64_t seeds = std::clamp<uint64_t>(SeedsAsked() / 100, 3, 20);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    // Both at once: what one does must not reach the other either.
    auto beside = std::async(std::launch::async, [&] { return Simulate(seed).trace_hash; });
    EXPECT_EQ(Simulate(seed).trace_hash, beside.get()) << "seed " << seed;
  }
  EXPECT_NE(Simulate(1).trace_hash, Simulate(2).trace_hash);
}

}  // namespace
}  // namespace headrace
