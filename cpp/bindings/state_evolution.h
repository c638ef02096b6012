#pragma once

#include <Python.h>

#include <string>

#include "bindings/operator_state_store.h"
#include "bindings/state_type.h"
#include "bindings/state_use.h"
#include "headrace/state/keyed_state.h"

namespace headrace::bindings {

/// A type that a state is declared with, and what the program says of its former forms.
struct DeclaredType {
  const StateType& type;
  PyObject* type_info;  ///< borrowed; `RowTypeInfo.evolved` gives rows a history
};

/// Brings restored state that is stored under `name` with an earlier form of its type into the
/// declared one, before it is registered: rows by their history, numbers to a greater width. `kind`
/// is "value", "list", "reducing", "aggregating", or "map", which alone has a `key`: of keys only
/// numbers may become wider. kInvalidArgument showing both types when the stored one cannot become
/// the declared one; does nothing where there is nothing to do, and leaves states of another kind
/// to the registration, which refuses them.
Status EvolveStoredState(KeyedState* state, const std::string& name, const std::string& kind,
                         const DeclaredType* key, const DeclaredType& value, const StateUse& use);

/// The same for a list of operator state.
Status EvolveStoredList(OperatorStateStore* store, const std::string& name,
                        Redistribution redistribution, const DeclaredType& element);
/// The same for broadcast state.
Status EvolveStoredMap(OperatorStateStore* store, const std::string& name, const DeclaredType& key,
                       const DeclaredType& value);

}  // namespace headrace::bindings
