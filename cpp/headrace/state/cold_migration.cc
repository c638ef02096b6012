#include "headrace/state/cold_migration.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/state/cold_key.h"

namespace headrace {
namespace {

constexpr size_t kPieceRows = 4096;
constexpr size_t kPieceBytes = size_t{4} << 20;

}  // namespace

Status MigrateStoredRows(ColdTier* tier, ColdTable* table, const RowMigration& migrate) {
  tier->Flush();
  HR_RETURN_IF_ERROR(tier->status());
  // No row may be met twice: a walk over the store itself could see what was written meanwhile.
  const std::unique_ptr<ColdView> view = tier->store()->MakeView();
  std::vector<std::pair<std::string, std::string>> rows;
  std::vector<ColdWrite> writes;
  std::string from;
  std::string row_key;
  ByteWriter migrated;
  for (bool more = true; more;) {
    more = false;
    rows.clear();
    writes.clear();
    size_t bytes = 0;
    int64_t grown = 0;
    Status bad;
    const auto visit = [&](std::string_view cold_key, std::string_view value) {
      if (rows.size() >= kPieceRows || bytes >= kPieceBytes) {
        from = cold_key;
        more = true;
        return false;
      }
      uint16_t number = 0;
      if (!RowKeyOfColdKey(cold_key, &number, &row_key)) {
        bad = Status::Corruption("the local store of rows gave a key that is none");
        return false;
      }
      if (number != table->number()) return true;
      migrated.Clear();
      bad = migrate(value, &migrated);
      if (!bad.ok() || migrated.view() == value) return bad.ok();
      grown += static_cast<int64_t>(migrated.view().size()) - static_cast<int64_t>(value.size());
      bytes += cold_key.size() + migrated.view().size();
      rows.emplace_back(cold_key, migrated.view());
      return true;
    };
    HR_RETURN_IF_ERROR(view->Scan(from, {}, visit));
    HR_RETURN_IF_ERROR(bad);
    for (const auto& [key, value] : rows) writes.push_back({key, value});
    HR_RETURN_IF_ERROR(tier->Write(writes));
    table->NoteRestored(0, grown, /*plain=*/false, /*sub_rows=*/false);
  }
  return Status::Ok();
}

}  // namespace headrace
