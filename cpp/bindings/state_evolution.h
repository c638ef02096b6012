#pragma once

#include <Python.h>

#include <string>

#include "bindings/state_type.h"
#include "headrace/state/keyed_state.h"

namespace headrace::bindings {

/// Brings restored state that is stored under `name` with an earlier form of `type` into this one,
/// before it is registered: rows by what `type_info` says of their history (`RowTypeInfo.evolved`),
/// numbers to a greater width. The fingerprint is `before`, the type's name, `after`; a stored row
/// holds one encoded value or, of a list, several. kInvalidArgument showing both types when the
/// stored one cannot become this one; does nothing where there is nothing to do, and leaves states
/// of another kind to the registration, which refuses them.
Status EvolveStoredState(KeyedState* state, const std::string& name, const std::string& before,
                         const StateType& type, PyObject* type_info, const std::string& after);

}  // namespace headrace::bindings
