#include <string>

#include "bindings/class_registry.h"
#include "bindings/errors.h"
#include "bindings/python_bindings.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"
#include "headrace/state/key_group.h"
#include "headrace/types/key_codec.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

std::string KeyBytes(const py::object& key) {
  ByteWriter out;
  ThrowIfError(EncodePythonKey(key.ptr(), &out));
  return out.Take();
}

void CheckMaxParallelism(int max_parallelism) {
  if (max_parallelism >= 1 && max_parallelism <= kMaxParallelismLimit) return;
  ThrowStatus(Status::InvalidArgument("max_parallelism must be 1 to " +
                                      std::to_string(kMaxParallelismLimit) + ", got " +
                                      std::to_string(max_parallelism)));
}

}  // namespace

void BindCodec(py::module_& module) {
  module.def("encode_value", [](const py::object& value) {
    ByteWriter out;
    ThrowIfError(EncodePython(value.ptr(), &out));
    return py::bytes(out.view().data(), out.size());
  });
  module.def("decode_value", [](const py::bytes& data) {
    return py::reinterpret_steal<py::object>(
        ValueOrThrow(DecodePython(std::string_view(data))).Release());
  });
  module.def("encode_key", [](const py::object& key) { return py::bytes(KeyBytes(key)); });
  module.def(
      "key_group",
      [](const py::object& key, int max_parallelism) {
        CheckMaxParallelism(max_parallelism);
        return static_cast<int>(KeyGroupOf(KeyBytes(key), max_parallelism));
      },
      py::arg("key"), py::arg("max_parallelism") = kDefaultMaxParallelism);
  module.def(
      "subtask_of_key_group",
      [](int group, int parallelism, int max_parallelism) {
        CheckMaxParallelism(max_parallelism);
        if (group < 0 || group >= max_parallelism || parallelism < 1 ||
            parallelism > max_parallelism) {
          ThrowStatus(Status::InvalidArgument("key group " + std::to_string(group) +
                                              " and parallelism " + std::to_string(parallelism) +
                                              " do not fit max_parallelism " +
                                              std::to_string(max_parallelism)));
        }
        return SubtaskOfKeyGroup(group, parallelism, max_parallelism);
      },
      py::arg("group"), py::arg("parallelism"),
      py::arg("max_parallelism") = kDefaultMaxParallelism);
  module.def("register_class",
             [](const py::object& type) { ThrowIfError(RegisterClass(type.ptr())); });
}

}  // namespace headrace::bindings
