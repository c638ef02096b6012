#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/python_bindings.h"
#include "bindings/python_transport.h"
#include "bindings/value_encoder.h"
#include "headrace/checkpoint/remote_key_erasure.h"
#include "headrace/runtime/erasure_request.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

KeyErasure ErasureOf(const py::object& key, std::string operator_id) {
  ByteWriter encoded;
  ThrowIfError(EncodePythonKey(key.ptr(), &encoded));
  return {.key = encoded.Take(), .operator_id = std::move(operator_id)};
}

py::dict ReportDict(const ErasureReport& report) {
  py::dict out;
  out["checkpoints"] = report.checkpoints;
  out["files"] = report.files;
  out["bytes"] = report.bytes;
  out["removed"] = report.removed;
  out["rows"] = report.rows;
  return out;
}

}  // namespace

void BindErasure(py::module_& module) {
  py::class_<KeyErasure>(module, "KeyErasure")
      .def(py::init(&ErasureOf), py::arg("key"), py::arg("operator_id"));
  py::class_<ErasureRequest, ErasureRequestPtr>(module, "ErasureRequest")
      .def("done", &ErasureRequest::resolved)
      .def(
          "wait",
          [](ErasureRequest& request, int64_t timeout_ms) {
            return WithoutGil([&] { return request.WaitFor(timeout_ms); });
          },
          py::arg("timeout_ms"))
      .def("report", [](const ErasureRequest& request) {
        return ReportDict(ValueOrThrow(request.outcome()));
      });
  module.def(
      "erase_key",
      [](const std::string& directory, const KeyErasure& erasure) {
        return ReportDict(
            ValueOrThrow(WithoutGil([&] { return EraseKey(&RealEnv(), directory, erasure); })));
      },
      py::arg("directory"), py::arg("erasure"));
  module.def(
      "erase_key_remotely",
      [](const py::object& transport, const std::string& staging, const KeyErasure& erasure,
         bool job_is_gone) {
        const auto remote = MakePythonTransport(PyRef::Borrow(transport.ptr()));
        return ReportDict(ValueOrThrow(WithoutGil(
            [&] { return EraseKeyRemotely(&RealEnv(), remote, staging, erasure, job_is_gone); })));
      },
      py::arg("transport"), py::arg("staging"), py::arg("erasure"), py::arg("job_is_gone"));
}

}  // namespace headrace::bindings
