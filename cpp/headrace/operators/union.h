#pragma once

#include "headrace/operators/operator.h"

namespace headrace {

/// Passes batches of any number of inputs on as they come; the caller combines the inputs'
/// watermarks. `schema` (may be null: keep) replaces the batches' schema, as the inputs may name
/// equal columns differently. Stateless.
OperatorFactoryPtr Union(SchemaPtr schema);

}  // namespace headrace
