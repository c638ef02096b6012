#include "bindings/checkpoint_context_types.h"

#include <string>

#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/operator_state_types.h"
#include "bindings/runtime_context_type.h"
#include "bindings/state_descriptor.h"
#include "bindings/state_evolution.h"

namespace headrace::bindings {
namespace {

PyTypeObject* initialization_context_type = nullptr;
PyTypeObject* snapshot_context_type = nullptr;
PyTypeObject* operator_state_store_type = nullptr;

struct InitializationContext {
  TaskScopePtr scope;
};
using InitializationHandle = Boxed<InitializationContext>;

struct SnapshotContext {
  uint64_t checkpoint_id;
  int64_t timestamp_ms;
};
using SnapshotHandle = Boxed<SnapshotContext>;

struct StoreRef {
  TaskScopePtr scope;
};
using StoreHandle = Boxed<StoreRef>;

// ---- FunctionInitializationContext ----

PyObject* IsRestored(PyObject* self, PyObject*) {
  return PyBool_FromLong(InitializationHandle::Of(self).scope->context.restored);
}

PyObject* RestoredCheckpointId(PyObject* self, PyObject*) {
  const OperatorContext& context = InitializationHandle::Of(self).scope->context;
  if (!context.restored) Py_RETURN_NONE;
  return PyLong_FromUnsignedLongLong(context.restored_checkpoint);
}

PyObject* OperatorStates(PyObject* self, PyObject*) {
  return StoreHandle::New(operator_state_store_type,
                          StoreRef{InitializationHandle::Of(self).scope});
}

PyObject* KeyedStates(PyObject* self, PyObject*) {
  return NewRuntimeContext(InitializationHandle::Of(self).scope);
}

PyMethodDef initialization_methods[] = {
    {"is_restored", IsRestored, METH_NOARGS, "True when state was restored from a checkpoint."},
    {"get_restored_checkpoint_id", RestoredCheckpointId, METH_NOARGS,
     "Id of the checkpoint that was restored, None when none was."},
    {"get_operator_state_store", OperatorStates, METH_NOARGS, "Where operator state is made."},
    {"get_keyed_state_store", KeyedStates, METH_NOARGS, "Where keyed state is made."},
    {nullptr, nullptr, 0, nullptr},
};

// ---- FunctionSnapshotContext ----

PyObject* CheckpointIdOf(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(SnapshotHandle::Of(self).checkpoint_id);
}

PyObject* CheckpointTimestamp(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(SnapshotHandle::Of(self).timestamp_ms);
}

PyMethodDef snapshot_methods[] = {
    {"get_checkpoint_id", CheckpointIdOf, METH_NOARGS, "Id of the checkpoint being taken."},
    {"get_checkpoint_timestamp", CheckpointTimestamp, METH_NOARGS,
     "Wall clock in ms when the barrier came to this subtask."},
    {nullptr, nullptr, 0, nullptr},
};

// ---- OperatorStateStore ----

PyObject* GetList(PyObject* self, PyObject* descriptor, Redistribution redistribution) {
  const TaskScopePtr& scope = StoreHandle::Of(self).scope;
  if (scope->closed) return RaiseClosed("an operator state store");
  std::string name;
  StateType element;
  if (!ReadDescriptorName(descriptor, &name) || !RefuseDescriptorTtl(descriptor, name) ||
      !ReadDescriptorType(descriptor, "element_type_info", &element)) {
    return nullptr;
  }
  PyRef info = PyRef::Steal(PyObject_GetAttrString(descriptor, "element_type_info"));
  if (!info) return nullptr;
  const Status evolved = EvolveStoredList(&scope->operator_states, name, redistribution,
                                          DeclaredType{element, info.get()});
  if (!evolved.ok()) {
    SetPythonError(evolved);
    return nullptr;
  }
  return NewOperatorList(scope, name, redistribution, element);
}

PyObject* GetSplitList(PyObject* self, PyObject* descriptor) {
  return GetList(self, descriptor, Redistribution::kSplit);
}

PyObject* GetUnionList(PyObject* self, PyObject* descriptor) {
  return GetList(self, descriptor, Redistribution::kUnion);
}

PyObject* GetBroadcast(PyObject* self, PyObject* descriptor) {
  const TaskScopePtr& scope = StoreHandle::Of(self).scope;
  if (scope->closed) return RaiseClosed("an operator state store");
  std::string name;
  OperatorMap* map = RegisterBroadcastState(scope, descriptor, &name);
  return map ? NewBroadcastState(scope, name, map, /*writable=*/true) : nullptr;
}

PyObject* NewSet(const std::vector<std::string>& names) {
  PyRef set = PyRef::Steal(PySet_New(nullptr));
  for (const std::string& name : names) {
    PyRef text = PyRef::Steal(
        PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
    if (!set || !text || PySet_Add(set.get(), text.get()) < 0) return nullptr;
  }
  return set.Release();
}

PyObject* ListNames(PyObject* self, PyObject*) {
  return NewSet(StoreHandle::Of(self).scope->operator_states.ListNames());
}

PyObject* BroadcastNames(PyObject* self, PyObject*) {
  return NewSet(StoreHandle::Of(self).scope->operator_states.MapNames());
}

PyMethodDef store_methods[] = {
    {"get_list_state", GetSplitList, METH_O,
     "The list of a ListStateDescriptor; its elements are dealt out when parallelism changes."},
    {"get_union_list_state", GetUnionList, METH_O,
     "The list of a ListStateDescriptor; restored, every subtask has all elements."},
    {"get_broadcast_state", GetBroadcast, METH_O,
     "The broadcast state of a MapStateDescriptor, which must be the same in all subtasks."},
    {"get_registered_state_names", ListNames, METH_NOARGS, "Names of the lists, as a set."},
    {"get_registered_broadcast_state_names", BroadcastNames, METH_NOARGS,
     "Names of the broadcast states, as a set."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddCheckpointContextTypes(PyObject* module) {
  PyType_Slot initialization_slots[] = {{Py_tp_methods, initialization_methods}, {0, nullptr}};
  PyType_Slot snapshot_slots[] = {{Py_tp_methods, snapshot_methods}, {0, nullptr}};
  PyType_Slot store_slots[] = {{Py_tp_methods, store_methods}, {0, nullptr}};
  initialization_context_type = InitializationHandle::MakeType(
      module, "headrace._core.FunctionInitializationContext", initialization_slots);
  snapshot_context_type =
      SnapshotHandle::MakeType(module, "headrace._core.FunctionSnapshotContext", snapshot_slots);
  operator_state_store_type =
      StoreHandle::MakeType(module, "headrace._core.OperatorStateStore", store_slots);
  return initialization_context_type && snapshot_context_type && operator_state_store_type;
}

Status CheckpointedCallbacks::Initialize(PyObject* function, const TaskScopePtr& scope) {
  if (!function || PyFunction_Check(function) || PyType_Check(function)) return Status::Ok();
  if (PyObject_HasAttrString(function, "snapshot_state")) {
    HR_ASSIGN_OR_RETURN(snapshot_, UserFunction::Bind(function, "snapshot_state"));
  }
  if (!PyObject_HasAttrString(function, "initialize_state")) return Status::Ok();
  HR_ASSIGN_OR_RETURN(const UserFunction initialize,
                      UserFunction::Bind(function, "initialize_state"));
  PyRef context = PyRef::Steal(
      InitializationHandle::New(initialization_context_type, InitializationContext{scope}));
  PyRef done = PyRef::Steal(context ? initialize.Call(context.get()) : nullptr);
  return done ? Status::Ok() : UserErrorFromPython(initialize.what(), nullptr);
}

Status CheckpointedCallbacks::Snapshot(uint64_t checkpoint_id, const TaskScopePtr& scope) const {
  if (!snapshot_) return Status::Ok();
  Env* env = scope->context.env;
  PyRef context = PyRef::Steal(SnapshotHandle::New(
      snapshot_context_type, SnapshotContext{checkpoint_id, (env ? *env : RealEnv()).NowMs()}));
  PyRef done = PyRef::Steal(context ? snapshot_.Call(context.get()) : nullptr);
  return done ? Status::Ok() : UserErrorFromPython(snapshot_.what(), nullptr);
}

}  // namespace headrace::bindings
