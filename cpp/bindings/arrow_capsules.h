#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "headrace/types/batch.h"

namespace headrace::bindings {

/// Rows of an object with `__arrow_c_stream__` or `__arrow_c_array__`, uncopied; sets `schema`
/// (shape kRow). Throws.
std::vector<RecordBatch> ImportArrow(const pybind11::object& data, SchemaPtr* schema);
/// Schema of an object with `__arrow_c_schema__` or one that ImportArrow takes. Throws.
SchemaPtr ImportArrowSchema(const pybind11::object& data);

/// A batch as the Arrow PyCapsule protocol shows it. Threading: immutable.
class ArrowBatch {
 public:
  explicit ArrowBatch(RecordBatch batch) : batch_(std::move(batch)) {}
  pybind11::object SchemaCapsule() const;
  /// (schema capsule, array capsule)
  pybind11::tuple Capsules() const;

 private:
  RecordBatch batch_;
};

pybind11::object ExportSchemaCapsule(const Schema& schema);

}  // namespace headrace::bindings
