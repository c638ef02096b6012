#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "headrace/checkpoint/manifest.h"

namespace headrace::bindings {

/// What tools and tests see of a manifest.
pybind11::dict ManifestDict(const Manifest& manifest);
pybind11::list RegistryList(const std::vector<StateRegistration>& registry);

}  // namespace headrace::bindings
