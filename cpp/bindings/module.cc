#include <pybind11/pybind11.h>

#include "bindings/broadcast_context_types.h"
#include "bindings/checkpoint_context_types.h"
#include "bindings/cold_store_factory.h"
#include "bindings/context_types.h"
#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/graveyard.h"
#include "bindings/known_types.h"
#include "bindings/operator_state_types.h"
#include "bindings/python_bindings.h"
#include "bindings/python_transport.h"
#include "bindings/row_type.h"
#include "bindings/running_source.h"
#include "bindings/runtime_context_type.h"
#include "bindings/state_handles.h"
#include "bindings/state_store.h"
#include "bindings/window_function.h"
#include "headrace/base/cpu_variants.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

using AddTypes = bool (*)(PyObject*);

/// The C types that user code meets for every record.
constexpr AddTypes kTypes[] = {AddExceptionClasses,       AddRowType,
                               AddContextTypes,           AddRuntimeContextTypes,
                               AddValueStateType,         AddListStateType,
                               AddMapStateType,           AddFoldingStateTypes,
                               AddWindowContextType,      AddSourceContextType,
                               AddOperatorListType,       AddBroadcastStateTypes,
                               AddCheckpointContextTypes, AddBroadcastContextTypes};

void FillModule(py::module_& module) {
  module.doc() = "The native part of headrace; use the package headrace, not this module.";
  module.attr("__version__") = HEADRACE_VERSION;
  module.def("kernel_variants", [] {
    py::dict variants;
    variants["crc32c"] = py::str(std::string(Crc32cVariant()));
    return variants;
  });
  if (!LoadKnownTypes()) throw py::error_already_set();
  for (const AddTypes add : kTypes) {
    if (!add(module.ptr())) throw py::error_already_set();
  }
  BindCodec(module);
  BindStorage(module);
  BindFailpoint(module);
  BindSchema(module);
  BindGraph(module);
  BindCollect(module);
  BindNativeSources(module);
  BindPythonSources(module);
  BindNativeOperators(module);
  BindPythonOperators(module);
  BindTransport(module);
  BindJob(module);
  BindColdStores(module);
  BindStateStore(module);
  BindCheckpointReader(module);
  BindErasure(module);
  StartReaper();
}

}  // namespace
}  // namespace headrace::bindings

PYBIND11_MODULE(_core, module) { headrace::bindings::FillModule(module); }
