// Keyed state in memory: what one row costs, what a barrier costs, and the worst single insertion.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "headrace/base/hash.h"
#include "headrace/state/keyed_state.h"

namespace headrace {
namespace {

constexpr int64_t kBatchRows = 4096;

int64_t KeyNumber(int64_t i) { return static_cast<int64_t>(MixInt64(i) >> 1); }

// Batches of keys in random order over `keys` distinct ones.
std::vector<int64_t> RandomKeys(int64_t keys) {
  std::vector<int64_t> numbers(1 << 20);
  uint64_t x = 88172645463325252ULL;
  for (int64_t& number : numbers) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    number = KeyNumber(static_cast<int64_t>(x % static_cast<uint64_t>(keys)));
  }
  return numbers;
}

void BM_LookupInt(benchmark::State& state) {
  KeyDictionary keys(128);
  for (int64_t i = 0; i < state.range(0); ++i) keys.LookupOrInsertInt(KeyNumber(i));
  const std::vector<int64_t> numbers = RandomKeys(state.range(0));
  std::vector<KeyId> ids(kBatchRows);
  size_t at = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < kBatchRows; ++i) ids[i] = keys.LookupOrInsertInt(numbers[at + i]);
    benchmark::DoNotOptimize(ids.data());
    at = (at + kBatchRows) % numbers.size();
  }
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(BM_LookupInt)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);

// The limit to compare BM_LookupInt with: one open-addressing table of 16-byte slots, half full at
// most.
void BM_LookupIntLimit(benchmark::State& state) {
  struct Slot {
    int64_t key;
    uint64_t id;
  };
  uint64_t slots = 1;
  while (slots < static_cast<uint64_t>(state.range(0)) * 2) slots *= 2;
  std::vector<Slot> table(slots, {-1, 0});
  const auto find = [&](int64_t key) -> Slot& {
    uint64_t at = MixInt64(static_cast<uint64_t>(key)) & (slots - 1);
    while (table[at].key != key && table[at].key != -1) at = (at + 1) & (slots - 1);
    return table[at];
  };
  for (int64_t i = 0; i < state.range(0); ++i) find(KeyNumber(i)) = {KeyNumber(i), uint64_t(i)};
  const std::vector<int64_t> numbers = RandomKeys(state.range(0));
  std::vector<KeyId> ids(kBatchRows);
  size_t at = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < kBatchRows; ++i) ids[i] = find(numbers[at + i]).id;
    benchmark::DoNotOptimize(ids.data());
    at = (at + kBatchRows) % numbers.size();
  }
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(BM_LookupIntLimit)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);

void BM_LookupString(benchmark::State& state) {
  KeyDictionary keys(128);
  std::vector<std::string> words;
  for (int64_t i = 0; i < state.range(0); ++i) {
    keys.LookupOrInsertString("user-" + std::to_string(KeyNumber(i) % 1'000'000'000));
  }
  for (const int64_t number : RandomKeys(state.range(0))) {
    words.push_back("user-" + std::to_string(number % 1'000'000'000));
    if (words.size() == 1 << 18) break;
  }
  std::vector<KeyId> ids(kBatchRows);
  size_t at = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < kBatchRows; ++i) ids[i] = keys.LookupOrInsertString(words[at + i]);
    benchmark::DoNotOptimize(ids.data());
    at = (at + kBatchRows) % words.size();
  }
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(BM_LookupString)->Arg(10'000)->Arg(1'000'000);

// A running count: probe and update of an int64 state, as a native keyed operator does it.
void BM_CountByKey(benchmark::State& state) {
  KeyedState keyed({0, 127}, 128, int64_t{1} << 40);
  FixedValueState& count = **keyed.RegisterFixed("count", "value<int64>", 8);
  for (int64_t i = 0; i < state.range(0); ++i) {
    count.Set<int64_t>(keyed.keys().LookupOrInsertInt(KeyNumber(i)), 0);
  }
  const std::vector<int64_t> numbers = RandomKeys(state.range(0));
  std::vector<KeyId> ids(kBatchRows);
  size_t at = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < kBatchRows; ++i) {
      ids[i] = keyed.keys().LookupOrInsertInt(numbers[at + i]);
    }
    for (const KeyId id : ids) ++*reinterpret_cast<int64_t*>(count.MutableRow(id));
    at = (at + kBatchRows) % numbers.size();
  }
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(BM_CountByKey)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);

void BM_FixedUpdate(benchmark::State& state) {
  KeyDictionary keys(128);
  FixedValueState count(&keys, 8);
  const auto rows = static_cast<uint32_t>(state.range(0));
  for (uint32_t id = 0; id < rows; ++id) count.Set<int64_t>(id, 0);
  std::vector<KeyId> ids;
  for (const int64_t number : RandomKeys(1 << 30)) ids.push_back(MixInt64(number) % rows);
  size_t at = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < kBatchRows; ++i) {
      ++*reinterpret_cast<int64_t*>(count.MutableRow(ids[at + i]));
    }
    at = (at + kBatchRows) % ids.size();
  }
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(BM_FixedUpdate)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);

