#include "headrace/state/operator_state.h"

#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"

namespace headrace {

namespace {

// Bit of the redistribution byte: a fingerprint follows.
constexpr uint8_t kHasFingerprint = 0x80;

}  // namespace

void OperatorState::Set(std::string_view name, Redistribution redistribution,
                        std::vector<std::string> items, std::string_view fingerprint) {
  lists_.insert_or_assign(std::string(name),
                          List{redistribution, std::move(items), std::string(fingerprint)});
}

const std::vector<std::string>& OperatorState::Items(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto found = lists_.find(name);
  return found == lists_.end() ? kNone : found->second.items;
}

OperatorState OperatorState::Redistribute(const std::vector<OperatorState>& former, int index,
                                          int parallelism) {
  HR_CHECK(0 <= index && index < parallelism);
  if (static_cast<int>(former.size()) == parallelism) {
    OperatorState same = former[index];
    // Items that all subtasks get still come from all of them.
    for (auto& [name, list] : same.lists_) {
      if (list.redistribution == Redistribution::kUnion) list.items.clear();
    }
    for (const OperatorState& one : former) {
      for (const auto& [name, list] : one.lists_) {
        if (list.redistribution != Redistribution::kUnion) continue;
        List& mine = same.lists_[name];
        mine.redistribution = Redistribution::kUnion;
        mine.fingerprint = list.fingerprint;
        mine.items.insert(mine.items.end(), list.items.begin(), list.items.end());
      }
    }
    return same;
  }
  OperatorState dealt;
  std::map<std::string_view, int64_t> positions;
  for (size_t from = 0; from < former.size(); ++from) {
    for (const auto& [name, list] : former[from].lists_) {
      List& mine = dealt.lists_[name];
      mine.redistribution = list.redistribution;
      mine.fingerprint = list.fingerprint;
      if (list.redistribution == Redistribution::kCopy) {
        if (from == static_cast<size_t>(index) % former.size()) mine.items = list.items;
        continue;
      }
      int64_t& position = positions[name];
      for (const std::string& item : list.items) {
        const bool takes =
            list.redistribution == Redistribution::kUnion || position % parallelism == index;
        if (takes) mine.items.push_back(item);
        ++position;
      }
    }
  }
  return dealt;
}

// Operator state, as it stands in a manifest; string = varint length and the bytes:
//
//   varint   number of lists, in the order of their names; for each:
//     string   name
//     1 byte   redistribution: 0 split, 1 union, 2 copy; + 128 when a fingerprint follows
//     string   fingerprint, if there is one
//     varint   number of items; for each: string
std::string OperatorState::Encode() const {
  ByteWriter out;
  out.Varint(lists_.size());
  for (const auto& [name, list] : lists_) {
    out.String(name);
    const uint8_t flag = list.fingerprint.empty() ? 0 : kHasFingerprint;
    out.Fixed(static_cast<uint8_t>(static_cast<uint8_t>(list.redistribution) | flag));
    if (flag != 0) out.String(list.fingerprint);
    out.Varint(list.items.size());
    for (const std::string& item : list.items) out.String(item);
  }
  return out.Take();
}

Result<OperatorState> OperatorState::Decode(std::string_view bytes) {
  ByteReader in(bytes);
  OperatorState state;
  uint64_t lists = 0;
  HR_RETURN_IF_ERROR(in.Count(/*bytes_each=*/3, &lists));
  for (uint64_t i = 0; i < lists; ++i) {
    std::string_view name;
    uint8_t redistribution = 0;
    uint64_t items = 0;
    HR_RETURN_IF_ERROR(in.String(&name));
    std::string_view fingerprint;
    HR_RETURN_IF_ERROR(in.Fixed(&redistribution));
    if ((redistribution & kHasFingerprint) != 0) {
      redistribution = static_cast<uint8_t>(redistribution & ~kHasFingerprint);
      HR_RETURN_IF_ERROR(in.String(&fingerprint));
    }
    if (redistribution > static_cast<uint8_t>(Redistribution::kCopy)) {
      return Status::Corruption("operator state list '" + std::string(name) +
                                "' has unknown redistribution " + std::to_string(redistribution));
    }
    HR_RETURN_IF_ERROR(in.Count(/*bytes_each=*/1, &items));
    std::vector<std::string> values;
    values.reserve(items);
    for (uint64_t item = 0; item < items; ++item) {
      std::string_view value;
      HR_RETURN_IF_ERROR(in.String(&value));
      values.emplace_back(value);
    }
    state.Set(name, static_cast<Redistribution>(redistribution), std::move(values), fingerprint);
  }
  HR_RETURN_IF_ERROR(in.ExpectDone());
  return state;
}

}  // namespace headrace
