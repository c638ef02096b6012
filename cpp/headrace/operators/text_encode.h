#pragma once

#include "headrace/operators/operator.h"

namespace headrace {

/// One string column `value`: the schema of TextEncode's output.
SchemaPtr TextSchema();

/// Turns each record into the text that Python's str() gives (row_text.h), for sinks of lines. A
/// stream of one string column passes its column through. Object columns fail: host values are the
/// bindings' job.
OperatorFactoryPtr TextEncode();

}  // namespace headrace
