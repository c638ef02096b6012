#pragma once

#include <cstdint>

namespace headrace {

/// Seeded random numbers (splitmix64): the same on every machine and in every build, so that a seed
/// replays.
/// Threading: owned by one thread.
class SimRandom {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound). REQUIRES bound ≥ 1; the bias of the remainder does not matter here.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  /// True with this probability; draws a number only when the answer is open, so that switching a
  /// fault kind off leaves the rest of a run alone.
  bool Chance(double probability) {
    if (probability <= 0) return false;
    if (probability >= 1) return true;
    return static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability;
  }
  /// A generator of its own, for a part whose draws must not move those of others.
  SimRandom Fork() { return SimRandom(Next()); }

 private:
  uint64_t state_;
};

}  // namespace headrace
