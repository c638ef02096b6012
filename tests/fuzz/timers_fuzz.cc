// A program of registered, deleted and due timers, with barriers and restores, beside a plain set:
// each timer fires once, in order of time, key bytes and namespace.
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "fuzz_input.h"
#include "headrace/base/check.h"
#include "headrace/state/keyed_state.h"
#include "headrace/types/value_codec.h"
#include "testing/memory_snapshot.h"

namespace headrace {
namespace {

constexpr int kMaxParallelism = 4;

class Program {
 public:
  Program() { Open(); }

  void Run(FuzzInput* in) {
    while (!in->done()) Step(in);
    for (int domain : {0, 1}) Fire(domain, kMaxWatermark);
    HR_CHECK(model_.empty());
  }

 private:
  // Domain, time, key, namespace: the order in which timers are due.
  using Model = std::set<std::tuple<int, TimestampMs, std::string, std::string>>;

  void Open() {
    state_ = std::make_unique<KeyedState>(KeyGroupRange{0, kMaxParallelism - 1}, kMaxParallelism,
                                          int64_t{1} << 30);
  }

  void Step(FuzzInput* in) {
    const int action = in->Below(8);
    const int domain = in->Below(2);
    if (action == 0) return Fire(domain, TimeOf(in));
    if (action == 1) {
      HR_CHECK(stored_.Add(state_->Snapshot()).ok());
      if (in->Below(4) != 0) return state_->OnCheckpointComplete();
      Open();
      const Status restored = state_->Restore(stored_.Stored());
      HR_CHECK(restored.ok());
      return;
    }
    ByteWriter key;
    if (in->Below(2) == 0) {
      EncodeInt(static_cast<int8_t>(in->Byte()), &key);
    } else {
      EncodeStr(in->Text(), &key);
    }
    // Most fit into the timer's row, the longest do not.
    std::string ns(in->Text());
    if (action == 2) ns += " of a session that was merged";
    const TimestampMs time = TimeOf(in);
    const KeyId id = state_->keys().LookupOrInsertEncoded(key.view());
    if (action < 6) {
      state_->timers().Register(static_cast<TimeDomain>(domain), id, ns, time);
      model_.insert({domain, time, std::string(key.view()), ns});
    } else {
      state_->timers().Delete(static_cast<TimeDomain>(domain), id, ns, time);
      model_.erase({domain, time, std::string(key.view()), ns});
    }
    CheckNext(domain);
  }

  static TimestampMs TimeOf(FuzzInput* in) {
    const int near = in->Byte();
    return near < 250 ? near : static_cast<TimestampMs>(in->Word());
  }

  void Fire(int domain, TimestampMs until) {
    Timer timer;
    while (state_->timers().PopDue(static_cast<TimeDomain>(domain), until, &timer)) {
      const auto first = model_.lower_bound({domain, INT64_MIN, "", ""});
      HR_CHECK(first != model_.end());
      HR_CHECK(*first ==
               std::make_tuple(domain, timer.time, state_->keys().EncodedKey(timer.key), timer.ns));
      HR_CHECK_LE(timer.time, until);
      model_.erase(first);
    }
    CheckNext(domain);
    const auto first = model_.lower_bound({domain, INT64_MIN, "", ""});
    const bool left = first != model_.end() && std::get<0>(*first) == domain;
    HR_CHECK(!left || std::get<1>(*first) > until);
  }

  void CheckNext(int domain) {
    const auto first = model_.lower_bound({domain, INT64_MIN, "", ""});
    const bool any = first != model_.end() && std::get<0>(*first) == domain;
    HR_CHECK_EQ(state_->timers().NextTime(static_cast<TimeDomain>(domain)),
                any ? std::get<1>(*first) : kMaxWatermark);
  }

  std::unique_ptr<KeyedState> state_;
  MemorySnapshot stored_;
  Model model_;
};

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  headrace::Program().Run(&in);
  return 0;
}
