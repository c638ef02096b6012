#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// Decides what happens at a named point of the code: Ok lets it go on; a failure is returned from
/// there (an action may also kill the process). Installed by tests only.
using FailpointAction = std::function<Status(std::string_view name, std::string_view detail)>;

/// Installs the process-wide action; an empty function removes it. Not to be called while a job
/// runs.
void SetFailpointAction(FailpointAction action);

namespace internal {
extern bool failpoints_armed;
Status HitFailpoint(std::string_view name, std::string_view detail);
}  // namespace internal

/// Passes the failpoint `name`; one predictable branch when nothing is installed.
inline Status Failpoint(std::string_view name, std::string_view detail = {}) {
  if (__builtin_expect(!internal::failpoints_armed, 1)) return Status::Ok();
  return internal::HitFailpoint(name, detail);
}

}  // namespace headrace
