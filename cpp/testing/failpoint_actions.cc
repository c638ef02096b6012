#include "testing/failpoint_actions.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "headrace/base/check.h"

namespace headrace {

ScopedFailpoints::ScopedFailpoints() {
  HR_CHECK(!internal::failpoints_armed);
  SetFailpointAction(
      [this](std::string_view name, std::string_view detail) { return Hit(name, detail); });
}

ScopedFailpoints::~ScopedFailpoints() { SetFailpointAction(nullptr); }

void ScopedFailpoints::Watch(std::string prefix, std::string detail_part) {
  prefix_ = std::move(prefix);
  detail_part_ = std::move(detail_part);
  hits_ = 0;
}

void ScopedFailpoints::FailAt(uint64_t k, Status failure) {
  Arm(Mode::kFailOnce, k, std::move(failure));
}

void ScopedFailpoints::FailFrom(uint64_t k, Status failure) {
  Arm(Mode::kFailOn, k, std::move(failure));
}

void ScopedFailpoints::KillAt(uint64_t k) { Arm(Mode::kKill, k, Status::Ok()); }

void ScopedFailpoints::Arm(Mode mode, uint64_t k, Status failure) {
  HR_CHECK_GE(k, 1u);
  mode_ = mode;
  k_ = k;
  failure_ = std::move(failure);
  hits_ = 0;
}

Status ScopedFailpoints::Hit(std::string_view name, std::string_view detail) {
  if (!name.starts_with(prefix_) || detail.find(detail_part_) == std::string_view::npos) {
    return Status::Ok();
  }
  const uint64_t hit = ++hits_;
  switch (mode_) {
    case Mode::kCount:
      return Status::Ok();
    case Mode::kFailOnce:
      return hit == k_ ? failure_ : Status::Ok();
    case Mode::kFailOn:
      return hit >= k_ ? failure_ : Status::Ok();
    case Mode::kKill:
      if (hit == k_) ::kill(::getpid(), SIGKILL);
      return Status::Ok();
  }
  return Status::Ok();
}

}  // namespace headrace
