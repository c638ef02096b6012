// A program of lookups, uses, releases, barriers and restored keys of any bytes beside a plain map:
// one id a key, one key an id, and an id comes back only after the checkpoint that lets it go.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "headrace/base/check.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kMaxParallelism = 16;

class Program {
 public:
  explicit Program(FuzzInput* in) {
    keys_.TrackIdleKeys();
    keys_.SetReleaseListener([this](KeyId id) { Forget(id); });
    RestoreKeys(in);
  }

  void Run(FuzzInput* in) {
    while (!in->done()) Step(in);
    Check();
  }

 private:
  struct Known {
    KeyId id;
    int uses = 0;
  };

  // What a damaged checkpoint may hold; what is taken is a key as any other.
  void RestoreKeys(FuzzInput* in) {
    for (int left = in->Below(8); left > 0; --left) {
      const KeyId id = in->Byte();
      const std::string canonical(in->Text());
      const int group = in->Below(2) == 0 ? KeyGroupOf(canonical, kMaxParallelism) : in->Byte();
      if (!keys_.RestoreKey(id, canonical, group).ok()) continue;
      HR_CHECK(known_.emplace(canonical, Known{id}).second);
      HR_CHECK_EQ(keys_.KeyGroupOf(id), group);
    }
    keys_.FinishRestore(/*clean=*/false);
    Check();
  }

  void Step(FuzzInput* in) {
    const int action = in->Below(8);
    switch (action) {
      case 0:
        return Barrier(in->Below(3));
      case 1:
        return keys_.ReleaseIdle(in->Below(8));
      case 2:
        return Check();
      case 3: {
        const std::string canonical = KeyOf(in);
        const auto found = known_.find(canonical);
        HR_CHECK_EQ(keys_.LookupEncoded(canonical),
                    found == known_.end() ? kNoKey : found->second.id);
        return;
      }
      default: {
        const std::string canonical = KeyOf(in);
        const KeyId id = keys_.LookupOrInsertEncoded(canonical);
        const auto [entry, is_new] = known_.emplace(canonical, Known{id});
        HR_CHECK_EQ(entry->second.id, id);
        if (is_new) HR_CHECK(held_.count(id) == 0);
        if (action >= 6) {
          keys_.AddUse(id);
          ++entry->second.uses;
        } else if (action == 5 && entry->second.uses > 0) {
          keys_.DropUse(id);
          --entry->second.uses;
        }
      }
    }
  }

  static std::string KeyOf(FuzzInput* in) {
    ByteWriter out;
    switch (in->Below(3)) {
      case 0:
        EncodeInt(static_cast<int64_t>(in->Below(8) == 0 ? in->Word() : in->Byte()), &out);
        break;
      case 1:
        EncodeStr(in->Text(), &out);
        break;
      default:
        EncodeBytes(in->Text(), &out);
    }
    return out.Take();
  }

  // A key without a use was let go. Its id is free at once only when no snapshot can hold it.
  void Forget(KeyId id) {
    const auto found = known_.find(keys_.EncodedKey(id));
    HR_CHECK(found != known_.end());
    HR_CHECK_EQ(found->second.id, id);
    HR_CHECK_EQ(found->second.uses, 0);
    known_.erase(found);
    if (!keys_.table().dirty(id)) held_.insert(id);
  }

  void Barrier(int outcome) {
    TableMeta meta;
    meta.name = "keys";
    meta.kind = TableKind::kDictionary;
    snapshot_ = keys_.Snapshot(meta, ++number_);
    tombstones_[number_] = std::exchange(held_, {});
    for (const auto& [number, ids] : tombstones_) held_.insert(ids.begin(), ids.end());
    if (outcome > 0) {
      for (const uint32_t index : snapshot_->ChangedPartitions()) {
        PartitionImage image;
        HR_CHECK(snapshot_->ReadPartition(index, outcome == 2, &image).ok());
      }
      snapshot_->Finish();
      keys_.OnCheckpointComplete(number_);
      tombstones_.clear();
      held_.clear();
    }
    snapshot_.reset();
  }

  void Check() {
    HR_CHECK_EQ(keys_.live_keys(), static_cast<int64_t>(known_.size()));
    const std::string* previous = nullptr;
    KeyId previous_id = kNoKey;
    for (const auto& [canonical, known] : known_) {
      HR_CHECK(keys_.live(known.id));
      HR_CHECK(keys_.EncodedKey(known.id) == canonical);
      HR_CHECK_EQ(keys_.LookupEncoded(canonical), known.id);
      // The map is in order of the bytes.
      if (previous != nullptr) {
        HR_CHECK_LT(keys_.Compare(previous_id, known.id), 0);
        HR_CHECK_LE(keys_.Prefix(previous_id), keys_.Prefix(known.id));
      }
      previous = &canonical;
      previous_id = known.id;
    }
  }

  KeyDictionary keys_{kMaxParallelism};
  std::map<std::string, Known> known_;
  // Released ids that a stored snapshot still maps to their old key.
  std::set<KeyId> held_;
  std::map<uint64_t, std::set<KeyId>> tombstones_;
  std::unique_ptr<TableSnapshot> snapshot_;
  uint64_t number_ = 0;
};

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  headrace::Program(&in).Run(&in);
  return 0;
}
