#pragma once

#include <pybind11/pybind11.h>

#include "headrace/time/watermark_generator.h"
#include "headrace/types/schema.h"
#include "headrace/windows/window_spec.h"

namespace headrace::bindings {

/// `options[name]`, None when absent.
pybind11::object Option(const pybind11::dict& options, const char* name);
/// Index of a field given by name or position. Throws InvalidArgumentError naming it and the fields
/// there are.
int ColumnOf(const Schema& schema, const pybind11::handle& field);
/// The "window", "allowed_lateness" and "late_tag" options. Throws when they are out of range.
WindowSpec WindowSpecOf(const pybind11::dict& options);
/// A WatermarkDesc of `_core.pyi`.
WatermarkSpec WatermarkSpecOf(const pybind11::handle& description);

}  // namespace headrace::bindings
