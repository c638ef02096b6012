#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include "bindings/cpython_versions.h"

namespace headrace::bindings {

/// True while the interpreter shuts down: from then on no thread but the main one may touch Python,
/// and one that waits for the GIL is ended by forced unwinding. So no frame above a Python call is
/// noexcept or swallows `catch (...)`, and no destructor takes the GIL.
inline bool InterpreterIsEnding() { return IsFinalizing(); }

/// True when the calling thread holds the GIL. PyGILState_Check says so of every thread once the
/// process has had a second interpreter.
inline bool ThreadHoldsGil() {
  PyThreadState* own = PyGILState_GetThisThreadState();
  return own != nullptr && own == _PyThreadState_UncheckedGet();
}

/// True when the calling thread may touch Python objects.
inline bool GilHeld() { return ThreadHoldsGil() && !InterpreterIsEnding(); }

/// How often the engine took the GIL in this process: by task steps, by native threads, and back
/// after waits. Per batch, never per record; `_core.gil_acquisitions()`, read by tests.
inline std::atomic<int64_t> gil_acquisitions{0};
inline void CountGilAcquisition() { gil_acquisitions.fetch_add(1, std::memory_order_relaxed); }

/// Gives up one reference from any thread: at once when the thread holds the GIL, else through the
/// graveyard.
void ReleaseReference(PyObject* object);

/// An owned reference. Its destructor may run on any thread.
class PyRef {
 public:
  PyRef() = default;
  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef&& other) noexcept {
    if (this != &other) {
      Reset();
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  PyRef(const PyRef&) = delete;
  PyRef& operator=(const PyRef&) = delete;
  ~PyRef() { Reset(); }

  static PyRef Steal(PyObject* object) {
    PyRef ref;
    ref.object_ = object;
    return ref;
  }
  /// REQUIRES: the GIL is held.
  static PyRef Borrow(PyObject* object) {
    Py_XINCREF(object);
    return Steal(object);
  }

  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  PyObject* Release() { return std::exchange(object_, nullptr); }
  void Reset() {
    if (object_) ReleaseReference(std::exchange(object_, nullptr));
  }

 private:
  PyObject* object_ = nullptr;
};

/// An owned reference within one frame of a thread that holds the GIL, for loops over records:
/// cheaper than PyRef.
class FrameRef {
 public:
  explicit FrameRef(PyObject* owned) : object_(owned) {}
  ~FrameRef() {
    // Forced unwinding comes through here without the GIL.
    if (object_ && !InterpreterIsEnding()) Py_DECREF(object_);
  }
  FrameRef(const FrameRef&) = delete;
  FrameRef& operator=(const FrameRef&) = delete;

  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  PyObject* Release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

/// Holds the GIL in a scope, whether or not the thread held it before. May be used on any thread.
class GilScope {
 public:
  GilScope() : taken_(!ThreadHoldsGil()) {
    if (!taken_) return;
    state_ = PyGILState_Ensure();
    CountGilAcquisition();
  }
  ~GilScope() {
    // Forced unwinding comes through here without the GIL.
    if (taken_ && ThreadHoldsGil()) PyGILState_Release(state_);
  }
  GilScope(const GilScope&) = delete;
  GilScope& operator=(const GilScope&) = delete;

 private:
  const bool taken_;
  PyGILState_STATE state_{};
};

/// Runs `work` without the GIL and returns what it returns. REQUIRES: the GIL is held; `work` does
/// not throw.
template <typename Work>
auto WithoutGil(Work work) {
  PyThreadState* state = PyEval_SaveThread();
  if constexpr (std::is_void_v<decltype(work())>) {
    work();
    PyEval_RestoreThread(state);
    CountGilAcquisition();
  } else {
    auto result = work();
    PyEval_RestoreThread(state);
    CountGilAcquisition();
    return result;
  }
}

}  // namespace headrace::bindings
