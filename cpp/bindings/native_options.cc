#include "bindings/native_options.h"

#include <string>

#include "bindings/errors.h"
#include "headrace/runtime/split_watermarks.h"

namespace py = pybind11;

namespace headrace::bindings {

py::object Option(const py::dict& options, const char* name) {
  return options.contains(name) ? py::object(options[name]) : py::object(py::none());
}

int ColumnOf(const Schema& schema, const py::handle& field) {
  if (py::isinstance<py::int_>(field)) {
    const int64_t index = py::cast<int64_t>(field);
    if (index < 0 || index >= static_cast<int64_t>(schema.size())) {
      ThrowStatus(Status::InvalidArgument("there is no field number " + std::to_string(index) +
                                          "; the stream is " + schema.ToString()));
    }
    return static_cast<int>(index);
  }
  return ValueOrThrow(schema.Require(py::cast<std::string>(field)));
}

WindowSpec WindowSpecOf(const py::dict& options) {
  const auto window = py::cast<py::dict>(options["window"]);
  WindowSpec spec;
  spec.size_ms = py::cast<int64_t>(window["size"]);
  spec.slide_ms = py::cast<int64_t>(window["slide"]);
  spec.offset_ms = py::cast<int64_t>(window["offset"]);
  spec.allowed_lateness_ms = py::cast<int64_t>(options["allowed_lateness"]);
  spec.late_tag = py::cast<std::string>(options["late_tag"]);
  ThrowIfError(spec.Validate());
  return spec;
}

WatermarkSpec WatermarkSpecOf(const py::handle& description) {
  const auto options = py::reinterpret_borrow<py::dict>(description);
  const auto kind = py::cast<std::string>(options["kind"]);
  WatermarkSpec spec;
  spec.kind = kind == "monotonous" ? WatermarkSpec::Kind::kMonotonous
              : kind == "bounded"  ? WatermarkSpec::Kind::kBoundedOutOfOrderness
                                   : WatermarkSpec::Kind::kNone;
  spec.bound_ms = py::cast<int64_t>(options["bound_ms"]);
  spec.idle_timeout_ms = py::cast<int64_t>(options["idle_timeout_ms"]);
  if (options.contains("catch_up_ms")) {
    spec.catch_up_ms = py::cast<int64_t>(options["catch_up_ms"]);
  }
  if (options.contains("rows_per_second")) {
    spec.stride_rows = WatermarkStrideRows(py::cast<double>(options["rows_per_second"]));
  }
  return spec;
}

}  // namespace headrace::bindings
