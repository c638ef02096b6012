// A program of writes to every kind of keyed state and of barriers between them: what is encoded is
// decoded as what the model holds, whole and by deltas, through blocks of every codec.
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "fuzz_input.h"
#include "headrace/base/check.h"
#include "headrace/state/keyed_state.h"
#include "headrace/storage/block.h"
#include "headrace/types/value_codec.h"
#include "testing/memory_snapshot.h"

namespace headrace {
namespace {

constexpr int kKeys = 24;
constexpr int kMaxParallelism = 8;
constexpr const char* kNamespaces[] = {"", "w", "a namespace longer than a window's"};

struct Model {
  std::map<std::string, int64_t> values;
  std::map<std::tuple<std::string, std::string, std::string>, std::string> rows;
  std::set<std::tuple<int, TimestampMs, std::string>> timers;
  bool operator==(const Model&) const = default;
};

class Program {
 public:
  Program() { Open(); }

  void Run(FuzzInput* in) {
    while (!in->done()) Step(in);
    Barrier(/*complete=*/true);
    Reopen();
    HR_CHECK(Read() == model_);
  }

 private:
  void Open() {
    state_ = std::make_unique<KeyedState>(KeyGroupRange{0, kMaxParallelism - 1}, kMaxParallelism,
                                          int64_t{1} << 30);
  }
  void Register() {
    auto values = state_->RegisterFixed("values", "int64", 8);
    auto rows = state_->RegisterRows("rows", "str");
    HR_CHECK(values.ok() && rows.ok());
    values_ = *values;
    rows_ = *rows;
  }

  static std::string KeyOf(int number) {
    ByteWriter out;
    if (number % 3 == 0) EncodeInt(number - 10, &out);
    if (number % 3 == 1) EncodeStr("key " + std::to_string(number), &out);
    if (number % 3 == 2) EncodeKeyFloat(number / 2.0, &out);
    return out.Take();
  }

  void Step(FuzzInput* in) {
    if (values_ == nullptr) Register();
    const int action = in->Below(10);
    const std::string key = KeyOf(in->Below(kKeys));
    const std::string ns = kNamespaces[in->Below(3)];
    if (action == 0) return Barrier(/*complete=*/in->Below(4) != 0);
    if (action == 1) {
      if (in->Below(8) != 0) return;  // seldom: it costs more than all other steps
      Barrier(/*complete=*/true);
      return Reopen();
    }
    const KeyId id = state_->keys().LookupOrInsertEncoded(key);
    switch (action) {
      case 2: {
        const auto value = static_cast<int64_t>(in->Word());
        values_->Set<int64_t>(id, value);
        model_.values[key] = value;
        break;
      }
      case 3:
        values_->Clear(id);
        model_.values.erase(key);
        break;
      case 4:
      case 5:
      case 6: {
        const std::string sub_key(in->Text().substr(0, 3));
        // Some too large for the pool of blocks.
        std::string value(in->Text());
        if (action == 6) value.append(size_t{in->Byte()} * 16, 'x');
        rows_->Put(id, ns, sub_key, value);
        model_.rows[{key, ns, sub_key}] = value;
        break;
      }
      case 7: {
        rows_->Clear(id, ns);
        std::erase_if(model_.rows, [&](const auto& row) {
          return std::get<0>(row.first) == key && std::get<1>(row.first) == ns;
        });
        break;
      }
      default: {
        const auto domain = static_cast<TimeDomain>(in->Below(2));
        const auto time = static_cast<TimestampMs>(in->Byte());
        if (action == 8) {
          state_->timers().Register(domain, id, {}, time);
          model_.timers.insert({static_cast<int>(domain), time, key});
        } else {
          state_->timers().Delete(domain, id, {}, time);
          model_.timers.erase({static_cast<int>(domain), time, key});
        }
      }
    }
  }

  void Barrier(bool complete) {
    KeyedStateSnapshot snapshot = state_->Snapshot();
    const uint64_t number = snapshot.number;
    HR_CHECK(stored_.Add(std::move(snapshot)).ok());
    if (complete) state_->OnCheckpointComplete(number);
  }

  void Reopen() {
    Open();
    const Status restored = state_->Restore(stored_.Stored());
    HR_CHECK(restored.ok());
    Register();
  }

  Model Read() {
    Model found;
    KeyDictionary& keys = state_->keys();
    for (KeyId id = 0; id < keys.size(); ++id) {
      if (!keys.live(id)) continue;
      const std::string key = keys.EncodedKey(id);
      if (values_->Has(id)) found.values[key] = values_->Get<int64_t>(id);
      for (const char* ns : kNamespaces) {
        rows_->Walk(id, ns, nullptr, [&](std::string_view sub_key, std::string_view value) {
          found.rows[{key, ns, std::string(sub_key)}] = value;
          return true;
        });
      }
    }
    for (const TimeDomain domain : {TimeDomain::kEventTime, TimeDomain::kProcessingTime}) {
      Timer timer;
      while (state_->timers().PopDue(domain, kMaxWatermark, &timer)) {
        found.timers.insert({static_cast<int>(domain), timer.time, keys.EncodedKey(timer.key)});
      }
    }
    return found;
  }

  std::unique_ptr<KeyedState> state_;
  FixedValueState* values_ = nullptr;
  RowState* rows_ = nullptr;
  MemorySnapshot stored_;
  Model model_;
};

void StoreAsBlocks(std::string_view payload) {
  for (const CodecId codec : {CodecId::kNone, CodecId::kLz4, CodecId::kSnappy, CodecId::kZstd}) {
    std::string bytes;
    const Result<Digest128> digest = WriteBlock({BlockKind::kBase, codec, 0}, payload, &bytes);
    HR_CHECK(digest.ok());
    HR_CHECK(*digest == BlockDigest(bytes));
    const Result<Block> block = ReadBlock(bytes, "written", 0);
    HR_CHECK(block.ok());
    HR_CHECK(block->payload == payload);
  }
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  headrace::StoreAsBlocks(headrace::FuzzInput(data, size).Rest());
  headrace::Program().Run(&in);
  return 0;
}
