#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// A restored state that no operator has registered yet.
struct UnclaimedState {
  std::string fingerprint;  ///< "" = there is none
  TableKind kind = TableKind::kRows;
};
UnclaimedState FindUnclaimed(const KeyedState& state, std::string_view name);

/// Makes an unclaimed state one of another fingerprint: the value of each row, in memory or not,
/// becomes what `migrate` appends. Its next snapshot is full. After a failure the state is of no
/// use. REQUIRES: it is one of kRows, nothing was written since it was restored.
using RowMigration = std::function<Status(std::string_view value, ByteWriter* out)>;
Status MigrateRows(KeyedState* state, std::string_view name, std::string_view fingerprint,
                   const RowMigration& migrate);

/// The same for native values, which get another width. REQUIRES also: it is one of kFixedValue.
using Widening = void (*)(const char* from, char* to);
Status MigrateFixed(KeyedState* state, std::string_view name, std::string_view fingerprint,
                    int value_bytes, Widening widen);

/// The same where every value is good as it is.
void RenameType(KeyedState* state, std::string_view name, std::string_view fingerprint);

}  // namespace headrace
