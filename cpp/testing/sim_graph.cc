#include "testing/sim_graph.h"

#include <algorithm>
#include <utility>

#include "testing/test_object_operators.h"
#include "testing/test_window_operators.h"

namespace headrace {

namespace {

using Kind = SimStep::Kind;

constexpr int kOperatorsMax = 12;
constexpr size_t kLooseEndsMax = 4;
// Rows of one output: a graph that multiplies them gets shorter sources.
constexpr size_t kRowsMax = 4000;
// Enough to bring the longest source down to one row a split.
constexpr int kShrinksMax = 20;

bool Stateless(Kind kind) {
  return kind == Kind::kMap || kind == Kind::kFilter || kind == Kind::kRepeat ||
         kind == Kind::kUnion;
}

// Grows a graph at its loose ends.
class Grower {
 public:
  Grower(SimRandom* random, SimGraph* graph) : random_(random), graph_(graph) {}

  void AddSource(const TestSourceSpec& source) {
    SimStep step;
    step.kind = Kind::kSource;
    step.source = source;
    Add(std::move(step));
  }

  void AddStateless() {
    constexpr Kind kKinds[] = {Kind::kMap, Kind::kFilter, Kind::kRepeat, Kind::kUnion};
    AddOperator(kKinds[random_->Below(4)]);
  }

  void AddAny() {
    constexpr Kind kKinds[] = {Kind::kMap,    Kind::kFilter,  Kind::kRepeat,  Kind::kUnion,
                               Kind::kUnion,  Kind::kKeyed,   Kind::kKeyed,   Kind::kWindow,
                               Kind::kWindow, Kind::kSlicing, Kind::kSlicing, Kind::kObjects};
    AddOperator(kKinds[random_->Below(12)]);
  }

  void AddKeyed(bool takes_late) {
    SimStep step;
    step.kind = Kind::kKeyed;
    step.inputs = {TakeEnd()};
    step.keyed.step = static_cast<int64_t>(graph_->steps.size());
    step.keyed.window_ms = 20 * (1 + static_cast<int64_t>(random_->Below(20)));
    step.keyed.count_every = 1 + static_cast<int64_t>(random_->Below(4));
    step.keyed.key_column = 1 + static_cast<int>(random_->Below(2));
    step.keyed.takes_late = takes_late;
    Add(std::move(step));
  }

  void AddSinks() {
    for (const SimStep::Input& end : std::exchange(ends_, {})) {
      SimStep step;
      step.kind = Kind::kSink;
      step.inputs = {end};
      step.inputs[0].rebalanced = random_->Below(2) == 0;
      graph_->steps.push_back(std::move(step));
    }
  }

 private:
  void Add(SimStep step) {
    ends_.push_back({static_cast<int>(graph_->steps.size()), "", false});
    graph_->steps.push_back(std::move(step));
  }

  void AddOperator(Kind kind) {
    if (kind == Kind::kKeyed) return AddKeyed(false);
    SimStep step;
    step.kind = kind;
    const int number = static_cast<int>(graph_->steps.size());
    if (kind == Kind::kUnion) {
      step.inputs = {TakeEnd()};
      // Of one end it is the union with itself: every row twice.
      step.inputs.push_back(ends_.empty() ? step.inputs[0] : TakeEnd());
    } else {
      step.inputs = {TakeEnd()};
    }
    switch (kind) {
      case Kind::kMap:
        step.number = static_cast<int64_t>(random_->Below(1000));
        break;
      case Kind::kFilter:
        step.number = 2 + static_cast<int64_t>(random_->Below(5));
        break;
      case Kind::kRepeat:
        step.number = 1 + static_cast<int64_t>(random_->Below(3));
        break;
      case Kind::kWindow:
      case Kind::kSlicing: {
        const int64_t slide_ms = 20 * (1 + static_cast<int64_t>(random_->Below(20)));
        const bool sliding = random_->Below(2) == 0;
        step.window = sliding
                          ? WindowSpec::Sliding(
                                slide_ms + 20 * static_cast<int64_t>(random_->Below(40)), slide_ms)
                          : WindowSpec::Tumbling(slide_ms);
        break;
      }
      default:
        break;
    }
    Add(std::move(step));
    if (kind == Kind::kFilter && ends_.size() < kLooseEndsMax && random_->Below(2) == 0) {
      ends_.push_back({number, "rejected", false});
    }
  }

  // One loose end, which now and then stays loose: the next reader is a second one.
  SimStep::Input TakeEnd() {
    const size_t at = random_->Below(ends_.size());
    SimStep::Input end = ends_[at];
    end.rebalanced = random_->Below(3) == 0;
    if (ends_.size() >= kLooseEndsMax || random_->Below(6) != 0) {
      ends_.erase(ends_.begin() + static_cast<int64_t>(at));
    }
    return end;
  }

