#pragma once

#include <string>

#include "headrace/state/keyed_state.h"

namespace headrace {

/// A line of the state registry (document 000): a state of one operator subtask.
struct RegisteredState {
  std::string operator_id;
  std::string operator_name;
  int subtask = 0;
  StateRegistration state;
};

}  // namespace headrace
