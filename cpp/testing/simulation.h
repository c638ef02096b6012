#pragma once

#include <cstdint>
#include <string>

#include "testing/fault_plan.h"

namespace headrace {

/// What one seed gave.
struct SimulationOutcome {
  std::string failure;      ///< "invariant: what is wrong"; empty = everything held
  uint64_t trace_hash = 0;  ///< of every step: equal for equal seeds
  FaultCounts disk;         ///< injected by the file system
  int processes = 0;        ///< lives of the process, the last included
  int kills = 0;            ///< ends of a process that left the page cache
  int power_losses = 0;     ///< and those that did not
  int cancels = 0;          ///< ends by Job::Cancel
  int stops = 0;            ///< ends by dropping the running job, as a program that exits does
  int suspends = 0;         ///< ends by a stop with a savepoint; the next process resumes from that
  int savepoints = 0;       ///< complete ones, these and those of jobs that went on
  int failed_jobs = 0;      ///< ends by an injected fault that the job did not survive
  int restarts = 0;         ///< attempts after failures inside a process
  int restores = 0;         ///< processes that went on from a checkpoint
  int rescales = 0;         ///< of these: at another parallelism of a keyed step
  int clock_jumps = 0;
  int cold_processes = 0;  ///< processes that kept state in a ColdStore
  int64_t steps = 0;
  int64_t checkpoints = 0;         ///< completed
  int64_t torn_writes = 0;         ///< appends of which a power loss left a part
  int64_t lost_names = 0;          ///< creations, renames and removals that a power loss took back
  int64_t rows_after_restore = 0;  ///< read by sources of processes that restored
  int64_t rows_out = 0;            ///< committed
  int64_t late_rows = 0;           ///< of these: rows that came after their window
  int64_t remote_faults = 0;       ///< calls of the remote storage that failed

  /// Everything that went wrong on purpose; a jump of the clock is none.
  int64_t faults() const;
};

/// Runs one random job (SimGraph) from `seed` through kills, power losses, cancels, stops, jumps of
/// the clock, stops with savepoints, injected disk and operator failures and rescaled restarts, all
/// on the calling thread over simulated files and time; then faults stop and the job must finish.
/// What must hold:
///
/// - output: the committed rows of every sink equal what a plain loop computes, each once;
/// - order: rows of a key are in the order of its step;
/// - job: it fails by injected faults only; operators fail it when a watermark goes back or a timer
///   fires that has fired before;
/// - snapshot: whenever the process is gone, CompareSnapshot(), of its savepoints too;
/// - savepoint: a job whose stop with a savepoint succeeded ends, and one that failed goes on;
/// - files: then FindMissingFiles(), and in the end no file is left over;
/// - end: the job finishes within ten virtual minutes once faults have stopped;
/// - objects: no host object is alive in the end.
///
/// `remote`: checkpoints go to a SimRemoteStorage that fails and lags; each process has a staging
/// directory of its own. The rest of the run does not depend on it.
///
/// `lying_disk`: the disk says it has synced files, and has not. For the test that failing seeds
/// are found and replay.
SimulationOutcome RunSimulation(uint64_t seed, bool lying_disk = false, bool remote = false);

/// The shell line that runs this seed alone.
std::string SimulationReplayCommand(uint64_t seed, bool remote = false);

}  // namespace headrace
