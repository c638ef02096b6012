#include "bindings/context_types.h"

#include "bindings/boxing.h"
#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/value_copy.h"

namespace headrace::bindings {
namespace {

PyTypeObject* context_type = nullptr;
PyTypeObject* timer_context_type = nullptr;
PyTypeObject* timer_service_type = nullptr;
PyTypeObject* collector_type = nullptr;

struct Timers {
  TaskScopePtr scope;
};
using TimersHandle = Boxed<Timers>;

struct Context {
  TaskScopePtr scope;
  const KeyCursor* cursor;
  PyRef timer_service;
};
using ContextHandle = Boxed<Context>;
using CollectorHandle = Boxed<CollectedPtr>;

// ---- TimerService ----

PyObject* CurrentProcessingTime(PyObject* self, PyObject*) {
  Env* env = TimersHandle::Of(self).scope->context.env;
  return PyLong_FromLongLong(env ? env->NowMs() : RealEnv().NowMs());
}

PyObject* CurrentWatermark(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(TimersHandle::Of(self).scope->cursor.watermark);
}

template <typename Action>
PyObject* WithTimer(PyObject* self, PyObject* time, Action action) {
  const KeyCursor& cursor = TimersHandle::Of(self).scope->cursor;
  if (!cursor.state) {
    PyErr_SetString(FailedPreconditionClass(),
                    "timers need a keyed stream: call key_by() before process()");
    return nullptr;
  }
  if (cursor.id == kNoKey) return RaiseNoKey("a timer");
  int overflow = 0;
  PyRef index = PyRef::Steal(PyNumber_Index(time));
  if (!index) return nullptr;
  const long long at = PyLong_AsLongLongAndOverflow(index.get(), &overflow);
  if (overflow != 0)
    return PyErr_Format(InvalidArgumentClass(), "timer at %S is out of range", time);
  action(cursor, at);
  Py_RETURN_NONE;
}

template <TimeDomain kDomain>
PyObject* Register(PyObject* self, PyObject* time) {
  return WithTimer(self, time, [](const KeyCursor& cursor, TimestampMs at) {
    cursor.state->timers().Register(kDomain, cursor.id, {}, at);
  });
}

template <TimeDomain kDomain>
PyObject* Delete(PyObject* self, PyObject* time) {
  return WithTimer(self, time, [](const KeyCursor& cursor, TimestampMs at) {
    cursor.state->timers().Delete(kDomain, cursor.id, {}, at);
  });
}

PyMethodDef timer_methods[] = {
    {"current_processing_time", CurrentProcessingTime, METH_NOARGS, "Wall clock in ms."},
    {"current_watermark", CurrentWatermark, METH_NOARGS, "Event time reached."},
    {"register_event_time_timer", Register<TimeDomain::kEventTime>, METH_O,
     "Calls on_timer when the watermark reaches the time (ms)."},
    {"register_processing_time_timer", Register<TimeDomain::kProcessingTime>, METH_O,
     "Calls on_timer when the wall clock reaches the time (ms)."},
    {"delete_event_time_timer", Delete<TimeDomain::kEventTime>, METH_O, "Takes a timer back."},
    {"delete_processing_time_timer", Delete<TimeDomain::kProcessingTime>, METH_O,
     "Takes a timer back."},
    {nullptr, nullptr, 0, nullptr},
};

// ---- Context ----

PyObject* Timestamp(PyObject* self, PyObject*) {
  const TimestampMs timestamp = ContextHandle::Of(self).cursor->timestamp;
  if (timestamp == kNoTimestamp) Py_RETURN_NONE;
  return PyLong_FromLongLong(timestamp);
}

PyObject* TimerServiceOf(PyObject* self, PyObject*) {
  return Py_NewRef(ContextHandle::Of(self).timer_service.get());
}

PyObject* GetCurrentKey(PyObject* self, PyObject*) {
  return ContextHandle::Of(self).cursor->CurrentKey();
}

PyObject* TimerDomain(PyObject* self, PyObject*) {
  return TimeDomainOf(ContextHandle::Of(self).cursor->domain);
}

PyMethodDef timer_context_methods[] = {
    {"timestamp", Timestamp, METH_NOARGS, "Time of the timer in ms."},
    {"timer_service", TimerServiceOf, METH_NOARGS, "Time and timers."},
    {"get_current_key", GetCurrentKey, METH_NOARGS, "The timer's key."},
    {"time_domain", TimerDomain, METH_NOARGS, "Event or processing time."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef context_methods[] = {
    {"timestamp", Timestamp, METH_NOARGS, "Event time of the record in ms, None when it has none."},
    {"timer_service", TimerServiceOf, METH_NOARGS, "Time and timers."},
    {"get_current_key", GetCurrentKey, METH_NOARGS, "The record's key."},
    {nullptr, nullptr, 0, nullptr},
};

PyObject* MakeContext(PyTypeObject* type, const TaskScopePtr& scope) {
  PyRef timers = PyRef::Steal(NewTimerService(scope));
  if (!timers) return nullptr;
  return ContextHandle::New(type, Context{scope, &scope->cursor, std::move(timers)});
}

// ---- Collector ----

PyObject* Collect(PyObject* self, PyObject* value) {
  Collected& collected = *CollectorHandle::Of(self);
  // The caller's frame may go on changing the value after this call.
  PyObject* passed =
      collected.reuse_objects ? Py_NewRef(value) : PassOutBorrowed(value, collected.input);
  if (!passed) return nullptr;
  collected.values.push_back(passed);
  Py_RETURN_NONE;
}

PyMethodDef collector_methods[] = {
    {"collect", Collect, METH_O, "Emits a value."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

Collected::~Collected() {
  for (PyObject* value : values) ReleaseReference(value);
}

bool AddContextTypes(PyObject* module) {
  PyType_Slot context_slots[] = {{Py_tp_methods, context_methods}, {0, nullptr}};
  PyType_Slot timer_context_slots[] = {{Py_tp_methods, timer_context_methods}, {0, nullptr}};
  PyType_Slot timer_slots[] = {{Py_tp_methods, timer_methods}, {0, nullptr}};
  PyType_Slot collector_slots[] = {{Py_tp_methods, collector_methods}, {0, nullptr}};
  context_type = ContextHandle::MakeType(module, "headrace._core.Context", context_slots);
  timer_context_type =
      ContextHandle::MakeType(module, "headrace._core.OnTimerContext", timer_context_slots);
  timer_service_type = TimersHandle::MakeType(module, "headrace._core.TimerService", timer_slots);
  collector_type = CollectorHandle::MakeType(module, "headrace._core.Collector", collector_slots);
  return context_type && timer_context_type && timer_service_type && collector_type;
}

PyObject* NewTimerService(const TaskScopePtr& scope) {
  return TimersHandle::New(timer_service_type, Timers{scope});
}

PyObject* TimeDomainOf(TimeDomain domain) {
  PyRef module = PyRef::Steal(PyImport_ImportModule("headrace.datastream.time_domain"));
  PyRef domains =
      PyRef::Steal(module ? PyObject_GetAttrString(module.get(), "TimeDomain") : nullptr);
  if (!domains) return nullptr;
  const bool event_time = domain == TimeDomain::kEventTime;
  return PyObject_GetAttrString(domains.get(), event_time ? "EVENT_TIME" : "PROCESSING_TIME");
}

PyObject* NewContext(const TaskScopePtr& scope) { return MakeContext(context_type, scope); }
PyObject* NewTimerContext(const TaskScopePtr& scope) {
  return MakeContext(timer_context_type, scope);
}
PyObject* NewCollector(CollectedPtr collected) {
  return CollectorHandle::New(collector_type, std::move(collected));
}

}  // namespace headrace::bindings
