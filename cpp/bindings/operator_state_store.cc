#include "bindings/operator_state_store.h"

#include <utility>

namespace headrace::bindings {
namespace {

// Before the names of users' lists in OperatorState.
constexpr std::string_view kPrefix = "user/";

int64_t BytesOf(const std::vector<std::string>& items) {
  int64_t bytes = 0;
  for (const std::string& item : items) bytes += static_cast<int64_t>(item.size());
  return bytes;
}

Status Differs(const std::string& name, bool registered, const std::string& there,
               const std::string& wanted) {
  return Status::InvalidArgument(
      "operator state '" + name + "' is " + (registered ? "registered" : "stored") + " as " +
      there + " and cannot be used as " + wanted + "; give one of them another name");
}

}  // namespace

Status OperatorStateStore::Load(const OperatorState& restored) {
  for (const auto& [full_name, list] : restored.lists()) {
    if (list.fingerprint.empty() || !full_name.starts_with(kPrefix)) continue;
    const std::string name = full_name.substr(kPrefix.size());
    if (list.redistribution != Redistribution::kCopy) {
      lists_[name] = {list.redistribution, list.fingerprint, {}, false, list.items};
      continue;
    }
    if (list.items.size() % 2 != 0) {
      return Status::Corruption("broadcast state '" + name + "' has a key without a value");
    }
    OperatorMap& map = maps_[name];
    map.fingerprint = list.fingerprint;
    for (size_t i = 0; i < list.items.size(); i += 2) {
      map.entries.emplace(list.items[i], list.items[i + 1]);
    }
  }
  return Status::Ok();
}

Result<OperatorList*> OperatorStateStore::List(const std::string& name,
                                               Redistribution redistribution,
                                               const StateType& element) {
  const std::string fingerprint =
      (redistribution == Redistribution::kUnion ? "union-list<" : "list<") + element.Name() + ">";
  if (const auto map = maps_.find(name); map != maps_.end()) {
    return Differs(name, map->second.registered, map->second.fingerprint, fingerprint);
  }
  OperatorList& list = lists_[name];
  if (list.fingerprint.empty()) list.fingerprint = fingerprint;
  if (list.fingerprint != fingerprint) {
    return Differs(name, list.registered, list.fingerprint, fingerprint);
  }
  list.redistribution = redistribution;
  list.element = element;
  list.registered = true;
  return &list;
}

Result<OperatorMap*> OperatorStateStore::Map(const std::string& name, const StateType& key,
                                             const StateType& value) {
  const std::string fingerprint = "broadcast<" + key.Name() + ", " + value.Name() + ">";
  if (const auto list = lists_.find(name); list != lists_.end()) {
    return Differs(name, list->second.registered, list->second.fingerprint, fingerprint);
  }
  OperatorMap& map = maps_[name];
  if (map.fingerprint.empty()) map.fingerprint = fingerprint;
  if (map.fingerprint != fingerprint) {
    return Differs(name, map.registered, map.fingerprint, fingerprint);
  }
  map.key = key;
  map.value = value;
  map.registered = true;
  return &map;
}

OperatorMap* OperatorStateStore::FindMap(const std::string& name) {
  const auto found = maps_.find(name);
  return found != maps_.end() && found->second.registered ? &found->second : nullptr;
}

void OperatorStateStore::Save(OperatorState* state) const {
  for (const auto& [name, list] : lists_) {
    state->Set(std::string(kPrefix) + name, list.redistribution, list.items, list.fingerprint);
  }
  for (const auto& [name, map] : maps_) {
    std::vector<std::string> items;
    items.reserve(2 * map.entries.size());
    for (const auto& [key, value] : map.entries) {
      items.push_back(key);
      items.push_back(value);
    }
    state->Set(std::string(kPrefix) + name, Redistribution::kCopy, std::move(items),
               map.fingerprint);
  }
}

std::vector<StateRegistration> OperatorStateStore::Registry() const {
  std::vector<StateRegistration> registry;
  for (const auto& [name, list] : lists_) {
    registry.push_back({name, list.fingerprint, TableKind::kOperatorState, BytesOf(list.items),
                        static_cast<int64_t>(list.items.size())});
  }
  for (const auto& [name, map] : maps_) {
    int64_t bytes = 0;
    for (const auto& [key, value] : map.entries) {
      bytes += static_cast<int64_t>(key.size() + value.size());
    }
    registry.push_back({name, map.fingerprint, TableKind::kOperatorState, bytes,
                        static_cast<int64_t>(map.entries.size())});
  }
  return registry;
}

std::vector<std::string> OperatorStateStore::ListNames() const {
  std::vector<std::string> names;
  for (const auto& [name, list] : lists_) {
    if (list.registered) names.push_back(name);
  }
  return names;
}

std::vector<std::string> OperatorStateStore::MapNames() const {
  std::vector<std::string> names;
  for (const auto& [name, map] : maps_) {
    if (map.registered) names.push_back(name);
  }
  return names;
}

void OperatorStateStore::Clear() {
  lists_.clear();
  maps_.clear();
}

}  // namespace headrace::bindings
