// The adaptive interval against the best fixed one in hindsight, over what checkpoints of a real
// job cost.
//
// benchmarks/checkpoint_costs.py recorded a job whose keys change uniformly, at five loads and four
// intervals: seconds and bytes of each checkpoint. Both follow the number of rows between two
// checkpoints and level off when all keys have changed, so a replay can ask for any load and
// interval: it takes lines of the two nearest numbers of rows in turn, noise included.
//
// What an interval costs, in seconds of a second:
//
//   overhead   seconds of the checkpoint / interval
//   replay     λ / μ · (interval / 2 + seconds of the checkpoint) / time between failures
//
// where λ is the load and μ = 256,000 rows/s the speed of the replay.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "headrace/checkpoint/interval_policy.h"

namespace headrace {
namespace {

constexpr double kReplayRowsPerSecond = 256'000;
constexpr double kFailureEveryS = 1800;
constexpr double kMinS = 1;
constexpr double kMaxS = 600;
constexpr double kRunS = 4 * 3600;
constexpr double kLeastLoad = 500;
constexpr double kMostLoad = 128'000;

struct Line {
  double seconds = 0;
  double bytes = 0;
  double state_bytes = 0;
};

// Recorded checkpoints by the rows between them.
class Recording {
 public:
  Recording() {
    std::ifstream file(HEADRACE_SOURCE_DIR "/tests/cpp/checkpoint/recorded/checkpoint_costs.csv");
    std::string text;
    std::getline(file, text);  // names of the columns
    while (std::getline(file, text)) {
      std::replace(text.begin(), text.end(), ',', ' ');
      std::istringstream in(text);
      double rows_per_second = 0;
      double interval_ms = 0;
      Line line;
      in >> rows_per_second >> interval_ms >> line.seconds >> line.bytes >> line.state_bytes;
      lines_[rows_per_second * interval_ms / 1000].push_back(line);
    }
  }

  size_t sizes() const { return lines_.size(); }

  /// The `number`-th checkpoint after `rows` rows.
  Line At(double rows, size_t number) const {
    auto above = lines_.lower_bound(rows);
    if (above == lines_.end()) return Pick(std::prev(above)->second, number);
    if (above == lines_.begin()) return Pick(above->second, number);
    const auto below = std::prev(above);
    const double share = std::log(rows / below->first) / std::log(above->first / below->first);
    const Line a = Pick(below->second, number);
    const Line b = Pick(above->second, number);
    return {.seconds = a.seconds + share * (b.seconds - a.seconds),
            .bytes = a.bytes + share * (b.bytes - a.bytes),
            .state_bytes = b.state_bytes};
  }

 private:
  static const Line& Pick(const std::vector<Line>& lines, size_t number) {
    return lines[number % lines.size()];
  }
  std::map<double, std::vector<Line>> lines_;
};

using Load = std::function<double(double at_s)>;

Load Constant(double rows_per_second) {
  return [=](double) { return rows_per_second; };
}
Load Rising() {
  return [](double at_s) { return kLeastLoad * std::pow(kMostLoad / kLeastLoad, at_s / kRunS); };
}
Load Falling() {
  return [](double at_s) { return Rising()(kRunS - at_s); };
}

// Seconds a second that a run costs; `next` says the interval after each checkpoint.
double Cost(const Recording& recording, const Load& load, double first_s,
            const std::function<double(const CheckpointCost&)>& next) {
  double at_s = 0;
  double cost = 0;
  double interval_s = first_s;
  for (size_t number = 0; at_s < kRunS; ++number) {
    const double rate = load(at_s);
    const double rows = rate * interval_s;
    const Line line = recording.At(rows, number);
    at_s += interval_s;
    cost += line.seconds + rate / kReplayRowsPerSecond * interval_s / kFailureEveryS *
                               (interval_s / 2 + line.seconds);
    interval_s = next({.ended_ms = std::llround((at_s + line.seconds) * 1000),
                       .interval_s = interval_s,
                       .seconds = line.seconds,
                       .bytes = line.bytes,
                       .state_bytes = line.state_bytes,
                       .rows = rows});
  }
  return cost / at_s;
}

double BestFixed(const Recording& recording, const Load& load, double* best_s) {
  double least = INFINITY;
  for (int i = 0; i < 12; ++i) {
    const double interval_s = kMinS * std::pow(kMaxS / kMinS, i / 11.0);
    const double cost =
        Cost(recording, load, interval_s, [=](const CheckpointCost&) { return interval_s; });
    if (cost < least) {
      least = cost;
      *best_s = interval_s;
    }
  }
  return least;
}

double Adaptive(const Recording& recording, const Load& load, EstimateOver estimate) {
  IntervalPolicyOptions options;
  options.enabled = true;
  options.min_ms = std::llround(kMinS * 1000);
  options.max_ms = std::llround(kMaxS * 1000);
  options.failure_every_ms = std::llround(kFailureEveryS * 1000);
  options.estimate = estimate;
  IntervalPolicy policy(options);
  // The job began by reading what was there, as fast as it could: every key once.
  const double fill_rows = 300'000;
  const Line full = recording.At(1e9, 0);
  policy.OnCheckpoint({.ended_ms = 0,
                       .interval_s = fill_rows / kReplayRowsPerSecond,
                       .seconds = full.seconds,
                       .bytes = full.bytes,
                       .state_bytes = full.state_bytes,
                       .rows = fill_rows});
  return Cost(recording, load, kMinS, [&](const CheckpointCost& cost) {
    return static_cast<double>(policy.OnCheckpoint(cost).interval_ms) / 1000;
  });
}

// Cost of the adaptive interval over that of the best fixed one.
double Ratio(const std::string& name, const Load& load, EstimateOver estimate) {
  static const Recording recording;
  EXPECT_EQ(recording.sizes(), 20u);
  double best_s = 0;
  const double fixed = BestFixed(recording, load, &best_s);
  const double adaptive = Adaptive(recording, load, estimate);
  std::cout << name << ": " << adaptive / fixed << " of the best fixed interval, " << best_s
            << " s, which costs " << fixed << " s a second\n";
  return adaptive / fixed;
}

constexpr EstimateOver kEstimates[] = {EstimateOver::kLastCheckpoints, EstimateOver::kTime};

TEST(IntervalReplayTest, IsWithinATenthOfTheBestFixedIntervalAtConstantLoad) {
  for (const EstimateOver estimate : kEstimates) {
    for (double load = kLeastLoad; load <= kMostLoad; load *= 4) {
      const std::string name = std::to_string(static_cast<int>(load)) + " rows/s";
      EXPECT_LE(Ratio(name, Constant(load), estimate), 1.1) << name;
    }
  }
}

TEST(IntervalReplayTest, IsATenthBetterThanTheBestFixedIntervalWhenTheLoadRisesOrFalls) {
  for (const EstimateOver estimate : kEstimates) {
    EXPECT_LE(Ratio("rising", Rising(), estimate), 0.9);
    EXPECT_LE(Ratio("falling", Falling(), estimate), 0.9);
  }
}

}  // namespace
}  // namespace headrace
