#pragma once

#include "headrace/graph/job_graph.h"

namespace headrace::bindings {

/// `_core.Graph`: the graph being put together for one execute().
struct GraphHolder {
  StreamGraph stream;
};

}  // namespace headrace::bindings
