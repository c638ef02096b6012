#include <string>

#include "graph_objects.h"
#include "python_sources.h"
#include "running_source.h"

namespace py = pybind11;

namespace headrace::bindings {

void BindPythonSources(py::module_& module) {
  BindSourceContext(module.ptr());
  module.def("collection_source", [](py::list items, const SchemaHandle& schema) {
    return SourceHandle{CollectionSource(std::move(items), schema.schema)};
  });
  module.def(
      "reader_source",
      [](py::object make_reader, py::object plan_splits, const SchemaHandle& schema, bool bounded,
         bool replayable, bool time_ordered) {
        return SourceHandle{ReaderSource(std::move(make_reader), std::move(plan_splits), schema.schema,
                                         ReaderTraits{bounded, replayable, time_ordered})};
      },
      py::arg("make_reader"), py::arg("plan_splits"), py::arg("schema"), py::kw_only(),
      py::arg("bounded") = true, py::arg("replayable") = true, py::arg("time_ordered") = false);
  module.def("iterator_source", [](py::object make_iterator, const SchemaHandle& schema) {
    return SourceHandle{IteratorSource(std::move(make_iterator), schema.schema)};
  });
  module.def("source_function_source",
             [](py::object function, const SchemaHandle& schema, const std::string& style) {
               return SourceHandle{SourceFunctionSource(std::move(function), schema.schema, style)};
             });
}

}  // namespace headrace::bindings
