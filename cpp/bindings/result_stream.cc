#include "bindings/result_stream.h"

namespace headrace::bindings {

bool ResultStream::StartOther(PyObject* results) {
  if (results == Py_None) {
    Py_DECREF(results);
    return true;
  }
  if (PyList_CheckExact(results) || PyTuple_CheckExact(results)) {
    form_ = PyList_CheckExact(results) ? Form::kList : Form::kTuple;
    source_ = results;
    return true;
  }
  PyObject* iterator = PyObject_GetIter(results);
  if (!iterator && PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError,
                 "it returned %R, which cannot be iterated over: return None, a list or any other "
                 "iterable of results, or use yield",
                 results);
  }
  Py_DECREF(results);
  if (!iterator) return false;
  form_ = Form::kIterator;
  source_ = iterator;
  return true;
}

int ResultStream::NextItem(PyObject** result) {
  switch (form_) {
    case Form::kList:
      if (at_ >= PyList_GET_SIZE(source_)) break;
      *result = Py_NewRef(PyList_GET_ITEM(source_, at_++));
      return 1;
    case Form::kTuple:
      if (at_ >= PyTuple_GET_SIZE(source_)) break;
      *result = Py_NewRef(PyTuple_GET_ITEM(source_, at_++));
      return 1;
    case Form::kIterator:
    case Form::kClosed:
      break;
  }
  Close();
  return 0;
}

}  // namespace headrace::bindings
