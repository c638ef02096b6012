#pragma once

#include <Python.h>

#include <vector>

#include "bindings/task_scope.h"

namespace headrace::bindings {

/// The contexts that process functions are handed. One object of each serves all records of a
/// subtask.

/// Adds Context, OnTimerContext, TimerService, Collector; false with a Python error set.
bool AddContextTypes(PyObject* module);

/// New references, null with a Python error set.
PyObject* NewContext(const TaskScopePtr& scope);
PyObject* NewTimerContext(const TaskScopePtr& scope);
PyObject* NewTimerService(const TaskScopePtr& scope);
/// headrace.datastream.TimeDomain's member for `domain`.
PyObject* TimeDomainOf(TimeDomain domain);

/// What `out.collect` has taken since the last look; the references are the owner's.
struct Collected {
  std::vector<PyObject*> values;
  PyObject* input = nullptr;  ///< record at work, borrowed
  bool reuse_objects = false;
  ~Collected();
};
using CollectedPtr = std::shared_ptr<Collected>;
PyObject* NewCollector(CollectedPtr collected);

}  // namespace headrace::bindings
