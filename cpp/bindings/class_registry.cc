#include "bindings/class_registry.h"

#include <map>
#include <unordered_map>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/known_types.h"

namespace headrace::bindings {
namespace {

struct Registry {
  std::map<std::string, PyObject*, std::less<>> by_name;
  std::unordered_map<PyTypeObject*, std::string> names;
};

// Never destroyed: it holds references.
Registry& Classes() {
  static Registry* registry = new Registry;
  return *registry;
}

std::string AttributeText(PyTypeObject* type, const char* name) {
  PyRef text = PyRef::Steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), name));
  if (!text) PyErr_Clear();
  return text ? TextOf(text.get()) : std::string();
}

}  // namespace

std::string ClassName(PyTypeObject* type) {
  return AttributeText(type, "__module__") + "." + AttributeText(type, "__qualname__");
}

const std::string& RegisteredName(PyTypeObject* type) {
  Registry& registry = Classes();
  const auto found = registry.names.find(type);
  if (found != registry.names.end()) return found->second;
  std::string name = ClassName(type);
  PyObject*& slot = registry.by_name[name];
  if (slot) registry.names.erase(reinterpret_cast<PyTypeObject*>(slot));
  Py_XSETREF(slot, Py_NewRef(reinterpret_cast<PyObject*>(type)));
  return registry.names[type] = std::move(name);
}

Status RegisterClass(PyObject* object) {
  if (!PyType_Check(object)) {
    return Status::InvalidArgument("register_class: expected a class, got " + ShortRepr(object));
  }
  auto* type = reinterpret_cast<PyTypeObject*>(object);
  PyRef fields = PyRef::Steal(PyObject_GetAttrString(object, "__dataclass_fields__"));
  if (!fields) {
    PyErr_Clear();
    fields = PyRef::Steal(PyObject_GetAttrString(object, "_fields"));
  }
  PyErr_Clear();
  const bool is_enum = PyType_IsSubtype(Py_TYPE(object), known.enum_meta);
  if (!is_enum && !fields) {
    return Status::InvalidArgument("register_class: " + ClassName(type) +
                                   " is neither a dataclass nor a named tuple nor an enum");
  }
  RegisteredName(type);
  return Status::Ok();
}

Result<PyObject*> FindClass(std::string_view name) {
  const auto& by_name = Classes().by_name;
  const auto found = by_name.find(name);
  if (found != by_name.end()) return found->second;
  return Status::InvalidArgument("a stored value is of class '" + std::string(name) +
                                 "', which this program has not registered: call "
                                 "headrace.register_class(" +
                                 std::string(name.substr(name.rfind('.') + 1)) +
                                 ") before the job starts");
}

}  // namespace headrace::bindings
