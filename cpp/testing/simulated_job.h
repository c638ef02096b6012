#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/graph/job_graph.h"
#include "testing/sim_random.h"
#include "testing/test_operators.h"
#include "testing/test_source.h"

namespace headrace {

/// What a seed decides once about its job; parallelism is decided for each process anew. Plain
/// data.
struct SimulatedJob {
  std::vector<TestSourceSpec> sources;
  int64_t watermark_bound_ms = 0;
  int64_t filter_modulus = 3;
  bool side_sink = false;
  std::vector<TestKeyedSpec> keyed;
  std::vector<Partitioning> sink_partitioning;
  int max_parallelism = 128;
  std::string directory = "/out";
  bool unsynced_sink = false;  ///< a planted bug: sinks publish files they have not synced

  static SimulatedJob Random(SimRandom* random);
  /// `parallelism`: draws for every operator. `failures`: operators and sources may fail.
  Result<JobGraph> Build(SimRandom* parallelism, bool failures, bool chaining) const;
  /// Lines of all sinks together, sorted. Which rows are late depends on the order of the run, so
  /// `committed` says it: each of its late rows must be one of the input, once, and is then in no
  /// window. (A window that fired twice, or a row both late and counted, still differs.)
  std::vector<std::string> ExpectedLines(const std::vector<std::string>& committed) const;
};

}  // namespace headrace
