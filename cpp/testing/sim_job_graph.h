#pragma once

#include <map>
#include <string>

#include "headrace/graph/job_graph.h"
#include "testing/sim_graph.h"
#include "testing/test_objects.h"

namespace headrace {

/// Rows of a split between two watermarks.
inline constexpr int64_t kSimStrideRows = 8;

/// A SimGraph as the engine runs it. What a process draws anew.
struct SimJobGraph {
  JobGraph graph;
  std::map<int, int> nodes;      ///< step -> its node: the keyed one, the source, the file sink
  std::vector<int> parallelism;  ///< of the keyed nodes, in their order
};

/// How one process runs the graph. Plain data.
struct SimJobChoices {
  int parallelism_max = 8;  ///< each node draws from 1 to this
  bool failures = false;    ///< operators and sources may fail
  bool chaining = true;
};

/// `objects` outlives the job. Output goes to files of `directory` whose prefix is SimSinkPrefix().
Result<SimJobGraph> MakeSimJobGraph(const SimGraph& graph, const SimJobChoices& choices,
                                    const std::string& directory, SimRandom* random,
                                    TestObjects* objects);
std::string SimSinkPrefix(int step);

}  // namespace headrace
