#pragma once

#include "headrace/operators/operator.h"

namespace headrace {

/// The value type of a dictionary-encoded type; any other type as it is.
DataTypePtr PlainType(const DataTypePtr& type);

/// `schema` with dictionary-encoded fields as fields of their value type.
SchemaPtr FlattenedSchema(const SchemaPtr& schema);

/// Replaces dictionary-encoded columns by plain ones, for operators that look at values. Batches
/// without such columns pass untouched. `output` = FlattenedSchema(input). Stateless.
OperatorFactoryPtr FlattenDictionary(SchemaPtr output);

}  // namespace headrace
