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

// HEADRACE_SIM_SEEDS says how many seeds, HEADRACE_SIM_START the first one.
TEST(SimulationTest, CommittedOutputEqualsTheOracleForEverySeed) {
  const uint64_t seeds = NumberFromEnvironment("HEADRACE_SIM_SEEDS", 500);
  const uint64_t start = NumberFromEnvironment("HEADRACE_SIM_START", 1);
  int64_t processes = 0;
  int64_t restarts = 0;
  int64_t resumed = 0;
  int64_t checkpoints = 0;
  for (uint64_t seed = start; seed < start + seeds; ++seed) {
    const SimulationOutcome outcome = RunSimulation(seed);
    ASSERT_EQ(outcome.failure, "")
        << "seed " << seed << "; replay: " << SimulationReplayCommand(seed);
    processes += outcome.processes;
    restarts += outcome.restarts;
    resumed += outcome.resumed;
    checkpoints += outcome.checkpoints;
  }
  std::cout << seeds << " seeds: " << processes << " processes, " << resumed
            << " ended after a resume, " << restarts << " restarts inside a process, "
            << checkpoints << " checkpoints\n";
  // A simulation in which nothing happens proves nothing.
  if (seeds >= 100) {
    EXPECT_GT(processes, static_cast<int64_t>(seeds * 2));
    EXPECT_GT(resumed, static_cast<int64_t>(seeds / 4));
    EXPECT_GT(restarts, 0);
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
