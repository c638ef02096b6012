// Accumulators without windows: a slice where all state is in memory, values that can leave memory
// where not.
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "headrace/state/keyed_state.h"
#include "headrace/state/keyed_state_impl.h"

namespace headrace {
namespace {

constexpr int64_t kKeysBetweenEvictions = 4096;

}  // namespace

Status KeyedState::Impl::Convert(std::string_view name, std::string_view fingerprint,
                                 TableKind kind, int row_bytes) {
  const auto found = states.find(name);
  if (found == states.end()) return Status::Ok();
  const TableKind other = kind == TableKind::kSlice ? TableKind::kFixedValue : TableKind::kSlice;
  NamedState& stored = found->second;
  if (!stored.restored || stored.kind != other || stored.fingerprint != fingerprint ||
      stored.row_bytes != row_bytes || (cold != nullptr) != (kind == TableKind::kFixedValue)) {
    return Status::Ok();  // the registration says what is wrong, if anything
  }
  const NamedState former = std::move(stored);
  states.erase(found);
  HR_ASSIGN_OR_RETURN(NamedState * made, FindOrMake(name, fingerprint, kind, row_bytes));
  made->restored = true;
  const auto bytes = static_cast<size_t>(row_bytes);
  if (kind == TableKind::kSlice) {
    SliceTable* slice = made->slices->FindOrCreate(kOnlySlice);
    for (KeyId id = 0; id < keys.size(); ++id) {
      if (!keys.live(id) || !former.fixed->Has(id)) continue;
      const KeyId in_slice = slice->keys().LookupOrInsert(keys.KeyOf(id));
      slice->accumulators().EnsureSize(slice->keys().size());
      std::memcpy(slice->accumulators().MutableRow(in_slice), former.fixed->table().Row(id), bytes);
      former.fixed->Clear(id);
    }
    return Status::Ok();
  }
  SliceTable* slice = former.slices->Find(kOnlySlice);
  for (KeyId id = 0; slice != nullptr && id < slice->keys().size(); ++id) {
    if (!slice->accumulators().live(id)) continue;
    const KeyId key = keys.LookupOrInsert(slice->keys().KeyOf(id));
    std::memcpy(made->fixed->MutableRow(key), slice->accumulators().Row(id), bytes);
    if (id % kKeysBetweenEvictions == 0 && NeedsRoom()) MakeRoom();
  }
  return cold->status();
}

}  // namespace headrace