void BM_RowPut(benchmark::State& state) {
  KeyedState keyed({0, 127}, 128, int64_t{1} << 40);
  RowState& rows = **keyed.RegisterRows("rows", "value<str>");
  const auto keys = static_cast<uint32_t>(state.range(0));
  const std::string value(32, 'x');
  std::vector<KeyId> ids;
  for (uint32_t i = 0; i < keys; ++i) rows.Put(keyed.keys().LookupOrInsertInt(i), {}, {}, value);
  for (const int64_t number : RandomKeys(1 << 30)) ids.push_back(MixInt64(number) % keys);
  size_t at = 0;
  for (auto _ : state) {
    rows.Put(ids[at], {}, {}, value);
    at = (at + 1) % ids.size();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RowPut)->Arg(10'000)->Arg(1'000'000);

void BM_TimerRegisterPop(benchmark::State& state) {
  KeyedState keyed({0, 127}, 128, int64_t{1} << 40);
  const int64_t timers = state.range(0);
  int64_t time = 0;
  for (; time < timers; ++time) {
    keyed.timers().Register(TimeDomain::kEventTime, keyed.keys().LookupOrInsertInt(time % 100'000),
                            "window", KeyNumber(time) % timers);
  }
  Timer timer;
  for (auto _ : state) {
    keyed.timers().PopDue(TimeDomain::kEventTime, kMaxWatermark, &timer);
    keyed.timers().Register(TimeDomain::kEventTime, timer.key, timer.ns,
                            timer.time + 1 + timers / 2);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TimerRegisterPop)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);

// Must not grow with the number of keys. Each snapshot is abandoned: releasing it is not the
// owner's work.
void BM_Barrier(benchmark::State& state) {
  KeyedState keyed({0, 127}, 128, int64_t{1} << 40);
  FixedValueState& count = **keyed.RegisterFixed("count", "value<int64>", 8);
  RowState& rows = **keyed.RegisterRows("rows", "value<str>");
  for (int64_t i = 0; i < state.range(0); ++i) {
    const KeyId id = keyed.keys().LookupOrInsertInt(i);
    count.Set<int64_t>(id, i);
    if (i % 16 == 0) rows.Put(id, {}, {}, "value");
  }
  for (auto _ : state) {
    KeyedStateSnapshot snapshot = keyed.Snapshot();
    state.PauseTiming();
    snapshot.tables.clear();
    state.ResumeTiming();
  }
}
BENCHMARK(BM_Barrier)->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000)->Iterations(300);

int64_t ThreadCpuNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// Grows from nothing; `worst_us` is the longest single insertion of a key with its first value, in
// processor time of the thread: waiting for a busy machine's processor does not count, touching new
// memory does.
void BM_WorstInsert(benchmark::State& state) {
  for (auto _ : state) {
    KeyedState keyed({0, 127}, 128, int64_t{1} << 40);
    FixedValueState& count = **keyed.RegisterFixed("count", "value<int64>", 8);
    int64_t worst_ns = 0;
    int64_t over_1ms = 0;
    int64_t last = ThreadCpuNs();
    for (int64_t i = 0; i < state.range(0); ++i) {
      count.Set<int64_t>(keyed.keys().LookupOrInsertInt(KeyNumber(i)), i);
      const int64_t now = ThreadCpuNs();
      worst_ns = std::max(worst_ns, now - last);
      over_1ms += now - last > 1'000'000;
      last = now;
    }
    state.counters["worst_us"] = static_cast<double>(worst_ns) / 1000;
    state.counters["over_1ms"] = static_cast<double>(over_1ms);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WorstInsert)->Arg(10'000'000)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace headrace
