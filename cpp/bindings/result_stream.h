#pragma once

#include <Python.h>

#include "bindings/gil.h"

namespace headrace::bindings {

/// The results of one call of user code (a generator, list, tuple or any iterable), taken one by
/// one. Kept open while the output is full. Threading: owned by one task thread, which holds the
/// GIL.
class ResultStream {
 public:
  ResultStream() = default;
  ~ResultStream() { Close(); }
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  /// Takes over `results`; None is a stream without results. False with a Python error set when it
  /// cannot be iterated over.
  bool Start(PyObject* results) {
    at_ = 0;
    if (PyGen_CheckExact(results)) {
      form_ = Form::kIterator;
      source_ = results;
      return true;
    }
    return StartOther(results);
  }
  bool has_more() const { return form_ != Form::kClosed; }

  /// 1 with a new reference, 0 at the end (the stream is closed), -1 with a Python error set.
  int Next(PyObject** result) {
    if (form_ == Form::kIterator) {
      switch (PyIter_Send(source_, Py_None, result)) {
        case PYGEN_NEXT:
          return 1;
        case PYGEN_RETURN: {
          Py_DECREF(*result);
          form_ = Form::kClosed;
          PyObject* done = source_;
          source_ = nullptr;
          Py_DECREF(done);
          return 0;
        }
        case PYGEN_ERROR:
          return -1;
      }
    }
    return NextItem(result);
  }

  void Close() {
    form_ = Form::kClosed;
    if (PyObject* source = source_) {
      source_ = nullptr;
      ReleaseReference(source);
    }
  }

 private:
  enum class Form : uint8_t { kClosed, kIterator, kList, kTuple };
  bool StartOther(PyObject* results);
  int NextItem(PyObject** result);

  Form form_ = Form::kClosed;
  PyObject* source_ = nullptr;
  Py_ssize_t at_ = 0;
};

}  // namespace headrace::bindings
