#include "bindings/python_thread_hooks.h"

#include <Python.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/graveyard.h"

namespace headrace::bindings {
namespace {

constexpr double kSwitchIntervalSeconds = 0.005;  // Python's default
constexpr double kHoldIntervals = 2;

thread_local PyThreadState* thread_state = nullptr;

/// A task thread keeps one Python thread state for its life and ends it itself.
class TaskThreads final : public ThreadHooks {
 public:
  explicit TaskThreads(int64_t hold_ns) : hold_ns_(hold_ns) {}

  void OnTaskThreadStart() override {
    // Making a state needs no GIL; the interpreter's list of states has a lock of its own.
    thread_state = PyThreadState_New(PyInterpreterState_Main());
    std::lock_guard<std::mutex> lock(mutex_);
    states_.push_back(thread_state);
  }

  void OnTaskThreadStop() override {
    if (!thread_state) return;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      std::erase(states_, thread_state);
    }
    if (InterpreterIsEnding()) return;  // it frees the states that are left
    // Here and not on another thread: since Python 3.12 a thread that deletes another's state loses
    // its own, and would wait for the GIL that it holds.
    PyEval_RestoreThread(thread_state);
    CountGilAcquisition();
    // An interrupt that was meant for a call must not hit a destructor.
    PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), nullptr);
    PyThreadState_Clear(thread_state);
    thread_state = nullptr;
    PyThreadState_DeleteCurrent();
  }

  void EnterStep() override {
    if (thread_state) {
      PyEval_RestoreThread(thread_state);
    } else {
      // A thread that was not announced (the job's own loop): a state as long as the step.
      unannounced_ = PyGILState_Ensure();
    }
    CountGilAcquisition();
    DrainGraveyard();
  }

  void LeaveStep() override {
    DrainGraveyard();
    if (thread_state) {
      PyEval_SaveThread();
    } else {
      PyGILState_Release(unannounced_);
    }
  }

  void BetweenSteps() override { DrainGraveyard(); }

  int64_t HoldNs() const override { return hold_ns_; }

  void InterruptThreads() override {
    if (InterpreterIsEnding()) return;
    GilScope gil;
    std::vector<unsigned long> ids;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (PyThreadState* state : states_) ids.push_back(state->thread_id);
    }
    for (unsigned long id : ids) PyThreadState_SetAsyncExc(id, TaskInterruptClass());
  }

  std::vector<std::string> WhereThreads() override {
    std::vector<std::string> places;
    if (InterpreterIsEnding()) return places;
    GilScope gil;
    std::lock_guard<std::mutex> lock(mutex_);
    for (PyThreadState* state : states_) {
      PyRef frame = PyRef::Steal(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(state)));
      if (frame) places.push_back(PlaceOf(reinterpret_cast<PyFrameObject*>(frame.get())));
    }
    return places;
  }

 private:
  static thread_local PyGILState_STATE unannounced_;
  const int64_t hold_ns_;
  std::mutex mutex_;
  std::vector<PyThreadState*> states_;
};

thread_local PyGILState_STATE TaskThreads::unannounced_{};

}  // namespace

std::shared_ptr<ThreadHooks> PythonThreadHooks() {
  PyRef sys = PyRef::Steal(PyImport_ImportModule("sys"));
  PyRef interval =
      PyRef::Steal(sys ? PyObject_CallMethod(sys.get(), "getswitchinterval", nullptr) : nullptr);
  const double seconds = interval ? PyFloat_AsDouble(interval.get()) : kSwitchIntervalSeconds;
  PyErr_Clear();
  return std::make_shared<TaskThreads>(static_cast<int64_t>(kHoldIntervals * seconds * 1e9));
}

}  // namespace headrace::bindings
