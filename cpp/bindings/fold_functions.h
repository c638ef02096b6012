#pragma once

#include "bindings/user_function.h"

namespace headrace::bindings {

/// User functions of a reducing or aggregating state.
struct FoldFunctions {
  UserFunction fold;    ///< reduce(a, b), or add(value, accumulator)
  UserFunction create;  ///< create_accumulator(), aggregating states only
  UserFunction result;  ///< get_result(accumulator), aggregating states only
};

}  // namespace headrace::bindings
