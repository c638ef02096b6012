#include "bindings/runtime_context_type.h"

#include <map>
#include <string>

#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/state_descriptor.h"
#include "bindings/state_evolution.h"
#include "bindings/state_handles.h"

namespace headrace::bindings {
namespace {

PyTypeObject* runtime_context_type = nullptr;
PyTypeObject* metric_group_type = nullptr;
PyTypeObject* counter_type = nullptr;

struct RuntimeContext {
  TaskScopePtr scope;
  bool per_window;
};
using ContextHandle = Boxed<RuntimeContext>;

struct MetricGroup {
  TaskScopePtr scope;
  std::string prefix;
};
using GroupHandle = Boxed<MetricGroup>;

struct CounterRef {
  TaskScopePtr scope;
  Counter* counter;  // null when the operator has no metrics (tests)
  int64_t own = 0;   // what was counted through this handle's operator, also after it closed
};
using CounterHandle = Boxed<CounterRef>;

const OperatorContext& ContextOf(PyObject* self) { return ContextHandle::Of(self).scope->context; }

PyObject* NewText(const std::string& text) {
  return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

// ---- The task ----

PyObject* GetTaskName(PyObject* self, PyObject*) { return NewText(ContextOf(self).name); }

PyObject* GetTaskNameWithSubtasks(PyObject* self, PyObject*) {
  const OperatorContext& context = ContextOf(self);
  return NewText(context.name + " (" + std::to_string(context.subtask_index + 1) + "/" +
                 std::to_string(context.parallelism) + ")");
}

PyObject* GetParallelism(PyObject* self, PyObject*) {
  return PyLong_FromLong(ContextOf(self).parallelism);
}
PyObject* GetMaxParallelism(PyObject* self, PyObject*) {
  return PyLong_FromLong(ContextOf(self).max_parallelism);
}
PyObject* GetIndex(PyObject* self, PyObject*) {
  return PyLong_FromLong(ContextOf(self).subtask_index);
}
PyObject* GetAttempt(PyObject* self, PyObject*) { return PyLong_FromLong(ContextOf(self).attempt); }

PyObject* GetJobParameter(PyObject* self, PyObject* args) {
  const char* key = nullptr;
  PyObject* fallback = Py_None;
  if (!PyArg_ParseTuple(args, "s|O", &key, &fallback)) return nullptr;
  const std::map<std::string, std::string>* parameters = ContextOf(self).job_parameters;
  if (!parameters) return Py_NewRef(fallback);
  const auto found = parameters->find(key);
  return found == parameters->end() ? Py_NewRef(fallback) : NewText(found->second);
}

// ---- State ----

/// False with a Python error set where there is no keyed state to give.
bool HasKeyedState(const RuntimeContext& context) {
  if (context.scope->cursor.state) return true;
  PyErr_SetString(FailedPreconditionClass(),
                  "keyed state needs a keyed stream: call key_by() first, and ask for state in "
                  "open()");
  return false;
}

/// What every kind of state is asked for with. False with a Python error set.
bool ReadUse(const RuntimeContext& context, PyObject* descriptor, std::string* name,
             StateUse* use) {
  use->per_window = context.per_window;
  return HasKeyedState(context) && ReadDescriptorName(descriptor, name) &&
         ReadDescriptorTtl(descriptor, &use->ttl);
}

/// EvolveStoredState() with the types that the descriptor has; `key` null but for maps. False with
/// a Python error set.
bool Evolve(PyObject* self, const std::string& name, PyObject* descriptor, const char* kind,
            const StateType* key, const char* attribute, const StateType& type,
            const StateUse& use) {
  PyRef info = PyRef::Steal(PyObject_GetAttrString(descriptor, attribute));
  if (!info) return false;
  const DeclaredType declared_key{key ? *key : type, nullptr};
  const Status status =
      EvolveStoredState(ContextHandle::Of(self).scope->cursor.state, name, kind,
                        key ? &declared_key : nullptr, DeclaredType{type, info.get()}, use);
  if (!status.ok()) SetPythonError(status);
  return status.ok();
}

/// The handle of a state that was just registered, once the state has the compression its
/// descriptor asks for.
PyObject* Compressed(PyObject* self, PyObject* descriptor, const std::string& name,
                     PyObject* handle) {
  PyRef made = PyRef::Steal(handle);
  if (!made) return nullptr;
  PyRef text = PyRef::Steal(PyObject_GetAttrString(descriptor, "compression"));
  if (!text) {
    PyErr_Clear();  // a descriptor of the user's own
    return made.Release();
  }
  if (text.get() == Py_None) return made.Release();
  const Result<Compression> compression =
      ParseCompression(PyUnicode_Check(text.get()) ? TextOf(text.get()) : "");
  if (!compression.ok()) {
    SetPythonError(compression.status().WithContext("state '" + name + "'"));
    return nullptr;
  }
  ContextHandle::Of(self).scope->cursor.state->SetCompression(name, *compression);
  return made.Release();
}

PyObject* GetState(PyObject* self, PyObject* descriptor) {
  const RuntimeContext& context = ContextHandle::Of(self);
  std::string name;
  StateUse use;
  StateType type;
  if (!ReadUse(context, descriptor, &name, &use) ||
      !ReadDescriptorType(descriptor, "type_info", &type) ||
      !Evolve(self, name, descriptor, "value", nullptr, "type_info", type, use)) {
    return nullptr;
  }
  return Compressed(self, descriptor, name, NewValueState(context.scope, name, type, use));
}

PyObject* GetListState(PyObject* self, PyObject* descriptor) {
  const RuntimeContext& context = ContextHandle::Of(self);
  std::string name;
  StateUse use;
  StateType element;
  if (!ReadUse(context, descriptor, &name, &use) ||
      !ReadDescriptorType(descriptor, "element_type_info", &element) ||
      !Evolve(self, name, descriptor, "list", nullptr, "element_type_info", element, use)) {
    return nullptr;
  }
  return Compressed(self, descriptor, name, NewListState(context.scope, name, element, use));
}

PyObject* GetMapState(PyObject* self, PyObject* descriptor) {
  const RuntimeContext& context = ContextHandle::Of(self);
  std::string name;
  StateUse use;
  StateType key, value;
  if (!ReadUse(context, descriptor, &name, &use) ||
      !ReadDescriptorType(descriptor, "key_type_info", &key) ||
      !ReadDescriptorType(descriptor, "value_type_info", &value) ||
      !Evolve(self, name, descriptor, "map", &key, "value_type_info", value, use)) {
    return nullptr;
  }
  return Compressed(self, descriptor, name, NewMapState(context.scope, name, key, value, use));
}

using NewFold = PyObject* (*)(const TaskScopePtr&, const std::string&, PyObject*, const StateType&,
                              const StateUse&);

PyObject* GetFoldingState(PyObject* self, PyObject* descriptor, const char* kind,
                          const char* function_name, NewFold make) {
  const RuntimeContext& context = ContextHandle::Of(self);
  std::string name;
  StateUse use;
  StateType type;
  if (!ReadUse(context, descriptor, &name, &use)) return nullptr;
  PyRef function = PyRef::Steal(ReadDescriptorAttribute(descriptor, function_name));
  if (!function || !ReadDescriptorType(descriptor, "type_info", &type) ||
      !Evolve(self, name, descriptor, kind, nullptr, "type_info", type, use)) {
    return nullptr;
  }
  return Compressed(self, descriptor, name, make(context.scope, name, function.get(), type, use));
}

PyObject* GetReducingState(PyObject* self, PyObject* descriptor) {
  return GetFoldingState(self, descriptor, "reducing", "reduce_function", NewReducingState);
}

PyObject* GetAggregatingState(PyObject* self, PyObject* descriptor) {
  return GetFoldingState(self, descriptor, "aggregating", "agg_function", NewAggregatingState);
}

// ---- Metrics ----

PyObject* GetMetricsGroup(PyObject* self, PyObject*) {
  return GroupHandle::New(metric_group_type, MetricGroup{ContextHandle::Of(self).scope, {}});
}

PyObject* AddGroup(PyObject* self, PyObject* args) {
  const char *name = nullptr, *extra = nullptr;
  if (!PyArg_ParseTuple(args, "s|z", &name, &extra)) return nullptr;
  MetricGroup group = GroupHandle::Of(self);
  group.prefix.append(name).append(".");
  if (extra) group.prefix.append(extra).append(".");
  return GroupHandle::New(metric_group_type, std::move(group));
}

PyObject* MakeCounter(PyObject* self, PyObject* name) {
  const MetricGroup& group = GroupHandle::Of(self);
  if (!PyUnicode_Check(name)) return PyErr_Format(PyExc_TypeError, "a counter's name is a str");
  TaskMetrics* metrics = group.scope->context.metrics;
  Counter* counter =
      metrics ? &metrics->UserCounter("user." + group.prefix + TextOf(name)) : nullptr;
  return CounterHandle::New(counter_type, CounterRef{group.scope, counter});
}

PyObject* AddToCounter(PyObject* self, PyObject* const* args, Py_ssize_t nargs, int sign) {
  long long amount = 1;
  if (nargs > 1) return PyErr_Format(PyExc_TypeError, "one number at most is expected");
  if (nargs == 1) {
    amount = PyLong_AsLongLong(args[0]);
    if (amount == -1 && PyErr_Occurred()) return nullptr;
  }
  CounterRef& ref = CounterHandle::Of(self);
  ref.own += sign * amount;
  // The numbers are the attempt's: a handle that outlives it counts for itself only.
  if (ref.counter && ref.scope->context.metrics) ref.counter->Add(sign * amount);
  Py_RETURN_NONE;
}

PyObject* Increment(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  return AddToCounter(self, args, nargs, 1);
}
PyObject* Decrement(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  return AddToCounter(self, args, nargs, -1);
}
PyObject* GetCount(PyObject* self, PyObject*) {
  const CounterRef& ref = CounterHandle::Of(self);
  const bool live = ref.counter && ref.scope->context.metrics;
  return PyLong_FromLongLong(live ? ref.counter->value() : ref.own);
}

PyMethodDef context_methods[] = {
    {"get_task_name", GetTaskName, METH_NOARGS, "Name of the operator."},
    {"get_task_name_with_subtasks", GetTaskNameWithSubtasks, METH_NOARGS,
     "Name of the operator and number of the subtask, from 1."},
    {"get_number_of_parallel_subtasks", GetParallelism, METH_NOARGS,
     "How many subtasks the operator has."},
    {"get_max_number_of_parallel_subtasks", GetMaxParallelism, METH_NOARGS,
     "The operator's max parallelism."},
    {"get_index_of_this_subtask", GetIndex, METH_NOARGS, "Number of this subtask, from 0."},
    {"get_attempt_number", GetAttempt, METH_NOARGS, "0 at the first start."},
    {"get_job_parameter", GetJobParameter, METH_VARARGS,
     "The global job parameter of that name, or the given default."},
    {"get_metrics_group", GetMetricsGroup, METH_NOARGS, "Where metrics are made."},
    {"get_state", GetState, METH_O, "The value state of a ValueStateDescriptor."},
    {"get_list_state", GetListState, METH_O, "The list state of a ListStateDescriptor."},
    {"get_map_state", GetMapState, METH_O, "The map state of a MapStateDescriptor."},
    {"get_reducing_state", GetReducingState, METH_O,
     "The reducing state of a ReducingStateDescriptor."},
    {"get_aggregating_state", GetAggregatingState, METH_O,
     "The aggregating state of an AggregatingStateDescriptor."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef group_methods[] = {
    {"add_group", AddGroup, METH_VARARGS, "A group whose metrics carry the name in front."},
    {"counter", MakeCounter, METH_O, "The counter of that name."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef counter_methods[] = {
    {"inc", MethodOf(Increment), METH_FASTCALL, "Adds n, 1 unless given."},
    {"dec", MethodOf(Decrement), METH_FASTCALL, "Takes n off, 1 unless given."},
    {"get_count", GetCount, METH_NOARGS, "The count so far in this subtask."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddRuntimeContextTypes(PyObject* module) {
  PyType_Slot context_slots[] = {{Py_tp_methods, context_methods}, {0, nullptr}};
  PyType_Slot group_slots[] = {{Py_tp_methods, group_methods}, {0, nullptr}};
  PyType_Slot counter_slots[] = {{Py_tp_methods, counter_methods}, {0, nullptr}};
  runtime_context_type =
      ContextHandle::MakeType(module, "headrace._core.RuntimeContext", context_slots);
  metric_group_type = GroupHandle::MakeType(module, "headrace._core.MetricGroup", group_slots);
  counter_type = CounterHandle::MakeType(module, "headrace._core.Counter", counter_slots);
  return runtime_context_type && metric_group_type && counter_type;
}

PyObject* NewRuntimeContext(const TaskScopePtr& scope, bool per_window) {
  return ContextHandle::New(runtime_context_type, RuntimeContext{scope, per_window});
}

}  // namespace headrace::bindings
