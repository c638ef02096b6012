#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "headrace/windows/window_spec.h"
#include "testing/sim_random.h"
#include "testing/test_operators.h"
#include "testing/test_source.h"

namespace headrace {

/// One step of a simulated job. Plain data; what is used depends on `kind`.
struct SimStep {
  enum class Kind : uint8_t {
    kSource,
    kMap,
    kFilter,  ///< side output "rejected"
    kRepeat,
    kUnion,
    kKeyed,    ///< value, list and map state, timers
    kWindow,   ///< the general window operator
    kSlicing,  ///< the slicing one
    kObjects,  ///< a stream of host objects and back, with state of objects
    kSink,
  };
  /// Where a row comes from: the main output of a step, or a side output.
  struct Input {
    int step = -1;
    std::string side_tag;
    bool rebalanced = false;  ///< else forward where the parallelism allows
    auto operator<=>(const Input&) const = default;
  };

  Kind kind = Kind::kSource;
  std::vector<Input> inputs;
  TestSourceSpec source;
  int64_t number = 0;  ///< of a map: what it adds; filter: modulus; repeat: copies
  TestKeyedSpec keyed;
  WindowSpec window;
};

/// The graph that a seed decides on once: 1 to 3 sources, 1 to 12 operators, a file sink at every
/// loose end. Plain data.
///
/// What an operator makes of its rows does not depend on their order, so the oracle is one loop a
/// step over the rows that the sources hold. Where rows may be late, which of them are is up to the
/// order; the graph then has one keyed step, and its sink says which.
struct SimGraph {
  std::vector<SimStep> steps;  ///< inputs come before their readers
  int64_t watermark_bound_ms = 0;
  bool late_rows = false;
  int max_parallelism = 128;

  static SimGraph Random(SimRandom* random);

  int operators() const;
  std::vector<int> StepsOf(SimStep::Kind kind) const;
  /// The only keyed step of a graph with late rows.
  int LateStep() const { return StepsOf(SimStep::Kind::kKeyed).front(); }
  /// True when nothing but stateless steps stands between the sources and this one.
  bool FedBySourcesOnly(int step) const;
};

/// The rows of each output of each step.
using SimRows = std::map<SimStep::Input, std::vector<TestRow>>;

/// Rows that the sources have read: of source step s, split i, the first positions[{s, i}]; all
/// where there is no entry.
using SimPositions = std::map<std::pair<int, int>, int64_t>;

/// What every step makes of the sources' rows up to `positions`, of sinks what they take. `late`:
/// the rows (as they went in) that the keyed step of a graph with late rows called late.
SimRows EvaluateSimGraph(const SimGraph& graph, const SimPositions& positions,
                         const std::vector<TestRow>& late);
/// The rows that come to `step`.
std::vector<TestRow> SimInputOf(const SimGraph& graph, int step, const SimRows& rows);

}  // namespace headrace
