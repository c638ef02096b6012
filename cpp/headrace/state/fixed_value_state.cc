#include "headrace/state/fixed_value_state.h"

#include "headrace/state/state_table_snapshots.h"

namespace headrace {

std::unique_ptr<TableSnapshot> FixedValueState::Snapshot(TableMeta meta) {
  table_.FitPartitions(static_cast<uint64_t>(table_.live_rows()) *
                       static_cast<uint64_t>(table_.row_bytes()));
  return std::make_unique<FixedTableSnapshot>(std::move(meta), table_.BeginSnapshot());
}

}  // namespace headrace
