#include "bindings/arrow_capsules.h"

#include <string>

#include "bindings/errors.h"
#include "headrace/types/arrow_bridge.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

template <typename T>
T* FromCapsule(const py::object& capsule, const char* name) {
  auto* pointer = static_cast<T*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (pointer == nullptr) throw py::error_already_set();
  return pointer;
}

template <typename T>
void ReleaseCapsule(PyObject* capsule) {
  auto* pointer = static_cast<T*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
  if (pointer == nullptr) return;
  if (pointer->release != nullptr) pointer->release(pointer);
  delete pointer;
}

template <typename T>
py::object ToCapsule(T* pointer, const char* name) {
  PyObject* capsule = PyCapsule_New(pointer, name, &ReleaseCapsule<T>);
  if (capsule == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(capsule);
}

/// Releases an imported schema when the scope ends.
struct ScopedSchema {
  ArrowSchema schema{};
  ~ScopedSchema() {
    if (schema.release != nullptr) schema.release(&schema);
  }
};

Status StreamFailure(ArrowArrayStream* stream) {
  const char* text = stream->get_last_error ? stream->get_last_error(stream) : nullptr;
  return Status::InvalidArgument(std::string("the Arrow stream failed: ") +
                                 (text ? text : "no reason given"));
}

std::vector<RecordBatch> ImportStream(ArrowArrayStream* stream, SchemaPtr* schema) {
  ScopedSchema imported;
  if (stream->get_schema(stream, &imported.schema) != 0) ThrowStatus(StreamFailure(stream));
  *schema = ValueOrThrow(ImportSchema(imported.schema));
  std::vector<RecordBatch> batches;
  while (true) {
    ArrowArray array{};
    if (stream->get_next(stream, &array) != 0) ThrowStatus(StreamFailure(stream));
    if (array.release == nullptr) return batches;
    Result<RecordBatch> batch = ImportBatch(&array, *schema);
    if (!batch.ok() && array.release != nullptr) array.release(&array);
    batches.push_back(ValueOrThrow(std::move(batch)));
  }
}

}  // namespace

std::vector<RecordBatch> ImportArrow(const py::object& data, SchemaPtr* schema) {
  if (py::hasattr(data, "__arrow_c_stream__")) {
    const py::object capsule = data.attr("__arrow_c_stream__")();
    return ImportStream(FromCapsule<ArrowArrayStream>(capsule, "arrow_array_stream"), schema);
  }
  if (!py::hasattr(data, "__arrow_c_array__")) {
    throw py::type_error("expected an object with __arrow_c_stream__ or __arrow_c_array__, got " +
                         py::cast<std::string>(py::str(py::type::of(data))));
  }
  const auto capsules = py::cast<py::tuple>(data.attr("__arrow_c_array__")());
  *schema = ValueOrThrow(ImportSchema(*FromCapsule<ArrowSchema>(capsules[0], "arrow_schema")));
  auto* array = FromCapsule<ArrowArray>(capsules[1], "arrow_array");
  std::vector<RecordBatch> batches;
  batches.push_back(ValueOrThrow(ImportBatch(array, *schema)));
  return batches;
}

SchemaPtr ImportArrowSchema(const py::object& data) {
  if (py::hasattr(data, "__arrow_c_schema__")) {
    const py::object capsule = data.attr("__arrow_c_schema__")();
    return ValueOrThrow(ImportSchema(*FromCapsule<ArrowSchema>(capsule, "arrow_schema")));
  }
  SchemaPtr schema;
  ImportArrow(data, &schema);
  return schema;
}

py::object ExportSchemaCapsule(const Schema& schema) {
  auto exported = std::make_unique<ArrowSchema>();
  ThrowIfError(ExportSchema(schema, exported.get()));
  return ToCapsule(exported.release(), "arrow_schema");
}

py::object ArrowBatch::SchemaCapsule() const { return ExportSchemaCapsule(*batch_.schema); }

py::tuple ArrowBatch::Capsules() const {
  auto exported = std::make_unique<ArrowArray>();
  ThrowIfError(ExportBatch(batch_, exported.get()));
  return py::make_tuple(SchemaCapsule(), ToCapsule(exported.release(), "arrow_array"));
}

}  // namespace headrace::bindings
