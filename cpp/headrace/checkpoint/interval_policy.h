#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace headrace {

/// Which checkpoints an estimate of the present rests on.
enum class EstimateOver : uint8_t {
  kLastCheckpoints,  ///< sliding window: the last n
  kTime,             ///< time window: those that ended within the last milliseconds
};

/// How the interval between checkpoints adapts.
struct IntervalPolicyOptions {
  bool enabled = false;
  int64_t min_ms = 0;
  int64_t max_ms = 0;
  double target_overhead = 0.05;    ///< share of the time that checkpoints may take, above 0
  int64_t target_recovery_ms = -1;  ///< restore and replay after a failure; -1 = no target
  int64_t failure_every_ms = 24 * 3'600'000;  ///< mean time between failures
  EstimateOver estimate = EstimateOver::kLastCheckpoints;
  int last_checkpoints = 4;
  int64_t window_ms = 60'000;
};

/// One complete checkpoint, as the policy sees it.
struct CheckpointCost {
  int64_t ended_ms = 0;   ///< steady clock
  double interval_s = 0;  ///< from the trigger before it to its own: while its bytes became dirty
  double seconds = 0;     ///< from trigger to decision
  double bytes = 0;       ///< written
  double state_bytes = 0;
  double rows = 0;  ///< read by sources in `interval_s`
};

/// Means over the window, and what they say of the present.
/// Threading: owned by one thread.
class CostWindow {
 public:
  explicit CostWindow(const IntervalPolicyOptions& options) : options_(options) {}

  void Add(const CheckpointCost& cost);
  size_t size() const { return costs_.size(); }
  double bytes() const { return Mean(&CheckpointCost::bytes); }
  double interval_s() const { return Mean(&CheckpointCost::interval_s); }
  /// Bytes that become dirty a second.
  double change_rate() const;
  double rows_per_second() const;

 private:
  double Mean(double CheckpointCost::*member) const;

  const IntervalPolicyOptions options_;
  std::deque<CheckpointCost> costs_;
};

/// Line fitted to what checkpoints cost: seconds = fixed + bytes / speed. Old ones count less.
/// Threading: owned by one thread.
class CostLine {
 public:
  void Add(double bytes, double seconds);
  double fixed_s() const;
  double bytes_per_second() const;  ///< above 0

 private:
  double Slope() const;
  double weight_ = 0;
  double bytes_ = 0;
  double seconds_ = 0;
  double bytes_squared_ = 0;
  double product_ = 0;
};

/// The interval that follows from a checkpoint, and why: one line of the decision log.
struct IntervalDecision {
  int64_t interval_ms = 0;
  std::string why;           ///< which bound or optimum it is
  double change_rate = 0;    ///< bytes that become dirty a second
  double dirty_bytes = 0;    ///< D: expected at the end of the interval
  double budget_rate = 0;    ///< F: bytes a second that may be sent
  double fixed_s = 0;        ///< of a checkpoint, whatever its size
  double replay_share = 0;   ///< seconds of replay for a second that was lost
  int64_t budget_ms = 0;     ///< the shortest that the budget sustains
  int64_t optimum_ms = 0;    ///< least sum of overhead and expected replay
  int64_t recovery_ms = -1;  ///< the longest that meets the recovery target; -1 = no target
};

/// Chooses the interval after each checkpoint (document 004's T = D / F): never shorter than the
/// byte budget sustains, within [min, max], and within that where overhead and expected replay
/// after a failure cost least.
///
/// D bytes are dirty after T seconds; F = target_overhead × the measured speed is what may be sent
/// a second. D grows with T and levels off when all has changed that does change, so the shortest
/// sustained T is where D(T) / F, with the fixed cost of a checkpoint on top, comes down to T. A
/// second of lost work takes λ / μ seconds to replay (rows that come a second over the most that
/// ever did). The least of cost(T) / T + λ / μ · T / 2 / failure_every is the optimum; a recovery
/// target bounds it from above; the budget bounds both from below. But for the budget the interval
/// changes by no more than a factor of two at a time.
///
/// With all else equal more dirty bytes never give a shorter interval.
/// Threading: owned by one thread.
class IntervalPolicy {
 public:
  explicit IntervalPolicy(const IntervalPolicyOptions& options);

  IntervalDecision OnCheckpoint(const CheckpointCost& cost);

 private:
  double DirtyBytes(double interval_s) const;
  double CostSeconds(double interval_s) const;
  double Budget() const;
  double Optimum(double from_s, double replay_share) const;

  const IntervalPolicyOptions options_;
  CostWindow window_;
  CostLine line_;
  double most_bytes_ = 0;  // of any checkpoint: what all state takes
  double top_rows_per_second_ = 0;
  double change_per_second_ = 0;  // of the share of the state that has not changed yet
  double interval_s_ = 0;
};

}  // namespace headrace
