#include "bindings/user_function.h"

#include "bindings/class_registry.h"
#include "bindings/errors.h"
#include "bindings/known_types.h"
#include "bindings/runtime_context_type.h"

namespace headrace::bindings {
namespace {

bool IsShared(PyObject* function) {
  return PyFunction_Check(function) || PyCFunction_Check(function) || PyMethod_Check(function) ||
         PyType_Check(function);
}

// The attribute of `function` that copy.deepcopy fails at, or "".
std::string UncopiableAttribute(PyObject* function) {
  PyRef attributes = PyRef::Steal(PyObject_GetAttrString(function, "__dict__"));
  if (!attributes || !PyDict_Check(attributes.get())) {
    PyErr_Clear();
    return {};
  }
  PyRef items = PyRef::Steal(PyDict_Items(attributes.get()));
  for (Py_ssize_t i = 0; items && i < PyList_GET_SIZE(items.get()); ++i) {
    PyObject* item = PyList_GET_ITEM(items.get(), i);
    PyRef copy = PyRef::Steal(PyObject_CallOneArg(known.deepcopy, PyTuple_GET_ITEM(item, 1)));
    if (copy) continue;
    PyErr_Clear();
    return TextOf(PyTuple_GET_ITEM(item, 0));
  }
  PyErr_Clear();
  return {};
}

std::string NameOf(PyObject* function) {
  PyRef name = PyRef::Steal(PyObject_GetAttrString(function, "__qualname__"));
  if (!name) {
    PyErr_Clear();
    name = PyRef::Steal(
        PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(function)), "__qualname__"));
  }
  PyErr_Clear();
  return name ? TextOf(name.get()) : std::string("?");
}

}  // namespace

Result<PyRef> CopyUserFunction(PyObject* function) {
  if (IsShared(function)) return PyRef::Borrow(function);
  PyRef copy = PyRef::Steal(PyObject_CallOneArg(known.deepcopy, function));
  if (copy) return copy;
  PyRef failure = TakeException();
  const std::string attribute = UncopiableAttribute(function);
  std::string message =
      "each subtask works on its own copy of " + NameOf(function) + ", which cannot be copied: ";
  if (!attribute.empty()) message.append("attribute '").append(attribute).append("': ");
  message.append(ExceptionText(failure.get())).append("; make such things in open()");
  return Status(StatusCode::kInvalidArgument, std::move(message),
                std::make_shared<PythonErrorPayload>(std::move(failure)));
}

Result<UserFunction> UserFunction::Bind(PyObject* object, const char* method) {
  UserFunction bound;
  PyRef callee;
  if (!IsShared(object)) callee = PyRef::Steal(PyObject_GetAttrString(object, method));
  PyErr_Clear();
  if (callee && PyCallable_Check(callee.get())) {
    bound.what_ = NameOf(object) + "." + method;
  } else {
    if (!PyCallable_Check(object)) {
      return Status::InvalidArgument(ShortRepr(object) + " has no method '" + method +
                                     "' and cannot be called");
    }
    callee = PyRef::Borrow(object);
    bound.what_ = std::string(method) + " function '" + NameOf(object) + "'";
  }
  if (PyMethod_Check(callee.get())) {
    bound.self_ = PyRef::Borrow(PyMethod_GET_SELF(callee.get()));
    bound.code_ = PyRef::Borrow(PyMethod_GET_FUNCTION(callee.get()));
  } else {
    bound.code_ = std::move(callee);
  }
  return bound;
}

int UserFunction::parameters() const {
  PyRef code = PyRef::Steal(PyObject_GetAttrString(code_.get(), "__code__"));
  PyErr_Clear();
  if (!code || !PyCode_Check(code.get())) return -1;
  const auto* compiled = reinterpret_cast<PyCodeObject*>(code.get());
  if ((compiled->co_flags & CO_VARARGS) != 0) return -1;
  return compiled->co_argcount - (self_ ? 1 : 0);
}

Status OpenUserObject(PyObject* object, const TaskScopePtr& scope) {
  if (IsShared(object)) return Status::Ok();
  PyRef open = PyRef::Steal(PyObject_GetAttrString(object, "open"));
  PyErr_Clear();
  if (!open || !PyMethod_Check(open.get())) return Status::Ok();
  const std::string name = NameOf(object) + ".open";  // before the call: asking may clear its error
  PyRef context = PyRef::Steal(NewRuntimeContext(scope));
  PyRef done = PyRef::Steal(context ? PyObject_CallOneArg(open.get(), context.get()) : nullptr);
  return done ? Status::Ok() : UserErrorFromPython(name, nullptr);
}

Status CloseUserObject(PyObject* object) {
  if (!object || IsShared(object)) return Status::Ok();
  // An interrupt that was meant for a call before this one must not hit close().
  PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), nullptr);
  PyRef close = PyRef::Steal(PyObject_GetAttrString(object, "close"));
  PyErr_Clear();
  if (!close || !PyMethod_Check(close.get())) return Status::Ok();
  const std::string name = NameOf(object) + ".close";
  PyRef done = PyRef::Steal(PyObject_CallNoArgs(close.get()));
  return done ? Status::Ok() : UserErrorFromPython(name, nullptr);
}

}  // namespace headrace::bindings
