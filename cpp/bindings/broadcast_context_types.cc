#include "bindings/broadcast_context_types.h"

#include <map>
#include <string>

#include "bindings/context_types.h"
#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/operator_state_types.h"
#include "bindings/state_descriptor.h"

namespace headrace::bindings {
namespace {

PyTypeObject* types[4] = {};  // by BroadcastSide

struct BroadcastContext {
  TaskScopePtr scope;
  bool writable;
  PyRef timer_service;
  std::map<std::string, PyRef> states;  // handed out before
};
using Handle = Boxed<BroadcastContext>;

PyObject* Timestamp(PyObject* self, PyObject*) {
  const TimestampMs timestamp = Handle::Of(self).scope->cursor.timestamp;
  if (timestamp == kNoTimestamp) Py_RETURN_NONE;
  return PyLong_FromLongLong(timestamp);
}

PyObject* CurrentProcessingTime(PyObject* self, PyObject*) {
  Env* env = Handle::Of(self).scope->context.env;
  return PyLong_FromLongLong((env ? *env : RealEnv()).NowMs());
}

PyObject* CurrentWatermark(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(Handle::Of(self).scope->cursor.watermark);
}

PyObject* RaiseNotBroadcast(OperatorStateStore& states, const std::string& name) {
  std::string known;
  for (const std::string& one : states.MapNames()) {
    known.append(known.empty() ? "" : ", ").append("'" + one + "'");
  }
  return PyErr_Format(InvalidArgumentClass(),
                      "broadcast state '%s' is not among those that were given to broadcast(): %s",
                      name.c_str(), known.c_str());
}

PyObject* GetBroadcastState(PyObject* self, PyObject* descriptor) {
  BroadcastContext& context = Handle::Of(self);
  std::string name;
  if (context.scope->closed) return RaiseClosed("a broadcast context");
  if (!ReadDescriptorName(descriptor, &name)) return nullptr;
  PyRef& handle = context.states[name];
  if (!handle) {
    OperatorStateStore& states = context.scope->operator_states;
    OperatorMap* map = states.FindMap(name);
    if (!map) return RaiseNotBroadcast(states, name);
    handle = PyRef::Steal(NewBroadcastState(context.scope, name, map, context.writable));
    if (!handle) return nullptr;
  }
  return Py_NewRef(handle.get());
}

PyObject* TimerServiceOf(PyObject* self, PyObject*) {
  return Py_NewRef(Handle::Of(self).timer_service.get());
}

PyObject* GetCurrentKey(PyObject* self, PyObject*) {
  return Handle::Of(self).scope->cursor.CurrentKey();
}

PyObject* TimeDomainName(PyObject* self, PyObject*) {
  return TimeDomainOf(Handle::Of(self).scope->cursor.domain);
}

constexpr PyMethodDef kTimestamp = {"timestamp", Timestamp, METH_NOARGS,
                                    "Event time of the record in ms, None when it has none."};
constexpr PyMethodDef kProcessingTime = {"current_processing_time", CurrentProcessingTime,
                                         METH_NOARGS, "Wall clock in ms."};
constexpr PyMethodDef kWatermark = {"current_watermark", CurrentWatermark, METH_NOARGS,
                                    "Event time reached."};
constexpr PyMethodDef kStates = {"get_broadcast_state", GetBroadcastState, METH_O,
                                 "The broadcast state of a MapStateDescriptor."};
constexpr PyMethodDef kTimers = {"timer_service", TimerServiceOf, METH_NOARGS, "Time and timers."};
constexpr PyMethodDef kKey = {"get_current_key", GetCurrentKey, METH_NOARGS, "The record's key."};
constexpr PyMethodDef kDomain = {"time_domain", TimeDomainName, METH_NOARGS,
                                 "Event or processing time."};
constexpr PyMethodDef kEnd = {nullptr, nullptr, 0, nullptr};

PyMethodDef plain_methods[] = {kTimestamp, kProcessingTime, kWatermark, kStates, kEnd};
PyMethodDef keyed_methods[] = {kTimestamp, kProcessingTime, kWatermark, kStates, kTimers, kKey,
                               kEnd};
PyMethodDef timer_methods[] = {kTimestamp, kProcessingTime, kWatermark, kStates, kTimers,
                               kKey,       kDomain,         kEnd};

}  // namespace

bool AddBroadcastContextTypes(PyObject* module) {
  struct {
    BroadcastSide side;
    const char* name;
    PyMethodDef* methods;
  } const all[] = {
      {BroadcastSide::kBroadcast, "headrace._core.BroadcastContext", plain_methods},
      {BroadcastSide::kPlain, "headrace._core.ReadOnlyBroadcastContext", plain_methods},
      {BroadcastSide::kKeyed, "headrace._core.KeyedReadOnlyBroadcastContext", keyed_methods},
      {BroadcastSide::kTimer, "headrace._core.BroadcastOnTimerContext", timer_methods},
  };
  for (const auto& one : all) {
    PyType_Slot slots[] = {{Py_tp_methods, one.methods}, {0, nullptr}};
    PyTypeObject* type = Handle::MakeType(module, one.name, slots);
    if (!type) return false;
    types[static_cast<size_t>(one.side)] = type;
  }
  return true;
}

PyObject* NewBroadcastContext(const TaskScopePtr& scope, BroadcastSide side) {
  PyRef timers = PyRef::Steal(NewTimerService(scope));
  if (!timers) return nullptr;
  return Handle::New(
      types[static_cast<size_t>(side)],
      BroadcastContext{scope, side == BroadcastSide::kBroadcast, std::move(timers), {}});
}

}  // namespace headrace::bindings
