#pragma once

#include "headrace/base/status.h"
#include "headrace/state/cold_tier.h"
#include "headrace/state/keyed_state_migration.h"

namespace headrace {

/// Gives every row that a table has in the store the value that `migrate` appends for it.
/// O(rows of the store), in pieces of bounded memory. After a failure some rows are migrated.
/// REQUIRES: the table has no row in memory.
Status MigrateStoredRows(ColdTier* tier, ColdTable* table, const RowMigration& migrate);

}  // namespace headrace
