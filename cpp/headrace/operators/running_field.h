#pragma once

#include <string>
#include <vector>

#include "headrace/operators/operator.h"

namespace headrace {

/// `keyed.sum(field)`, `.min(field)`, `.max(field)` over typed columns. Plain data.
struct RunningFieldSpec {
  std::string function;  ///< "sum", "min" or "max"
  int column = 0;
  std::vector<int>
      key_columns;  ///< columns that are part of the key, so equal in all rows of a key
  SchemaPtr input_schema;
};

/// The input's schema with dictionary-encoded fields as plain ones. kInvalidArgument naming what is
/// wrong.
Result<SchemaPtr> RunningFieldSchema(const RunningFieldSpec& spec);

/// For each row the record of its key with `column` replaced by the running value. As in Flink the
/// other fields are those of the key's first record, which are kept as keyed rows unless they are
/// all part of the key. The field keeps its type: a sum that leaves it fails with
/// kResourceExhausted.
/// REQUIRES: RunningFieldSchema(spec) is ok; batches have a key.
OperatorFactoryPtr RunningField(RunningFieldSpec spec);

}  // namespace headrace
