#include "headrace/base/failpoint.h"

#include <utility>

namespace headrace {

namespace internal {

bool failpoints_armed = false;

namespace {

FailpointAction& Action() {
  static auto& action = *new FailpointAction();
  return action;
}

}  // namespace

Status HitFailpoint(std::string_view name, std::string_view detail) {
  const FailpointAction& action = Action();
  return action ? action(name, detail) : Status::Ok();
}

}  // namespace internal

void SetFailpointAction(FailpointAction action) {
  internal::failpoints_armed = static_cast<bool>(action);
  internal::Action() = std::move(action);
}

}  // namespace headrace
