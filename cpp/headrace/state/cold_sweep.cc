#include "headrace/state/cold_sweep.h"

#include <utility>

#include "headrace/state/cold_key.h"

namespace headrace {

std::vector<ColdSweep::Place> ColdSweep::Next(int64_t rows, const Wanted& wanted) {
  struct Found {
    std::string canonical;
    Place place;
  };
  std::vector<Found> found;
  std::string row_key;
  std::string last;
  const auto look = [&](std::string_view cold_key, std::string_view value) {
    uint16_t table = 0;
    RowKeyParts parts;
    if (!RowKeyOfColdKey(cold_key, &table, &row_key) || !ParseRowKey(row_key, &parts)) {
      tier_->Fail(Status::Corruption("the local store of rows gave a key that is none"));
      return false;
    }
    if (table == table_->number() && wanted(value)) {
      found.push_back({std::string(parts.canonical),
                       {kNoKey, std::string(parts.ns), std::string(parts.sub_key)}});
    }
    if (--rows > 0) return true;
    last = cold_key;
    return false;
  };
  tier_->Scan({}, after_.empty() ? nullptr : &after_, look);
  after_ = std::move(last);
  std::vector<Place> places;
  places.reserve(found.size());
  for (Found& one : found) {
    one.place.key = keys_->LookupOrInsertEncoded(one.canonical);
    places.push_back(std::move(one.place));
  }
  return places;
}

}  // namespace headrace
