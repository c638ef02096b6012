#include <string>

#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/iterable_source.h"
#include "bindings/python_bindings.h"
#include "bindings/running_source.h"
#include "bindings/source_position.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Sources of one split whose records come from a SourceFunction or from a function that makes an
/// iterator.
class FunctionFactory final : public SourceFactory, public OwnsPython {
 public:
  enum class Style { kIterator, kCall, kRun };

  FunctionFactory(py::object function, SchemaPtr schema, Style style)
      : schema_(std::move(schema)), style_(style) {
    // As it is now: what the program does to the object later does not matter.
    if (style != Style::kIterator) function = Copy(function);
    positioned_ = style != Style::kIterator && SourcePosition::Supported(function.ptr());
    function_ = PyRef::Borrow(function.ptr());
  }

  Result<std::vector<SplitState>> PlanSplits(int) override {
    SplitState split;
    split.id = "function";
    return std::vector<SplitState>{std::move(split)};
  }

  Result<std::unique_ptr<SourceReader>> Make(int) override {
    const GilScope gil;
    if (style_ == Style::kIterator) {
      return MakeIterableReader({PyRef::Borrow(function_.get()), nullptr, false}, schema_);
    }
    PyRef own;
    try {
      own = PyRef::Borrow(Copy(py::reinterpret_borrow<py::object>(function_.get())).ptr());
    } catch (py::error_already_set& error) {
      error.restore();
      return UserErrorFromPython("copying the source function", nullptr);
    }
    if (style_ == Style::kCall)
      return MakeIterableReader({std::move(own), "call", positioned_}, schema_);
    return MakeRunningReader(std::move(own), schema_, positioned_);
  }

  SchemaPtr schema() const override { return schema_; }
  bool calls_python() const override { return true; }
  bool bounded() const override { return false; }
  bool replayable() const override { return positioned_; }
  int Visit(visitproc visit, void* arg) const override {
    Py_VISIT(function_.get());
    return 0;
  }

 private:
  static py::object Copy(const py::object& function) {
    return py::module_::import("copy").attr("deepcopy")(function);
  }

  PyRef function_;
  SchemaPtr schema_;
  Style style_;
  bool positioned_ = false;
};

SourceHandle MakeSource(py::object function, const SchemaHandle& schema,
                        FunctionFactory::Style style) {
  return {std::make_shared<FunctionFactory>(std::move(function), schema.schema, style)};
}

}  // namespace

void BindSourceFunction(py::module_& module) {
  module.def("iterator_source", [](py::object make_iterator, const SchemaHandle& schema) {
    return MakeSource(std::move(make_iterator), schema, FunctionFactory::Style::kIterator);
  });
  module.def("source_function_source",
             [](py::object function, const SchemaHandle& schema, const std::string& style) {
               return MakeSource(
                   std::move(function), schema,
                   style == "call" ? FunctionFactory::Style::kCall : FunctionFactory::Style::kRun);
             });
}

}  // namespace headrace::bindings
