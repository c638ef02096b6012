#include <memory>

#include "bindings/arrow_capsules.h"
#include "bindings/graph_objects.h"
#include "bindings/record_writer.h"
#include "bindings/type_description.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

const char* ShapeName(RecordShape shape) {
  switch (shape) {
    case RecordShape::kScalar:
      return "scalar";
    case RecordShape::kTuple:
      return "tuple";
    case RecordShape::kRow:
      return "row";
  }
  return "scalar";
}

// Which records are not of the schema, and why.
py::list Unfit(const SchemaHandle& self, const py::list& records) {
  const RecordTypePtr type = RecordTypeOf(self.schema);
  auto writer = std::make_unique<RecordWriter>(type);
  py::list found;
  for (size_t i = 0; i < records.size(); ++i) {
    const Status status = writer->Append(Py_NewRef(py::object(records[i]).ptr()), kNoTimestamp);
    if (status.ok()) continue;
    found.append(py::make_tuple(i, status.message()));
    writer = std::make_unique<RecordWriter>(type);  // the old one may hold half a record
  }
  return found;
}

}  // namespace

void BindSchema(py::module_& module) {
  py::class_<SchemaHandle>(module, "Schema")
      .def(py::init([](const py::object& description) {
             return SchemaHandle{SchemaOfDescription(description)};
           }),
           py::arg("type_desc") = py::none())
      .def_static("from_arrow",
                  [](const py::object& data) { return SchemaHandle{ImportArrowSchema(data)}; })
      .def_property_readonly(
          "shape", [](const SchemaHandle& self) { return ShapeName(self.schema->shape()); })
      .def_property_readonly("names",
                             [](const SchemaHandle& self) {
                               py::list names;
                               for (const Field& field : self.schema->fields()) {
                                 names.append(field.name);
                               }
                               return names;
                             })
      .def_property_readonly(
          "type_desc", [](const SchemaHandle& self) { return DescriptionOfSchema(*self.schema); })
      .def("unfit", &Unfit)
      .def("__eq__",
           [](const SchemaHandle& self, const py::object& other) {
             return py::isinstance<SchemaHandle>(other) &&
                    self.schema->Equals(*other.cast<const SchemaHandle&>().schema);
           })
      .def("__repr__", [](const SchemaHandle& self) { return self.schema->ToString(); })
      .def("__arrow_c_schema__",
           [](const SchemaHandle& self) { return ExportSchemaCapsule(*self.schema); });

  py::class_<ArrowBatch>(module, "ArrowBatch")
      .def("__arrow_c_schema__", &ArrowBatch::SchemaCapsule)
      .def(
          "__arrow_c_array__",
          [](const ArrowBatch& self, const py::object&) { return self.Capsules(); },
          py::arg("requested_schema") = py::none());
}

}  // namespace headrace::bindings
