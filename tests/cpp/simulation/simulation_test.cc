#include "testing/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

namespace headrace {
namespace {

uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// HEADRACE_SIM_SEEDS says how many seeds, HEADRACE_SIM_START the first one. HEADRACE_SIM_BUG=1
// plants the bug of RunSimulation(), for the test of the replay command.
TEST(SimulationTest, CommittedOutputEqualsTheOracleForEverySeed) {
  const uint64_t seeds = NumberFromEnvironment("HEADRACE_SIM_SEEDS", 500);
  const uint64_t start = NumberFromEnvironment("HEADRACE_SIM_START", 1);
  const bool planted = NumberFromEnvironment("HEADRACE_SIM_BUG", 0) != 0;
  SimulationOutcome sum;
  for (uint64_t seed = start; seed < start + seeds; ++seed) {
    const SimulationOutcome outcome = RunSimulation(seed, planted);
    ASSERT_EQ(outcome.failure, "")
        << "seed " << seed << "; replay: " << SimulationReplayCommand(seed);
    sum.processes += outcome.processes;
    sum.kills += outcome.kills;
    sum.power_losses += outcome.power_losses;
    sum.torn_writes += outcome.torn_writes;
    sum.rescales += outcome.rescales;
    sum.restarts += outcome.restarts;
    sum.resumed += outcome.resumed;
    sum.checkpoints += outcome.checkpoints;
    sum.late_rows += outcome.late_rows;
  }
  std::cout << seeds << " seeds: " << sum.processes << " processes, " << sum.kills << " kills, "
            << sum.power_losses << " power losses, " << sum.torn_writes << " torn writes, "
            << sum.rescales << " rescaled resumes, " << sum.resumed << " ended after a resume, "
            << sum.restarts << " restarts inside a process, " << sum.checkpoints << " checkpoints, "
            << sum.late_rows << " late rows\n";
  // A simulation in which nothing happens proves nothing.
  if (seeds >= 100) {
    const auto each = static_cast<int>(seeds);
    EXPECT_GT(sum.processes, each * 2);
    EXPECT_GT(sum.kills, each / 2);
    EXPECT_GT(sum.power_losses, each / 2);
    EXPECT_GT(sum.torn_writes, each);
    EXPECT_GT(sum.rescales, each / 4);
    EXPECT_GT(sum.resumed, each / 4);
    EXPECT_GT(sum.restarts, 0);
    EXPECT_GT(sum.late_rows, each);
  }
}

TEST(SimulationTest, SameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(RunSimulation(seed).trace_hash, RunSimulation(seed).trace_hash) << "seed " << seed;
  }
  EXPECT_NE(RunSimulation(1).trace_hash, RunSimulation(2).trace_hash);
}

}  // namespace
}  // namespace headrace
