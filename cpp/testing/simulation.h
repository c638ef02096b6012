#pragma once

#include <cstdint>
#include <string>

namespace headrace {

/// What one seed gave.
struct SimulationOutcome {
  std::string failure;      ///< empty = the committed output is right
  uint64_t trace_hash = 0;  ///< of every step: equal for equal seeds
  int processes = 0;        ///< lives of the process, the last included
  int kills = 0;            ///< ends of a process that left the page cache
  int power_losses = 0;     ///< and those that did not
  int rescales = 0;         ///< resumes of a checkpoint at another parallelism of a keyed step
  int restarts = 0;         ///< attempts after failures inside a process
  int resumed = 0;          ///< processes that started from a checkpoint
  int64_t steps = 0;
  int64_t checkpoints = 0;  ///< completed
  int64_t torn_writes = 0;  ///< appends of which only a part came to the disk
  int64_t rows_out = 0;     ///< committed
  int64_t late_rows = 0;    ///< of these: rows that came after their window
};

/// Runs one random job from `seed` through kills, power losses, injected disk and operator failures
/// and rescaled restarts, all on the calling thread over simulated files and time; then faults stop
/// and the job must finish. Its committed output must equal what a plain loop computes.
///
/// The job: one or two sources of random splits, union, filter with a side output, one or two keyed
/// steps behind hash exchanges, file sinks; parallelism 1 to 4 of each operator is drawn anew for
/// every process. Every third job has late rows.
///
/// `unsynced_sink` plants a bug, for the test that failing seeds are found and replay: the sink
/// publishes files that it has not synced.
SimulationOutcome RunSimulation(uint64_t seed, bool unsynced_sink = false);

/// The shell line that runs this seed alone.
std::string SimulationReplayCommand(uint64_t seed);

}  // namespace headrace
