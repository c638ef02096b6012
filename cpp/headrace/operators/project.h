#pragma once

#include <vector>

#include "headrace/operators/operator.h"

namespace headrace {

/// The schema of Project(columns): the chosen fields in order; `names` (empty, or one a column)
/// renames them. kInvalidArgument when a column does not exist.
Result<SchemaPtr> ProjectedSchema(const Schema& input, const std::vector<int>& columns,
                                  const std::vector<std::string>& names, RecordShape shape);

/// Chooses and renames columns: `columns[i]` of the input becomes column i of `output`. The same
/// column may be taken twice. Key and event times stay. Copies nothing; stateless.
OperatorFactoryPtr Project(std::vector<int> columns, SchemaPtr output);

}  // namespace headrace
