#pragma once

#include <string_view>

#include "headrace/state/keyed_state.h"

namespace headrace {

/// True when two fingerprints such as "sum(int32), count(*)" differ in types of numbers only, and
/// each of `declared` holds all numbers of the one it stands for.
bool OnlyWidens(std::string_view stored, std::string_view declared);

/// Takes over restored state of this name whose fingerprint OnlyWidens to this one, before it is
/// registered: where integers are kept as int64, or encoded alike at any width, and floats as
/// float64, its bytes are good as they are.
void AdoptWidened(KeyedState* state, std::string_view name, std::string_view fingerprint);

}  // namespace headrace
