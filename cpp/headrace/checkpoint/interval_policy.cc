#include "headrace/checkpoint/interval_policy.h"

#include <algorithm>
#include <cmath>

namespace headrace {
namespace {

constexpr double kForget = 0.95;  // weight of a checkpoint beside that of the next
constexpr double kStep = 1.02;    // of the search
constexpr double kChangeMax = 2;  // factor at a time
constexpr double kRestoreBytesPerSecond = 300e6;
// A checkpoint that writes nearly all there is says no more how fast it becomes dirty.
constexpr double kShareMax = 0.98;

int64_t Ms(double seconds) { return std::llround(std::min(seconds, 1e12) * 1000); }

}  // namespace

void CostWindow::Add(const CheckpointCost& cost) {
  costs_.push_back(cost);
  if (options_.estimate == EstimateOver::kLastCheckpoints) {
    while (static_cast<int>(costs_.size()) > std::max(options_.last_checkpoints, 1)) {
      costs_.pop_front();
    }
    return;
  }
  // The newest stays, however old the one before it is.
  while (costs_.front().ended_ms < cost.ended_ms - options_.window_ms) costs_.pop_front();
}

double CostWindow::Mean(double CheckpointCost::*member) const {
  double sum = 0;
  for (const CheckpointCost& cost : costs_) sum += cost.*member;
  return costs_.empty() ? 0 : sum / static_cast<double>(costs_.size());
}

double CostWindow::change_rate() const { return bytes() / std::max(interval_s(), 1e-3); }

double CostWindow::rows_per_second() const {
  return Mean(&CheckpointCost::rows) / std::max(interval_s(), 1e-3);
}

void CostLine::Add(double bytes, double seconds) {
  for (double* sum : {&weight_, &bytes_, &seconds_, &bytes_squared_, &product_}) *sum *= kForget;
  weight_ += 1;
  bytes_ += bytes;
  seconds_ += seconds;
  bytes_squared_ += bytes * bytes;
  product_ += bytes * seconds;
}

// Between nothing and what makes the fixed part nothing: sizes that differ little say little.
double CostLine::Slope() const {
  if (weight_ == 0 || bytes_ <= 0) return 0;
  const double spread = bytes_squared_ - bytes_ * bytes_ / weight_;
  if (spread <= 1e-6 * bytes_squared_) return 0;
  const double slope = (product_ - bytes_ * seconds_ / weight_) / spread;
  return std::clamp(slope, 0.0, seconds_ / bytes_);
}

double CostLine::fixed_s() const {
  return weight_ == 0 ? 0 : std::max(0.0, (seconds_ - Slope() * bytes_) / weight_);
}

double CostLine::bytes_per_second() const { return 1 / std::max(Slope(), 1e-12); }

IntervalPolicy::IntervalPolicy(const IntervalPolicyOptions& options)
    : options_(options), window_(options) {}

double IntervalPolicy::DirtyBytes(double interval_s) const {
  return most_bytes_ * (1 - std::exp(-change_per_second_ * interval_s));
}

double IntervalPolicy::CostSeconds(double interval_s) const {
  return line_.fixed_s() + DirtyBytes(interval_s) / line_.bytes_per_second();
}

// The share of its interval that a checkpoint takes falls as the interval grows.
double IntervalPolicy::Budget() const {
  const double max_s = static_cast<double>(options_.max_ms) / 1000;
  double interval_s = static_cast<double>(options_.min_ms) / 1000;
  while (interval_s < max_s && CostSeconds(interval_s) > options_.target_overhead * interval_s) {
    interval_s *= kStep;
  }
  return std::min(interval_s, max_s);
}

double IntervalPolicy::Optimum(double from_s, double replay_share) const {
  const double max_s = static_cast<double>(options_.max_ms) / 1000;
  const double failure_every_s = static_cast<double>(options_.failure_every_ms) / 1000;
  double best_s = from_s;
  double least = INFINITY;
  for (double interval_s = from_s; interval_s <= max_s; interval_s *= kStep) {
    const double cost =
        CostSeconds(interval_s) / interval_s + replay_share * interval_s / 2 / failure_every_s;
    if (cost >= least) break;  // it falls, then rises
    least = cost;
    best_s = interval_s;
  }
  return best_s;
}

IntervalDecision IntervalPolicy::OnCheckpoint(const CheckpointCost& cost) {
  window_.Add(cost);
  line_.Add(cost.bytes, cost.seconds);
  most_bytes_ = std::max(most_bytes_, cost.bytes);
  top_rows_per_second_ =
      std::max(top_rows_per_second_, cost.rows / std::max(cost.interval_s, 1e-3));
  const double share = most_bytes_ > 0 ? window_.bytes() / most_bytes_ : 0;
  change_per_second_ =
      -std::log(1 - std::min(share, kShareMax)) / std::max(window_.interval_s(), 1e-3);

  IntervalDecision decision;
  decision.replay_share =
      top_rows_per_second_ > 0 ? window_.rows_per_second() / top_rows_per_second_ : 1;
  decision.change_rate = window_.change_rate();
  decision.budget_rate = options_.target_overhead * line_.bytes_per_second();
  decision.fixed_s = line_.fixed_s();

  const double min_s = static_cast<double>(options_.min_ms) / 1000;
  const double max_s = static_cast<double>(options_.max_ms) / 1000;
  const double budget_s = Budget();
  const double optimum_s = Optimum(min_s, decision.replay_share);
  double chosen_s = optimum_s;
  decision.why = "least overhead and replay";
  if (options_.target_recovery_ms >= 0) {
    const double left_s = static_cast<double>(options_.target_recovery_ms) / 1000 -
                          cost.state_bytes / kRestoreBytesPerSecond;
    const double recovery_s = std::max(0.0, left_s) / std::max(decision.replay_share, 1e-6);
    decision.recovery_ms = Ms(recovery_s);
    if (recovery_s < chosen_s) {
      chosen_s = recovery_s;
      decision.why = "recovery target";
    }
  }
  if (interval_s_ > 0 && chosen_s > interval_s_ * kChangeMax) {
    chosen_s = interval_s_ * kChangeMax;
    decision.why += ", twice the last at most";
  } else if (interval_s_ > 0 && chosen_s < interval_s_ / kChangeMax) {
    chosen_s = interval_s_ / kChangeMax;
    decision.why += ", half the last at least";
  }
  if (chosen_s < budget_s) {
    chosen_s = budget_s;
    decision.why = decision.recovery_ms >= 0 && decision.recovery_ms < Ms(budget_s)
                       ? "byte budget, which rules the recovery target out"
                       : "byte budget";
  }
  if (chosen_s <= min_s) decision.why = "min";
  if (chosen_s >= max_s) decision.why = "max";
  interval_s_ = std::clamp(chosen_s, min_s, max_s);
  decision.interval_ms = Ms(interval_s_);
  decision.budget_ms = Ms(budget_s);
  decision.optimum_ms = Ms(optimum_s);
  decision.dirty_bytes = DirtyBytes(interval_s_);
  return decision;
}

}  // namespace headrace
