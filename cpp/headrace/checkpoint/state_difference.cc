#include "headrace/checkpoint/state_difference.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/hash.h"

namespace headrace {
namespace {

/// All rows of a key on one side. Sums, so that their order does not count.
struct Side {
  uint64_t rows = 0;
  uint64_t bytes = 0;
  Digest128 sum;
  bool operator==(const Side&) const = default;
};

struct BothSides {
  Side before;
  Side after;
};

/// The keys whose hash falls to one of several rounds.
class Round {
 public:
  Round(uint64_t number, uint64_t rounds) : number_(number), rounds_(rounds) {}

  Status Read(const StateComparison::MakeCursor& make, Side BothSides::*side,
              const std::function<Status()>& poll) {
    if (!make) return Status::Ok();
    HR_ASSIGN_OR_RETURN(const std::unique_ptr<StateCursor> cursor, make());
    std::vector<StateRow> rows;
    while (true) {
      HR_RETURN_IF_ERROR(poll());
      HR_ASSIGN_OR_RETURN(const bool more, cursor->Next(&rows));
      if (!more) return Status::Ok();
      for (const StateRow& row : rows) {
        if (rounds_ == 1 || Hash64(row.key) % rounds_ == number_) Add(row, side);
      }
    }
  }

  void Report(StateDifference* out) {
    const size_t start = out->changes.size();
    for (auto& [key, sides] : keys_) {
      out->bytes_before += sides.before.bytes;
      out->bytes_after += sides.after.bytes;
      if (sides.before == sides.after) {
        ++out->keys_unchanged;
        continue;
      }
      KeyChange change{KeyChange::Kind::kChanged, key, sides.before.bytes, sides.after.bytes};
      if (sides.before.rows == 0) change.kind = KeyChange::Kind::kAdded;
      if (sides.after.rows == 0) change.kind = KeyChange::Kind::kRemoved;
      ++(change.kind == KeyChange::Kind::kAdded     ? out->keys_added
         : change.kind == KeyChange::Kind::kRemoved ? out->keys_removed
                                                    : out->keys_changed);
      out->changes.push_back(std::move(change));
    }
    std::sort(out->changes.begin() + static_cast<int64_t>(start), out->changes.end(),
              [](const KeyChange& a, const KeyChange& b) { return a.key < b.key; });
  }

 private:
  void Add(const StateRow& row, Side BothSides::*which) {
    Side& side = keys_[std::string(row.key)].*which;
    scratch_.Clear();
    scratch_.String(row.ns);
    scratch_.String(row.sub_key);
    scratch_.Fixed(row.domain);
    scratch_.Fixed(row.time);
    scratch_.Raw(row.value);
    const Digest128 digest = Hash128(scratch_.view());
    ++side.rows;
    side.bytes += row.ns.size() + row.sub_key.size() + row.value.size();
    side.sum.low += digest.low;
    side.sum.high += digest.high;
  }

  const uint64_t number_;
  const uint64_t rounds_;
  std::unordered_map<std::string, BothSides> keys_;
  ByteWriter scratch_;
};

}  // namespace

Result<StateDifference> StateComparison::Run(const MakeCursor& before, const MakeCursor& after,
                                             int64_t keys, const std::function<Status()>& poll,
                                             int64_t keys_at_a_time) {
  const auto rounds = static_cast<uint64_t>(keys / keys_at_a_time + 1);
  StateDifference difference;
  for (uint64_t i = 0; i < rounds; ++i) {
    Round round(i, rounds);
    HR_RETURN_IF_ERROR(round.Read(before, &BothSides::before, poll));
    HR_RETURN_IF_ERROR(round.Read(after, &BothSides::after, poll));
    round.Report(&difference);
  }
  return difference;
}

}  // namespace headrace
