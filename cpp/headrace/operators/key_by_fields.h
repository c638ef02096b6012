#pragma once

#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/types/schema.h"

namespace headrace {

/// The field(s) of the key that KeyByFields(columns) makes of `schema`, dictionary columns as plain
/// values: names and types of the key columns a keyed operator puts out. kInvalidArgument when a
/// column is out of range, named twice, or of a type that cannot be a key.
Result<std::vector<Field>> KeyFieldsOf(const Schema& schema, const std::vector<int>& columns);

/// Sets the key of each batch: the column itself, or a struct of several columns in the given
/// order.
///
/// No row is looked at and nothing is copied; stateless, without room of its own.
/// REQUIRES: KeyFieldsOf(schema, columns) is ok.
OperatorFactoryPtr KeyByFields(std::vector<int> columns);

}  // namespace headrace
