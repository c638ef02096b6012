#include "testing/test_source.h"

#include <algorithm>
#include <string>
#include <vector>

#include "testing/sim_random.h"

namespace headrace {

namespace {

class Reader final : public SourceReader {
 public:
  explicit Reader(const TestSourceSpec& spec) : spec_(spec) {}

  Status Open(const OperatorContext& context) override {
    env_ = context.env;
    return Status::Ok();
  }
  Status AddSplit(const SplitState& split) override {
    Split added;
    added.number = std::stoi(split.id.substr(split.id.find(':') + 1));
    if (!split.position.empty()) {
      ByteReader in(split.position);
      HR_RETURN_IF_ERROR(in.Fixed(&added.next_row));
    }
    splits_.push_back(added);
    return Status::Ok();
  }
  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult polled;
    if (Chance(spec_.failure_odds)) return Status::IoError("the source lost its connection");
    if (Chance(spec_.nothing_odds)) {
      polled.wait_ms = 1;
      return polled;
    }
    std::vector<int> open;
    for (size_t i = 0; i < splits_.size(); ++i) {
      if (splits_[i].next_row < spec_.rows_per_split) open.push_back(static_cast<int>(i));
    }
    if (open.empty()) {
      polled.kind = PollResult::Kind::kFinished;
      return polled;
    }
    polled.kind = PollResult::Kind::kBatch;
    polled.split = open[spec_.random_polls ? env_->Random64() % open.size() : 0];
    Split& split = splits_[polled.split];
    int64_t count = std::min(max_rows, spec_.rows_per_split - split.next_row);
    if (spec_.random_polls) count = 1 + static_cast<int64_t>(env_->Random64() % count);
    std::vector<TestRow> rows;
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back(TestSourceRow(spec_, split.number, split.next_row++));
    }
    polled.batch = MakeTestBatch(rows);
    polled.split_finished =
        split.next_row == spec_.rows_per_split && (!spec_.random_polls || env_->Random64() % 2);
    return polled;
  }
  Result<std::vector<std::string>> Positions() override {
    std::vector<std::string> positions;
    for (const Split& split : splits_) {
      ByteWriter out;
      out.Fixed(split.next_row);
      positions.push_back(out.Take());
    }
    return positions;
  }

 private:
  struct Split {
    int number = 0;
    int64_t next_row = 0;
  };
  bool Chance(double odds) {
    return odds > 0 && static_cast<double>(env_->Random64() >> 11) * 0x1.0p-53 < odds;
  }

  TestSourceSpec spec_;
  Env* env_ = nullptr;
  std::vector<Split> splits_;
};

class Factory final : public SourceFactory {
 public:
  explicit Factory(const TestSourceSpec& spec) : spec_(spec) {}
  Result<std::vector<SplitState>> PlanSplits(int) override {
    std::vector<SplitState> splits(spec_.splits);
    for (int i = 0; i < spec_.splits; ++i) splits[i].id = "split:" + std::to_string(i);
    return splits;
  }
  Result<std::unique_ptr<SourceReader>> Make(int) override {
    return std::unique_ptr<SourceReader>(std::make_unique<Reader>(spec_));
  }
  SchemaPtr schema() const override { return TestRowSchema(); }

 private:
  TestSourceSpec spec_;
};

}  // namespace

TestRow TestSourceRow(const TestSourceSpec& spec, int split, int64_t row) {
  SimRandom random(spec.seed * 1'000'003 + static_cast<uint64_t>(split) * 7'919 +
                   static_cast<uint64_t>(row));
  random.Next();
  TestRow out;
  out.key = static_cast<int64_t>(random.Below(spec.keys));
  out.x = static_cast<int64_t>(random.Below(1000));
  out.y = split * 1'000'000 + row;
  out.time = row * spec.step_ms;
  if (spec.disorder_ms > 0) out.time -= static_cast<int64_t>(random.Below(spec.disorder_ms + 1));
  if (spec.straggler_ms > 0 && random.Below(16) == 0) {
    out.time -= static_cast<int64_t>(random.Below(spec.straggler_ms + 1));
  }
  return out;
}

SourceFactoryPtr TestSource(const TestSourceSpec& spec) { return std::make_shared<Factory>(spec); }

}  // namespace headrace
