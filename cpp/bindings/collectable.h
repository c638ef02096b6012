#pragma once

#include <pybind11/pybind11.h>

#include <memory>

namespace headrace::bindings {

/// What was made from user code and shows the garbage collector the references it owns.
class OwnsPython {
 public:
  virtual ~OwnsPython() = default;
  /// As tp_traverse.
  virtual int Visit(visitproc visit, void* arg) const = 0;
};

/// Visits what `factory` owns unless somebody else shares it: the collector counts a reference
/// once, and what a graph or a running job shares is alive.
template <typename Factory>
int VisitOwned(const std::shared_ptr<Factory>& factory, visitproc visit, void* arg) {
  if (factory.use_count() != 1) return 0;
  const auto* owner = dynamic_cast<const OwnsPython*>(factory.get());
  return owner ? owner->Visit(visit, arg) : 0;
}

/// Visits function and options of an operator's spec, unless a running operator has them too.
template <typename Spec>
int VisitSpec(const std::shared_ptr<const Spec>& spec, visitproc visit, void* arg) {
  if (spec.use_count() != 1) return 0;
  Py_VISIT(spec->function.get());
  Py_VISIT(spec->options.get());
  return 0;
}

/// Given to py::class_<T>: T takes part in garbage collection by `int T::Visit(visitproc, void*)`.
///
/// There is no tp_clear: a cycle that leads through user code is broken in the function's closure,
/// dict or frame.
template <typename T>
pybind11::custom_type_setup Collectable() {
  return pybind11::custom_type_setup([](PyHeapTypeObject* heap_type) {
    PyTypeObject* type = &heap_type->ht_type;
    type->tp_flags |= Py_TPFLAGS_HAVE_GC;
    type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
      Py_VISIT(Py_TYPE(self));
      if (!pybind11::detail::is_holder_constructed(self)) return 0;
      return pybind11::cast<const T&>(pybind11::handle(self)).Visit(visit, arg);
    };
  });
}

}  // namespace headrace::bindings