  SimRandom* random_;
  SimGraph* graph_;
  std::vector<SimStep::Input> ends_;
};

std::vector<TestRow> SourceRows(const TestSourceSpec& source, int step,
                                const SimPositions& positions) {
  std::vector<TestRow> rows;
  for (int split = 0; split < source.splits; ++split) {
    const auto position = positions.find({step, split});
    const int64_t end = position == positions.end() ? source.rows_per_split : position->second;
    for (int64_t i = 0; i < end; ++i) rows.push_back(TestSourceRow(source, split, i));
  }
  return rows;
}

size_t MostRows(const SimRows& rows) {
  size_t most = 0;
  for (const auto& [output, list] : rows) most = std::max(most, list.size());
  return most;
}

}  // namespace

SimGraph SimGraph::Random(SimRandom* random) {
  SimGraph graph;
  graph.late_rows = random->Below(4) == 0;
  const auto disorder_ms = static_cast<int64_t>(random->Below(3)) * 40;
  graph.watermark_bound_ms = disorder_ms;
  constexpr int kMax[] = {8, 11, 128};
  graph.max_parallelism = kMax[random->Below(3)];

  Grower grower(random, &graph);
  const int sources = 1 + static_cast<int>(random->Below(3));
  for (int i = 0; i < sources; ++i) {
    TestSourceSpec source;
    source.seed = random->Next() >> 8;
    source.splits = 1 + static_cast<int>(random->Below(5));
    source.rows_per_split = 200 + static_cast<int64_t>(random->Below(600)) / source.splits;
    source.keys = 1 + static_cast<int64_t>(random->Below(40));
    source.disorder_ms = disorder_ms;
    source.straggler_ms = graph.late_rows ? 2000 : 0;
    source.nothing_odds = random->Below(2) == 0 ? 0 : 0.1;
    source.random_polls = true;
    grower.AddSource(source);
  }
  const int operators = 1 + static_cast<int>(random->Below(kOperatorsMax));
  const auto too_many = [&] { return MostRows(EvaluateSimGraph(graph, {}, {})) > kRowsMax; };
  for (int i = 0; i < operators; ++i) {
    // Repeats and overlapping windows multiply rows: where there are too many, one operator more
    // is the last.
    const bool last = i + 1 == operators || too_many();
    if (!graph.late_rows) {
      grower.AddAny();
    } else if (!last) {
      grower.AddStateless();
    } else {
      grower.AddKeyed(/*takes_late=*/true);
    }
    if (last) break;
  }
  grower.AddSinks();
  for (int attempt = 0; attempt < kShrinksMax && too_many(); ++attempt) {
    for (SimStep& step : graph.steps) {
      step.source.rows_per_split = std::max<int64_t>(1, step.source.rows_per_split * 2 / 3);
    }
  }
  return graph;
}

int SimGraph::operators() const {
  return static_cast<int>(std::count_if(steps.begin(), steps.end(), [](const SimStep& step) {
    return step.kind != Kind::kSource && step.kind != Kind::kSink;
  }));
}

std::vector<int> SimGraph::StepsOf(Kind kind) const {
  std::vector<int> found;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind == kind) found.push_back(static_cast<int>(i));
  }
  return found;
}

bool SimGraph::FedBySourcesOnly(int step) const {
  return std::all_of(steps[step].inputs.begin(), steps[step].inputs.end(), [&](const auto& input) {
    const Kind kind = steps[input.step].kind;
    return kind == Kind::kSource || (Stateless(kind) && FedBySourcesOnly(input.step));
  });
}

std::vector<TestRow> SimInputOf(const SimGraph& graph, int step, const SimRows& rows) {
  std::vector<TestRow> input;
  for (const SimStep::Input& from : graph.steps[step].inputs) {
    const auto found = rows.find({from.step, from.side_tag, false});
    if (found == rows.end()) continue;
    input.insert(input.end(), found->second.begin(), found->second.end());
  }
  return input;
}

SimRows EvaluateSimGraph(const SimGraph& graph, const SimPositions& positions,
                         const std::vector<TestRow>& late) {
  SimRows rows;
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    const SimStep& step = graph.steps[i];
    const int number = static_cast<int>(i);
    const std::vector<TestRow> input = SimInputOf(graph, number, rows);
    std::vector<TestRow>& out = rows[{number, "", false}];
    switch (step.kind) {
      case Kind::kSource:
        out = SourceRows(step.source, number, positions);
        break;
      case Kind::kMap:
        out = input;
        for (TestRow& row : out) row.x = (3 * row.x + step.number) % 1000;
        break;
      case Kind::kFilter:
        for (const TestRow& row : input) {
          SimStep::Input to{number, row.x % step.number != 0 ? "" : "rejected", false};
          rows[to].push_back(row);
        }
        break;
      case Kind::kRepeat:
        for (TestRow row : input) {
          for (row.y = 0; row.y < step.number; ++row.y) out.push_back(row);
        }
        break;
      case Kind::kUnion:
      case Kind::kSink:
        out = input;
        break;
      case Kind::kKeyed:
        out = TestKeyedOracle(step.keyed, input, late);
        break;
      case Kind::kWindow:
      case Kind::kSlicing:
        out = TestWindowOracle(number, step.window, input);
        break;
      case Kind::kObjects:
        out = TestUnpackOracle(number, input);
        break;
    }
  }
  return rows;
}

}  // namespace headrace
