#include <pybind11/pybind11.h>

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native part of headrace; use the package headrace, not this module.";
  m.attr("__version__") = HEADRACE_VERSION;
}
