#include "headrace/checkpoint/erased_rows.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/partition_codec.h"

namespace headrace {
namespace {

// As tables count what their rows take.
constexpr int64_t kRowOverheadBytes = 8;

bool IsFixedWidth(TableKind kind) {
  return kind == TableKind::kFixedValue || kind == TableKind::kSlice;
}

uint32_t IdOf(TableKind kind, const StoredRow& row) {
  return IsFixedWidth(kind) ? row.row : row.key;
}

int64_t BytesOf(TableKind kind, const StoredRow& row) {
  if (IsFixedWidth(kind)) return static_cast<int64_t>(row.value.size());
  const int64_t time = kind == TableKind::kTimers ? int64_t{sizeof(row.time)} : 0;
  return kRowOverheadBytes + time +
         static_cast<int64_t>(row.ns.size() + row.sub_key.size() + row.value.size());
}

// `ordinals` ascend.
template <typename Row, typename Visit>
std::vector<Row> Filtered(const std::vector<Row>& rows, const std::vector<uint32_t>& ordinals,
                          const Visit& instead) {
  std::vector<Row> kept;
  kept.reserve(rows.size());
  auto next = ordinals.begin();
  for (uint32_t i = 0; i < rows.size(); ++i) {
    if (next != ordinals.end() && *next == i) {
      ++next;
      instead(rows[i], &kept);
    } else {
      kept.push_back(rows[i]);
    }
  }
  return kept;
}

}  // namespace

Result<std::string> WithoutRows(const ErasedRows& erased, std::string_view payload) {
  if (erased.kind == TableKind::kKeyed) {
    HR_ASSIGN_OR_RETURN(StoredKeyedPartition partition,
                        DecodeKeyedPartition(erased.row_bytes, payload));
    // A tombstone would show the key.
    partition.rows = Filtered(partition.rows, erased.ordinals,
                              [](const StoredKeyedRow&, std::vector<StoredKeyedRow>*) {});
    return EncodeStoredKeyedPartition(erased.row_bytes, partition);
  }
  HR_ASSIGN_OR_RETURN(StoredPartition partition,
                      DecodePartition(erased.kind, erased.row_bytes, payload));
  const bool whole = partition.whole;
  partition.rows = Filtered(partition.rows, erased.ordinals,
                            [whole](const StoredRow& row, std::vector<StoredRow>* kept) {
                              if (whole) return;
                              StoredRow& tombstone = kept->emplace_back();
                              tombstone.row = row.row;
                              tombstone.tombstone = true;
                            });
  return EncodeStoredPartition(erased.kind, partition);
}

PartitionErasure::Verdicts& PartitionErasure::VerdictsOf(const Place& place, size_t rows) {
  Verdicts& verdicts = verdicts_[place];
  verdicts.resize(rows, Verdict::kCovered);
  return verdicts;
}

Result<ErasedCount> PartitionErasure::AddChain(const std::vector<Place>& chain,
                                               const Payloads& payloads,
                                               std::optional<uint32_t> id) {
  switch (kind_) {
    case TableKind::kKeyed:
      return AddKeyed(chain, payloads);
    case TableKind::kDictionary:
      return AddDictionary(chain, payloads);
    default:
      return AddById(chain, payloads, id);
  }
}

// From the newest payload to the oldest: what comes later at a row's place tells whose it is. An id
// goes from one key to another only with a tombstone in between.
Result<ErasedCount> PartitionErasure::AddById(const std::vector<Place>& chain,
                                              const Payloads& payloads,
                                              std::optional<uint32_t> id) {
  constexpr uint64_t kNobody = ~uint64_t{0};
  std::unordered_map<uint32_t, uint64_t> later;  // place -> id of the row there
  ErasedCount count;
  for (auto place = chain.rbegin(); place != chain.rend(); ++place) {
    HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                        DecodePartition(kind_, row_bytes_, payloads.at(*place)));
    Verdicts& verdicts = VerdictsOf(*place, partition.rows.size());
    for (size_t i = 0; i < partition.rows.size(); ++i) {
      const StoredRow& row = partition.rows[i];
      if (row.tombstone) {
        verdicts[i] = Verdict::kKept;
        later[row.row] = kNobody;
        continue;
      }
      const uint32_t own = IdOf(kind_, row);
      const auto [found, live] = later.try_emplace(row.row, own);
      if (found->second != own) {
        found->second = kNobody;
        continue;
      }
      const bool erased = id && own == *id;
      verdicts[i] = std::max(verdicts[i], erased ? Verdict::kErased : Verdict::kKept);
      if (!erased || !live) continue;
      ++count.rows;
      count.bytes += BytesOf(kind_, row);
    }
  }
  return count;
}

Result<ErasedCount> PartitionErasure::AddDictionary(const std::vector<Place>& chain,
                                                    const Payloads& payloads) {
  std::set<uint32_t> later;
  ErasedCount count;
  for (auto place = chain.rbegin(); place != chain.rend(); ++place) {
    HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                        DecodePartition(kind_, row_bytes_, payloads.at(*place)));
    Verdicts& verdicts = VerdictsOf(*place, partition.rows.size());
    for (size_t i = 0; i < partition.rows.size(); ++i) {
      const StoredRow& row = partition.rows[i];
      const bool erased = !row.tombstone && row.value == key_;
      verdicts[i] = erased ? Verdict::kErased : Verdict::kKept;
      if (!later.insert(row.row).second || !erased) continue;
      ++count.rows;
      count.bytes += kRowOverheadBytes + static_cast<int64_t>(key_.size());
    }
  }
  return count;
}

Result<ErasedCount> PartitionErasure::AddKeyed(const std::vector<Place>& chain,
                                               const Payloads& payloads) {
  std::set<std::pair<std::string_view, std::string_view>> later;  // of the key
  ErasedCount count;
  for (auto place = chain.rbegin(); place != chain.rend(); ++place) {
    HR_ASSIGN_OR_RETURN(const StoredKeyedPartition partition,
                        DecodeKeyedPartition(row_bytes_, payloads.at(*place)));
    Verdicts& verdicts = VerdictsOf(*place, partition.rows.size());
    for (size_t i = 0; i < partition.rows.size(); ++i) {
      const StoredKeyedRow& row = partition.rows[i];
      verdicts[i] = row.key == key_ ? Verdict::kErased : Verdict::kKept;
      if (row.key != key_ || !later.emplace(row.ns, row.sub_key).second || row.tombstone) continue;
      ++count.rows;
      count.bytes += kRowOverheadBytes +
                     static_cast<int64_t>(row.ns.size() + row.sub_key.size() + row.value.size());
    }
  }
  return count;
}

std::map<PartitionErasure::Place, ErasedRows> PartitionErasure::Finish() const {
  std::map<Place, ErasedRows> blocks;
  for (const auto& [place, verdicts] : verdicts_) {
    ErasedRows erased{.kind = kind_, .row_bytes = row_bytes_, .ordinals = {}};
    for (uint32_t i = 0; i < verdicts.size(); ++i) {
      if (verdicts[i] != Verdict::kKept) erased.ordinals.push_back(i);
    }
    if (!erased.ordinals.empty()) blocks.emplace(place, std::move(erased));
  }
  return blocks;
}

}  // namespace headrace
