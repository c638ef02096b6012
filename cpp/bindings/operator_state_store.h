#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/state_type.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/operator_state.h"

namespace headrace::bindings {

/// A list of operator state: encoded elements, which are the truth.
struct OperatorList {
  Redistribution redistribution = Redistribution::kSplit;
  std::string fingerprint;
  StateType element;  ///< once registered
  bool registered = false;
  std::vector<std::string> items;
};

/// A broadcast state: canonical map key -> encoded value.
struct OperatorMap {
  std::string fingerprint;
  StateType key;  ///< once registered
  StateType value;
  bool registered = false;
  std::map<std::string, std::string, std::less<>> entries;
};

/// The operator state that user functions of one subtask asked for by name, and what was restored
/// and nobody asked for yet: both go into every snapshot.
///
/// In OperatorState names carry a prefix, so that they never meet those of the engine's own lists.
/// Pointers handed out are good until Clear().
/// Threading: owned by one task thread.
class OperatorStateStore {
 public:
  /// Takes over what a checkpoint held; kCorruption when it cannot be that.
  Status Load(const OperatorState& restored);
  /// The list of this name, made when new. kInvalidArgument, with both shown, when it is there as
  /// something else.
  Result<OperatorList*> List(const std::string& name, Redistribution redistribution,
                             const StateType& element);
  Result<OperatorMap*> Map(const std::string& name, const StateType& key, const StateType& value);
  /// The broadcast state of this name; null when it was not registered.
  OperatorMap* FindMap(const std::string& name);

  bool empty() const { return lists_.empty() && maps_.empty(); }
  void Save(OperatorState* state) const;
  std::vector<StateRegistration> Registry() const;
  /// Names of registered lists, or of registered broadcast states.
  std::vector<std::string> ListNames() const;
  std::vector<std::string> MapNames() const;
  void Clear();

 private:
  std::map<std::string, OperatorList> lists_;
  std::map<std::string, OperatorMap> maps_;
};

}  // namespace headrace::bindings
