#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

#include "bindings/python_bindings.h"
#include "headrace/base/failpoint.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

// The process ends in the middle of whatever its other threads do, as it would at a power switch.
void KillAtFileCall(const std::string& call, const std::string& part, int64_t count) {
  const auto left = std::make_shared<std::atomic<int64_t>>(count);
  SetFailpointAction([name = "fs." + call, part, left](std::string_view at, std::string_view path) {
    if (at == name && path.find(part) != std::string_view::npos && left->fetch_sub(1) == 1) {
      ::kill(::getpid(), SIGKILL);
      ::pause();
    }
    return Status::Ok();
  });
}

}  // namespace

void BindFailpoint(py::module_& module) {
  module.def("kill_at_file_call", &KillAtFileCall, py::arg("call"), py::arg("part"),
             py::arg("count") = 1);
}

}  // namespace headrace::bindings
