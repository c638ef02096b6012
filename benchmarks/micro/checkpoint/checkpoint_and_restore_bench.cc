// A full checkpoint of keyed state and its restore, on the local disk.
//
// `ratio` of FullCheckpoint: seconds that the codec alone takes for the payloads of the
// checkpoint's partitions, at the same level, divided by those of the whole checkpoint: barrier,
// encoding, compression, checksums, file, sync, manifest. `MB_per_s` of Restore: bytes of state (as
// the checkpoint counts them: 16 a key of a counter, key and value and a few of a text) a second of
// reading and checking the newest checkpoint and filling empty state from it; `first_MB_per_s` is
// that of the first time in the process, whose memory is new to it; `ratio` is the time that
// decompressing the same partitions alone takes, divided by the restore's. All are medians of one
// run, the contenders taking turns.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/manifest_assembler.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/snapshot_writer.h"
#include "headrace/state/keyed_state.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/codec.h"

namespace headrace {
namespace {

constexpr int kKeyGroups = 128;
constexpr int64_t kBudgetBytes = int64_t{1} << 40;
constexpr const char* kOperator = "counts";

void Require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Keys in random order, so that ids say nothing about them.
std::vector<int64_t> ShuffledKeys(int64_t keys) {
  std::vector<int64_t> numbers(static_cast<size_t>(keys));
  for (int64_t i = 0; i < keys; ++i) numbers[static_cast<size_t>(i)] = i;
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(1));
  return numbers;
}

enum class Kind { kCounter, kText, kLongText };

/// Keyed state that is filled, checkpointed as a whole again and again, and restored.
class Job {
 public:
  Job(Kind kind, int64_t keys, Compression compression) : kind_(kind), keys_(keys) {
    std::string pattern = std::filesystem::temp_directory_path() / "headrace_bench_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::exit(1);
    folder_ = pattern;
    CheckpointStoreOptions options;
    options.directory = folder_;
    options.job_key = "bench";
    options.compression = compression;
    auto opened = CheckpointStore::Open(&RealEnv(), std::move(options));
    Require(opened.status());
    store_ = std::move(*opened);
    writer_ = std::make_unique<SnapshotWriter>(&RealEnv(), store_.get());
    state_ = MakeState();
    Fill();
  }
  ~Job() {
    writer_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  double Checkpoint() {
    state_->RequireFullSnapshot();
    const double start = Now();
    WrittenSnapshot task;
    OperatorSnapshot& op = task.snapshot.operators.emplace_back();
    op.operator_id = op.name = op.kind = kOperator;
    op.max_parallelism = kKeyGroups;
    op.key_groups = state_->range();
    op.keyed = state_->Snapshot();
    const uint64_t number = op.keyed.number;
    const CheckpointId id = store_->next_checkpoint_id();
    auto written = writer_->Write(id, &task.snapshot);
    Require(written.status());
    raw_bytes_ = written->raw_bytes;
    file_bytes_ = written->bytes_written;
    task.written = std::move(*written);
    Manifest manifest;
    manifest.job_key = "bench";
    manifest.id = id;
    manifest.run_id = store_->run_id();
    std::vector<WrittenSnapshot> tasks;
    tasks.push_back(std::move(task));
    Require(AssembleManifest(tasks, &manifest));
    Require(store_->Commit(manifest));
    SnapshotWriter::FinishTables(&tasks[0].snapshot);
    const double seconds = Now() - start;
    state_->OnCheckpointComplete(number);
    manifest_ = std::move(manifest);
    return seconds;
  }

  /// Seconds of the codec for giving these payloads back.
  double Decoding(Compression compression) {
    std::vector<std::pair<std::string, size_t>> stored;
    for (const std::string& payload : Payloads()) {
      auto compressed = Compress(compression.codec, compression.level, payload);
      Require(compressed.status());
      stored.emplace_back(std::move(*compressed), payload.size());
    }
    const double start = Now();
    for (const auto& [bytes, size] : stored) {
      auto payload = Decompress(compression.codec, bytes, size);
      Require(payload.status());
      benchmark::DoNotOptimize(payload->data());
    }
    return Now() - start;
  }

  /// Seconds of the codec for the payloads of the newest checkpoint.
  double Codec(Compression compression) {
    const std::vector<std::string> payloads = Payloads();
    const double start = Now();
    for (const std::string& payload : payloads) {
      auto compressed = Compress(compression.codec, compression.level, payload);
      Require(compressed.status());
      benchmark::DoNotOptimize(compressed->data());
    }
    return Now() - start;
  }

  double Restore() {
    const double start = Now();
    std::string warning;
    auto manifest = store_->LoadLatest(false, &warning);
    Require(manifest.status());
    RestoreTarget target;
    target.operator_id = target.name = target.kind = kOperator;
    target.keyed = true;
    target.max_parallelism = kKeyGroups;
    auto plan = RestorePlan::Make(&RealEnv(), **manifest, store_->job_directory(), {target}, false);
    Require(plan.status());
    auto stored = (*plan)->KeyedStateFor(kOperator, 0, 1);
    Require(stored.status());
    std::unique_ptr<KeyedState> restored = MakeState();
    Require(restored->Restore(std::move(*stored)));
    const double seconds = Now() - start;
    Check(restored.get());
    return seconds;
  }

  KeyedState& state() { return *state_; }
  double state_bytes() const { return static_cast<double>(manifest_.state_bytes()); }
  /// Makes room for what is restored.
  void DropState() { state_.reset(); }
  double raw_bytes() const { return static_cast<double>(raw_bytes_); }
  double file_bytes() const { return static_cast<double>(file_bytes_); }

 private:
  std::unique_ptr<KeyedState> MakeState() const {
    return std::make_unique<KeyedState>(KeyGroupRange{0, kKeyGroups - 1}, kKeyGroups, kBudgetBytes);
  }
  static FixedValueState* CountOf(KeyedState* state) {
    auto count = state->RegisterFixed("count", "value<int64>", 8);
    Require(count.status());
    return *count;
  }
  static RowState* TextOf(KeyedState* state) {
    auto text = state->RegisterRows("text", "value<str>");
    Require(text.status());
    return *text;
  }
  // About 100 bytes that compress as texts do, or a KiB of the like.
  std::string TextFor(int64_t key) const {
    if (kind_ == Kind::kLongText) {
      std::string text;
      for (int64_t part = 0; text.size() < 1024; ++part) text += ShortTextFor(key * 16 + part);
      return text.substr(0, 1024);
    }
    return ShortTextFor(key);
  }
  static std::string ShortTextFor(int64_t key) {
    std::string text = "order " + std::to_string(key * 2654435761) + " of customer ";
    text += std::to_string(key % 99'991) + ", " + std::to_string(key % 7) + " pieces, shipped to ";
    while (text.size() < 100) {
      text += static_cast<char>('a' + (static_cast<size_t>(key) + text.size() * 7) % 26);
    }
    return text;
  }
  void Fill() {
    if (kind_ == Kind::kCounter) {
      FixedValueState* count = CountOf(state_.get());
      for (const int64_t key : ShuffledKeys(keys_)) {
        count->Set<int64_t>(state_->keys().LookupOrInsertInt(key), key % 1000);
      }
      return;
    }
    RowState* text = TextOf(state_.get());
    for (const int64_t key : ShuffledKeys(keys_)) {
      text->Put(state_->keys().LookupOrInsertInt(key), {}, {}, TextFor(key));
    }
  }
  void Check(KeyedState* restored) const {
    if (restored->keys().live_keys() != keys_) std::exit(2);
    for (int64_t key = 0; key < keys_; key += 997) {
      const KeyId id = restored->keys().Lookup(Key::OfInt(key));
      if (id == kNoKey) std::exit(2);
      std::string_view text;
      const bool right = kind_ == Kind::kCounter
                             ? CountOf(restored)->Get<int64_t>(id) == key % 1000
                             : TextOf(restored)->Get(id, {}, {}, &text) && text == TextFor(key);
      if (!right) std::exit(2);
    }
  }
  std::vector<std::string> Payloads() {
    std::vector<std::string> payloads;
    for (const FileManifest& file : manifest_.files) {
      auto reader =
          CheckpointFileReader::Open(RealEnv().files(), store_->job_directory() + "/" + file.name);
      Require(reader.status());
      Require((*reader)->ForEachBlock([&](uint64_t, const BlockHeader&, const Block& block) {
        payloads.push_back(block.payload);
        return Status::Ok();
      }));
    }
    return payloads;
  }

  const Kind kind_;
  const int64_t keys_;
  std::string folder_;
  std::shared_ptr<CheckpointStore> store_;
  std::unique_ptr<SnapshotWriter> writer_;
  std::unique_ptr<KeyedState> state_;
  Manifest manifest_;
  uint64_t raw_bytes_ = 0;
  uint64_t file_bytes_ = 0;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void FullCheckpoint(benchmark::State& state, Kind kind, Compression compression) {
  Job job(kind, state.range(0), compression);
  job.Checkpoint();
  std::vector<double> ratios;
  for (auto _ : state) {
    const double codec = job.Codec(compression);
    const double seconds = job.Checkpoint();
    ratios.push_back(codec / seconds);
    state.SetIterationTime(seconds);
  }
  state.SetBytesProcessed(static_cast<int64_t>(job.raw_bytes()) * state.iterations());
  state.counters["ratio"] = Median(ratios);
  state.counters["ratio_min"] = *std::min_element(ratios.begin(), ratios.end());
  state.counters["ratio_max"] = *std::max_element(ratios.begin(), ratios.end());
  state.counters["raw_bytes"] = job.raw_bytes();
  state.counters["file_bytes"] = job.file_bytes();
}

void Restore(benchmark::State& state, Kind kind) {
  const Compression compression{.codec = CodecId::kZstd, .level = 1};
  Job job(kind, state.range(0), compression);
  job.Checkpoint();
  job.DropState();
  const auto speed_of = [&job](double seconds) { return job.state_bytes() / seconds / 1e6; };
  const double first = speed_of(job.Restore());
  std::vector<double> speeds;
  std::vector<double> ratios;
  for (auto _ : state) {
    const double decoding = job.Decoding(compression);
    const double seconds = job.Restore();
    speeds.push_back(speed_of(seconds));
    ratios.push_back(decoding / seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["MB_per_s"] = Median(speeds);
  state.counters["MB_per_s_min"] = *std::min_element(speeds.begin(), speeds.end());
  state.counters["first_MB_per_s"] = first;
  state.counters["ratio"] = Median(ratios);
  state.counters["state_bytes"] = job.state_bytes();
  state.counters["raw_bytes"] = job.raw_bytes();
}

#define CHECKPOINT_BENCH(name, kind, codec_id)                                              \
  BENCHMARK_CAPTURE(FullCheckpoint, name, kind, Compression{.codec = codec_id, .level = 1}) \
      ->UseManualTime()                                                                     \
      ->Iterations(5)                                                                       \
      ->Unit(benchmark::kMillisecond)
CHECKPOINT_BENCH(counter_zstd, Kind::kCounter, CodecId::kZstd)->Arg(800'000)->Arg(4'000'000);
CHECKPOINT_BENCH(counter_lz4, Kind::kCounter, CodecId::kLz4)->Arg(4'000'000);
CHECKPOINT_BENCH(text_zstd, Kind::kText, CodecId::kZstd)->Arg(2'000'000);
#undef CHECKPOINT_BENCH

// The second of each is 1 GiB of state.
#define RESTORE_BENCH(name, kind)        \
  BENCHMARK_CAPTURE(Restore, name, kind) \
      ->UseManualTime()                  \
      ->Iterations(5)                    \
      ->Unit(benchmark::kMillisecond)
RESTORE_BENCH(counter, Kind::kCounter)->Arg(4'000'000)->Arg(67'108'864);
RESTORE_BENCH(text, Kind::kText)->Arg(2'500'000)->Arg(9'256'395);
RESTORE_BENCH(long_text, Kind::kLongText)->Arg(1'032'444);
#undef RESTORE_BENCH

}  // namespace
}  // namespace headrace
