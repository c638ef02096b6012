#pragma once

#include <Python.h>

#include <string>

#include "bindings/gil.h"
#include "bindings/task_scope.h"
#include "headrace/base/status.h"

namespace headrace::bindings {

/// The copy of a user function that one subtask and attempt works on: a new reference. Plain
/// functions, methods and classes are shared; other objects are deep-copied. kInvalidArgument
/// naming the attribute that cannot be copied.
Result<PyRef> CopyUserFunction(PyObject* function);

/// A user function ready to be called: a Function object's method, or a callable itself.
///
/// Calls go straight to the function behind a bound method. Threading: owned by one task thread,
/// which holds the GIL.
class UserFunction {
 public:
  UserFunction() = default;
  /// `method` of `object` when it has one, else `object` itself if it can be called.
  static Result<UserFunction> Bind(PyObject* object, const char* method);

  /// New references, null with a Python error set.
  PyObject* Call(PyObject* a) const {
    PyObject* args[] = {self_.get(), a};
    return Invoke(args, 1);
  }
  PyObject* Call(PyObject* a, PyObject* b) const {
    PyObject* args[] = {self_.get(), a, b};
    return Invoke(args, 2);
  }
  PyObject* Call(PyObject* a, PyObject* b, PyObject* c) const {
    PyObject* args[] = {self_.get(), a, b, c};
    return Invoke(args, 3);
  }
  PyObject* CallNoArgs() const {
    PyObject* args[] = {self_.get(), nullptr};
    return Invoke(args, 0);
  }

  explicit operator bool() const { return static_cast<bool>(code_); }
  /// "map (Parser)", "map function 'parse'": for messages.
  const std::string& what() const { return what_; }
  /// How many positional parameters calls may give, -1 when that cannot be found out.
  int parameters() const;

 private:
  PyObject* Invoke(PyObject** args, size_t count) const {
    if (self_) return PyObject_Vectorcall(code_.get(), args, count + 1, nullptr);
    return PyObject_Vectorcall(code_.get(), args + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                               nullptr);
  }

  PyRef code_;
  PyRef self_;  // first argument of a method
  std::string what_;
};

/// open(runtime_context) and close() of an object that has them; other objects are left alone.
Status OpenUserObject(PyObject* object, const TaskScopePtr& scope);
Status CloseUserObject(PyObject* object);

}  // namespace headrace::bindings
