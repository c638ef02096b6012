#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "testing/manual_clock.h"
#include "testing/sim_file_system.h"
#include "testing/sim_random.h"

namespace headrace {

/// An Env in which everything follows from a seed: time passes when it is told to, background work
/// runs when it is stepped, files are a SimFileSystem. The same seed and the same calls give the
/// same run.
///
/// Clock, scheduling, files and Random64() draw from generators of their own: one more random
/// number asked for does not move a crash.
/// Threading: owned by one thread; StartThread() is a bug and aborts.
class SimEnv final : public Env {
 public:
  /// The wall clock starts at 2020-01-01 UTC.
  explicit SimEnv(uint64_t seed);
  ~SimEnv() override;

  int64_t NowMs() override { return clock_.now_ms(); }
  int64_t SteadyNs() override { return clock_.steady_ns(); }
  uint64_t Random64() override { return user_random_.Next(); }
  FileSystem& files() override { return files_; }
  std::unique_ptr<Thread> StartThread(std::string name, std::function<void()> body) override;
  void RunInBackground(std::function<void()> work) override;

  ManualClock& clock() { return clock_; }
  SimFileSystem& sim_files() { return files_; }
  /// For the simulation's own decisions, such as which task to step.
  SimRandom& scheduling() { return scheduling_; }

  /// Runs one piece of background work, picked by the seed; false when there was none.
  bool StepBackground();
  /// Steps until nothing is left, also of what the work itself asks for.
  void RunAllBackground();
  size_t background_pending() const { return background_.size(); }

  /// The process is gone: background work is dropped unrun, then SimFileSystem::Crash(). Objects of
  /// the dead process must be destroyed by the caller; their file handles fail from now on.
  void Crash(CrashKind kind);
  /// The same with SimFileSystem::CrashChoosing().
  void CrashChoosing(const CrashChooser& choose);

 private:
  void DropBackground();

  ManualClock clock_;
  SimRandom user_random_;
  SimRandom scheduling_;
  SimFileSystem files_;
  std::vector<std::function<void()>> background_;
};

}  // namespace headrace
