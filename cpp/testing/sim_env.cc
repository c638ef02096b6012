#include "testing/sim_env.h"

#include <utility>

#include "headrace/base/check.h"

namespace headrace {

namespace {

constexpr int64_t kStartMs = 1'577'836'800'000;

// Generators of one run, told apart by what they are for.
SimRandom Stream(uint64_t seed, uint64_t purpose) {
  SimRandom random(seed);
  return SimRandom(random.Next() ^ (purpose * 0x9e3779b97f4a7c15ULL)).Fork();
}

}  // namespace

SimEnv::SimEnv(uint64_t seed)
    : clock_(kStartMs),
      user_random_(Stream(seed, 1)),
      scheduling_(Stream(seed, 2)),
      files_(&clock_, Stream(seed, 3)) {}

// What the work holds may hold file handles, which must go before the files do.
SimEnv::~SimEnv() { background_.clear(); }

std::unique_ptr<Thread> SimEnv::StartThread(std::string name, std::function<void()>) {
  CheckFailed(__FILE__, __LINE__, "the simulation has one thread; '" + name + "' must be stepped");
}

void SimEnv::RunInBackground(std::function<void()> work) { background_.push_back(std::move(work)); }

bool SimEnv::StepBackground() {
  if (background_.empty()) return false;
  const size_t picked = scheduling_.Below(background_.size());
  std::function<void()> work = std::move(background_[picked]);
  background_.erase(background_.begin() + static_cast<ptrdiff_t>(picked));
  work();
  return true;
}

void SimEnv::RunAllBackground() {
  while (StepBackground()) {
  }
}

void SimEnv::DropBackground() {
  // Moved out first: destructors of what the work holds may ask for more work, which is dropped as
  // well.
  while (!background_.empty()) std::exchange(background_, {}).clear();
}

void SimEnv::Crash(CrashKind kind) {
  DropBackground();
  files_.Crash(kind);
}

void SimEnv::CrashChoosing(const CrashChooser& choose) {
  DropBackground();
  files_.CrashChoosing(choose);
}

}  // namespace headrace
