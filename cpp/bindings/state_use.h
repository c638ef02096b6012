#pragma once

#include <string>

#include "headrace/state/row_state.h"
#include "headrace/state/time_to_live.h"
#include "headrace/state/ttl_rows.h"

namespace headrace::bindings {

/// How a program uses a keyed state that it asked for by a descriptor.
struct StateUse {
  bool per_window = false;  ///< in windows: one state for each window of a key
  TimeToLive ttl;

  /// With a time to live values are stored in another form, so the type is another.
  std::string Fingerprint(const std::string& type) const {
    return ttl.enabled() ? "ttl<" + type + ">" : type;
  }
};

}  // namespace headrace::bindings
