#pragma once

#include <pybind11/pybind11.h>

#include "headrace/types/schema.h"

namespace headrace::bindings {

/// The schema that a TypeDesc of `_core.pyi` stands for; None gives the schema of opaque objects.
/// Throws InvalidArgumentError for an unknown description.
SchemaPtr SchemaOfDescription(const pybind11::object& description);
/// The column type of a TypeDesc. Types that have no column layout (nested tuples, pickled objects)
/// are object columns.
DataTypePtr TypeOfDescription(const pybind11::handle& description);
/// The TypeDesc of a schema; None for opaque objects. Types that PyFlink has no word for are
/// ("arrow", "<type>").
pybind11::object DescriptionOfSchema(const Schema& schema);

}  // namespace headrace::bindings
