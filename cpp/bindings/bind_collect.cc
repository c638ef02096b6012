#include "bindings/arrow_capsules.h"
#include "bindings/boxing.h"
#include "bindings/collect_rows.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/graph_objects.h"
#include "bindings/live_jobs.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// The next batch; false when there is none now. Waits without the GIL. Throws in a forked child,
/// where nobody would fill the buffer.
bool NextBatch(const CollectRows& rows, int64_t timeout_ms, int64_t limit, RecordBatch* batch) {
  ThrowIfError(RefuseInForkedChild());
  return WithoutGil([&] { return rows.buffer()->Take(timeout_ms, limit, batch); });
}

}  // namespace

void BindCollect(py::module_& module) {
  const py::object nothing_yet = py::module_::import("builtins").attr("object")();
  module.attr("NOTHING_YET") = nothing_yet;

  py::class_<CollectRows>(module, "CollectBuffer")
      .def(py::init([](const SchemaHandle& schema, bool checkpointed) {
             return std::make_unique<CollectRows>(schema.schema, checkpointed);
           }),
           py::arg("schema"), py::arg("checkpointed") = false)
      .def(
          "take",
          [](const CollectRows& self, int64_t timeout_ms, int64_t limit) -> py::object {
            RecordBatch batch;
            if (NextBatch(self, timeout_ms, limit, &batch)) {
              PyObject* list = BoxBatch(batch);
              if (list == nullptr) throw py::error_already_set();
              return py::reinterpret_steal<py::object>(list);
            }
            return self.buffer()->closed() ? py::object(py::none()) : py::object(py::list());
          },
          py::arg("timeout_ms") = 100, py::arg("limit") = 0)
      .def(
          "take_arrow",
          [nothing_yet](const CollectRows& self, int64_t timeout_ms) -> py::object {
            RecordBatch batch;
            if (NextBatch(self, timeout_ms, 0, &batch))
              return py::cast(ArrowBatch(std::move(batch)));
            return self.buffer()->closed() ? py::object(py::none()) : nothing_yet;
          },
          py::arg("timeout_ms") = 100);
}

}  // namespace headrace::bindings
