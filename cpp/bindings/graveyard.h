#pragma once

#include <Python.h>

#include <vector>

namespace headrace::bindings {

/// References that died on a thread without the GIL, or inside a destructor. The next holder of the
/// GIL frees them (DrainGraveyard); when none comes along for 100 ms, or more than 64 blocks wait,
/// the reaper thread takes the GIL itself. Nothing is freed inside the caller: a destructor must
/// not run user code.
/// Threading: thread-safe.
void Bury(std::vector<void*> references);
void Bury(PyObject* reference);

/// Frees what was buried. REQUIRES: the GIL is held. Cost: one relaxed load when there is nothing.
void DrainGraveyard();

/// Starts and stops the reaper. Stopping waits until it has left Python.
void StartReaper();
void StopReaper();

}  // namespace headrace::bindings
