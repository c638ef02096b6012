#pragma once

#include <vector>

#include "headrace/expr/aggregate.h"
#include "headrace/operators/operator.h"

namespace headrace {

/// Running aggregates per key (`keyed.agg(...)`). Plain data.
struct RunningAggregateSpec {
  std::vector<Field> key_fields;  ///< names and types of the key column(s); several = struct key
  std::vector<AggregateSpec> aggregates;
  SchemaPtr input_schema;
};

/// Key field(s), then the aggregates. kInvalidArgument naming what is wrong in `spec`.
Result<SchemaPtr> RunningAggregateSchema(const RunningAggregateSpec& spec);

/// For each row a row of its key and the aggregates over all rows of that key up to this one; key
/// and event time stay. REQUIRES: RunningAggregateSchema(spec) is ok; batches have a key.
OperatorFactoryPtr RunningAggregate(RunningAggregateSpec spec);

}  // namespace headrace
