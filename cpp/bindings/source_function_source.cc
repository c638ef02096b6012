#include <string>

#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/iterable_source.h"
#include "bindings/python_bindings.h"
#include "bindings/running_source.h"
#include "bindings/source_position.h"
#include "bindings/user_function.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Sources of one split whose records come from a SourceFunction or from a function that makes an
/// iterator.
class FunctionFactory final : public SourceFactory, public OwnsPython {
 public:
  enum class Style { kIterator, kCall, kRun };

  FunctionFactory(const py::object& function, SchemaPtr schema, Style style)
      : schema_(std::move(schema)), style_(style) {
    function_ = PyRef::Borrow(function.ptr());
    if (style == Style::kIterator) return;
    // As it is now: what the program does to the object later does not matter.
    function_ = ValueOrThrow(CopyUserFunction(function.ptr()));
    positioned_ = SourcePosition::Supported(function_.get());
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
    HR_ASSIGN_OR_RETURN(PyRef own, CopyUserFunction(function_.get()));
    if (style_ == Style::kCall) {
      return MakeIterableReader({std::move(own), "call", positioned_}, schema_);
    }
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
  PyRef function_;
  SchemaPtr schema_;
  Style style_;
  bool positioned_ = false;
};

SourceHandle MakeSource(const py::object& function, const SchemaHandle& schema,
                        FunctionFactory::Style style) {
  return {std::make_shared<FunctionFactory>(function, schema.schema, style)};
}

}  // namespace

void BindSourceFunction(py::module_& module) {
  module.def("iterator_source", [](const py::object& make_iterator, const SchemaHandle& schema) {
    return MakeSource(make_iterator, schema, FunctionFactory::Style::kIterator);
  });
  module.def("source_function_source",
             [](const py::object& function, const SchemaHandle& schema, const std::string& style) {
               return MakeSource(
                   function, schema,
                   style == "call" ? FunctionFactory::Style::kCall : FunctionFactory::Style::kRun);
             });
}

}  // namespace headrace::bindings
