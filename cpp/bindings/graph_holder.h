#pragma once

#include "bindings/collectable.h"
#include "headrace/graph/job_graph.h"

namespace headrace::bindings {

/// `_core.Graph`: the graph being put together for one execute().
struct GraphHolder {
  StreamGraph stream;

  int Visit(visitproc visit, void* arg) const {
    for (const StreamNode& node : stream.nodes) {
      if (node.op) {
        if (const int stop = VisitOwned(node.op, visit, arg)) return stop;
      } else if (const int stop = VisitOwned(node.source, visit, arg)) {
        return stop;
      }
    }
    return 0;
  }
};

}  // namespace headrace::bindings
