#include <memory>
#include <string>

#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/python_bindings.h"
#include "bindings/python_operator.h"
#include "bindings/window_function.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Operators of all kinds but windows.
class PythonOperatorFactory final : public OperatorFactory, public OwnsPython {
 public:
  explicit PythonOperatorFactory(PythonOperatorSpecPtr spec) : spec_(std::move(spec)) {}

  Result<std::unique_ptr<Operator>> Make(int) override {
    GilScope gil;
    HR_ASSIGN_OR_RETURN(PyRef function, CopyUserFunction(spec_->function.get()));
    return MakeFrom(&function);
  }
  bool calls_python() const override { return true; }
  int Visit(visitproc visit, void* arg) const override { return VisitSpec(spec_, visit, arg); }

  Result<std::unique_ptr<Operator>> MakeFrom(PyRef* function) const {
    using Maker = std::unique_ptr<Operator> (*)(const PythonOperatorSpecPtr&, PyRef*);
    for (Maker make : {MakeRowOperator, MakeProcessOperator, MakeFoldOperator, MakeSinkOperator}) {
      if (std::unique_ptr<Operator> made = make(spec_, function)) return made;
    }
    return Status::InvalidArgument("there is no Python operator of kind '" + spec_->kind + "'");
  }

 private:
  const PythonOperatorSpecPtr spec_;
};

RecordTypePtr OutputTypeOf(const std::string& kind, const RecordTypePtr& output,
                           PyObject* key_schema) {
  if (kind != "key_by") return output;
  // A key_by writes nothing but keys.
  return key_schema ? RecordTypeOf(py::cast<const SchemaHandle&>(py::handle(key_schema)).schema)
                    : RecordTypeOf(Schema::Objects());
}

OperatorHandle PythonOperatorOf(const std::string& kind, const py::object& function,
                                const SchemaHandle& input, const SchemaHandle& output,
                                const py::dict& options) {
  auto spec = std::make_shared<PythonOperatorSpec>();
  spec->kind = kind;
  spec->function = ValueOrThrow(CopyUserFunction(function.ptr()));
  spec->input = RecordTypeOf(input.schema);
  spec->options = PyRef::Steal(PyDict_Copy(options.ptr()));
  if (PyObject* second = spec->Option("second_input")) {
    spec->second_input = RecordTypeOf(py::cast<const SchemaHandle&>(py::handle(second)).schema);
  }
  spec->object_reuse = spec->Option("object_reuse") == Py_True;
  py::object key_schema;
  if (PyObject* key_type = spec->Option("key_type"); key_type && kind == "key_by") {
    key_schema = py::type::of<SchemaHandle>()(py::handle(key_type));
  }
  spec->output = OutputTypeOf(kind, RecordTypeOf(output.schema), key_schema.ptr());
  if (kind == "window") return {ValueOrThrow(MakePythonWindow(spec))};
  auto factory = std::make_shared<PythonOperatorFactory>(spec);
  // Made once now, so that an unknown kind fails at the line of the program that asks for it.
  PyRef probe = PyRef::Borrow(spec->function.get());
  ValueOrThrow(factory->MakeFrom(&probe));
  return {std::move(factory)};
}

}  // namespace

void BindPythonOperators(py::module_& module) {
  module.def("python_operator", &PythonOperatorOf, py::arg("kind"), py::arg("function"),
             py::arg("input_schema"), py::arg("output_schema"), py::arg("options"));
  module.def("deep_copy_function", [](const py::object& function) {
    return py::reinterpret_steal<py::object>(
        ValueOrThrow(CopyUserFunction(function.ptr())).Release());
  });
}

}  // namespace headrace::bindings
