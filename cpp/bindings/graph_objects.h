#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "bindings/collectable.h"
#include "headrace/connectors/source.h"
#include "headrace/operators/operator.h"
#include "headrace/types/schema.h"

namespace headrace::bindings {

/// `_core.Operator`: a step that is ready to be put into a Graph.
struct OperatorHandle {
  OperatorFactoryPtr factory;

  int Visit(visitproc visit, void* arg) const { return VisitOwned(factory, visit, arg); }
};

/// `_core.Source`.
struct SourceHandle {
  SourceFactoryPtr factory;

  int Visit(visitproc visit, void* arg) const { return VisitOwned(factory, visit, arg); }
};

/// `_core.Schema`.
struct SchemaHandle {
  SchemaPtr schema;
};

void BindSchema(pybind11::module_& module);
void BindNativeOperators(pybind11::module_& module);
void BindNativeSources(pybind11::module_& module);
void BindCollect(pybind11::module_& module);
void BindGraph(pybind11::module_& module);
void BindJob(pybind11::module_& module);

}  // namespace headrace::bindings
