#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/state/keyed_state.h"
#include "headrace/types/value_codec.h"

namespace headrace::testing {

/// What a KeyedState with one state of every kind should hold, in plain maps by canonical key.
struct KeyedModel {
  using Timers = std::set<std::tuple<int, TimestampMs, std::string, std::string>>;
  std::map<std::string, int64_t> count;
  std::map<std::tuple<std::string, std::string, std::string>, std::string> rows;
  Timers timers;
  std::map<TimestampMs, std::map<std::string, int64_t>> slices;

  bool operator==(const KeyedModel&) const = default;
  /// Adds all of another one: the union of several subtasks.
  void Add(const KeyedModel& other) {
    count.insert(other.count.begin(), other.count.end());
    rows.insert(other.rows.begin(), other.rows.end());
    timers.insert(other.timers.begin(), other.timers.end());
    for (const auto& [start, sums] : other.slices) slices[start].insert(sums.begin(), sums.end());
  }
};

/// A KeyedState and its model under the same random operations.
class ModelledState {
 public:
  // Small, so that tables of some thousand rows have several.
  static constexpr uint32_t kPartitionBytes = 16 << 10;

  /// With `cold` a row cache whose Maintain() evicts all it can.
  explicit ModelledState(KeyGroupRange range = {0, 127}, std::unique_ptr<ColdStore> cold = nullptr)
      : state(range, 128, int64_t{1} << 40, std::move(cold)) {
    state.SetPartitionBytes(kPartitionBytes);
    state.LimitCache(0);
  }

  /// Registers the states. REQUIRES: called once, after a restore if there is one.
  Status Open() {
    HR_ASSIGN_OR_RETURN(count_, state.RegisterFixed("count", "value<int64>", 8));
    HR_ASSIGN_OR_RETURN(rows_, state.RegisterRows("rows", "map<str, str>"));
    HR_ASSIGN_OR_RETURN(slices_, state.RegisterSlices("total", "sum<int64>", 16));
    return Status::Ok();
  }

  /// Key number `n`: ints, strings and pairs in turn.
  static std::string KeyOf(int n) {
    ByteWriter out;
    if (n % 3 == 0) EncodeInt(n * 7 - 500, &out);
    if (n % 3 == 1) EncodeStr("key-" + std::to_string(n), &out);
    if (n % 3 == 2) EncodeKeyFloat(n / 4.0, &out);
    return out.Take();
  }
  bool Owns(const std::string& key) const {
    return state.range().Contains(headrace::KeyGroupOf(key, 128));
  }

  void RandomStep(std::mt19937* random, int keys_max, int watermark) {
    const auto pick = [&](int n) { return static_cast<int>((*random)() % n); };
    const std::string key = KeyOf(pick(2) ? pick(keys_max) : pick(keys_max / 20 + 1));
    if (!Owns(key)) return;
    static constexpr const char* kNamespaces[] = {"", "w1", "a longer namespace than a window"};
    const std::string ns = kNamespaces[pick(3)];
    const std::string sub_key = pick(2) ? "" : "s" + std::to_string(pick(5));
    const KeyId id = state.keys().LookupOrInsertEncoded(key);
    switch (pick(10)) {
      case 0:
        count_->Clear(id);
        model.count.erase(key);
        break;
      case 1:
      case 2: {
        const int64_t value = (*random)();
        count_->Set<int64_t>(id, value);
        model.count[key] = value;
        break;
      }
      case 3:
      case 4:
      case 5: {
        const std::string value(pick(3) ? 8 : pick(60), static_cast<char>('a' + pick(26)));
        rows_->Put(id, ns, sub_key, value);
        model.rows[{key, ns, sub_key}] = value;
        break;
      }
      case 6:
        rows_->Remove(id, ns, sub_key);
        model.rows.erase({key, ns, sub_key});
        break;
      case 7: {
        const auto domain = static_cast<TimeDomain>(pick(2));
        const TimestampMs time = watermark + pick(100);
        if (pick(3)) {
          state.timers().Register(domain, id, ns, time);
          model.timers.insert({static_cast<int>(domain), time, key, ns});
        } else {
          state.timers().Delete(domain, id, ns, time);
          model.timers.erase({static_cast<int>(domain), time, key, ns});
        }
        break;
      }
      default: {
        const TimestampMs start = (watermark / 10 + pick(3)) * 10;
        SliceTable* slice = slices_->FindOrCreate(start);
        const KeyId slice_id = slice->keys().LookupOrInsertEncoded(key);
        slice->accumulators().EnsureSize(slice->keys().size());
        auto* sum = reinterpret_cast<int64_t*>(slice->accumulators().MutableRow(slice_id));
        ++sum[1];
        ++model.slices[start][key];
      }
    }
  }

  /// Fires due event timers and drops closed slices.
  bool Advance(int watermark) {
    Timer timer;
    while (state.timers().PopDue(TimeDomain::kEventTime, watermark, &timer)) {
      const auto first = model.timers.begin();
      if (first == model.timers.end() ||
          *first != std::make_tuple(0, timer.time, state.keys().EncodedKey(timer.key), timer.ns)) {
        return false;
      }
      model.timers.erase(first);
    }
    while (!model.slices.empty() && model.slices.begin()->first + 10 <= watermark) {
      slices_->Drop(model.slices.begin()->first);
      model.slices.erase(model.slices.begin());
    }
    return true;
  }

  /// What the state really holds of the keys that have ids. Timers are taken out and put back.
  KeyedModel Read() {
    KeyedModel found;
    for (KeyId id = 0; id < state.keys().size(); ++id) {
      if (state.keys().live(id)) ReadKey(id, &found);
    }
    ReadOthers(&found);
    return found;
  }
  /// The same of all keys that RandomStep may have used.
  KeyedModel ReadAll(int keys_max) {
    KeyedModel found;
    for (int n = 0; n < keys_max; ++n) {
      const std::string key = KeyOf(n);
      if (Owns(key)) ReadKey(state.keys().LookupOrInsertEncoded(key), &found);
      if (n % 100 == 99) state.Maintain();
    }
    ReadOthers(&found);
    return found;
  }

  KeyedState state;
  KeyedModel model;

 private:
  void ReadKey(KeyId id, KeyedModel* found) {
    const std::string key = state.keys().EncodedKey(id);
    if (count_->Has(id)) found->count[key] = count_->Get<int64_t>(id);
    for (const char* ns : {"", "w1", "a longer namespace than a window"}) {
      rows_->Walk(id, ns, nullptr, [&](std::string_view sub_key, std::string_view value) {
        found->rows[{key, ns, std::string(sub_key)}] = value;
        return true;
      });
    }
  }

  void ReadOthers(KeyedModel* into) {
    KeyedModel& found = *into;
    KeyDictionary& keys = state.keys();
    for (const TimeDomain domain : {TimeDomain::kEventTime, TimeDomain::kProcessingTime}) {
      std::vector<Timer> timers;
      Timer timer;
      while (state.timers().PopDue(domain, kMaxWatermark, &timer)) timers.push_back(timer);
      for (const Timer& one : timers) {
        found.timers.insert({static_cast<int>(domain), one.time, keys.EncodedKey(one.key), one.ns});
        state.timers().Register(domain, one.key, one.ns, one.time);
      }
    }
    for (const auto& [start, slice] : slices_->slices()) {
      for (KeyId id = 0; id < slice->keys().size(); ++id) {
        if (!slice->accumulators().live(id)) continue;
        found.slices[start][slice->keys().EncodedKey(id)] =
            reinterpret_cast<const int64_t*>(slice->accumulators().Row(id))[1];
      }
    }
  }

  FixedValueState* count_ = nullptr;
  RowState* rows_ = nullptr;
  SliceStore* slices_ = nullptr;
};

}  // namespace headrace::testing
