#include <algorithm>
#include <map>
#include <set>

#include "testing/test_operators.h"

namespace headrace {

namespace {

constexpr TimestampMs kEndOfTime = 1'000'000'000'000;

TimestampMs WindowStart(TimestampMs time, int64_t size) {
  TimestampMs start = time / size * size;
  return start > time ? start - size : start;
}

std::string Encode(int64_t a, int64_t b = 0) {
  ByteWriter out;
  out.Fixed(a);
  out.Fixed(b);
  return out.Take();
}

std::pair<int64_t, int64_t> Decode(std::string_view bytes) {
  std::pair<int64_t, int64_t> pair;
  ByteReader in(bytes);
  const bool whole = in.Fixed(&pair.first).ok() && in.Fixed(&pair.second).ok();
  return whole ? pair : std::pair<int64_t, int64_t>(-1, -1);
}

int64_t KeyOf(const TestRow& row, int column) {
  return column == 1 ? row.key : column == 2 ? row.x : row.y;
}

class KeyedOperator final : public Operator {
 public:
  explicit KeyedOperator(const TestKeyedSpec& spec) : spec_(spec) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    KeyedState& state = *context.keyed_state;
    HR_ASSIGN_OR_RETURN(count_, state.RegisterFixed("count", "value<int64>", 8));
    HR_ASSIGN_OR_RETURN(windows_, state.RegisterRows("windows", "value<bytes>"));
    HR_ASSIGN_OR_RETURN(kinds_, state.RegisterRows("kinds", "map<int, bytes>"));
    HR_ASSIGN_OR_RETURN(list_, state.RegisterRows("list", "list<bytes>"));
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (!Drain(out)) return Progress::kBlocked;
    if (row_ == 0 && spec_.failure_odds > 0 &&
        static_cast<double>(context().env->Random64() >> 11) * 0x1.0p-53 < spec_.failure_odds) {
      return Status::IoError("injected failure");
    }
    ids_.resize(batch.num_rows);
    HR_RETURN_IF_ERROR(context().keyed_state->keys().LookupOrInsertBatch(
        *batch.key, 0, batch.num_rows, ids_.data()));
    while (row_ < batch.num_rows) {
      HR_RETURN_IF_ERROR(Take(TestRowAt(batch, row_), ids_[row_]));
      ++row_;
      if (!Drain(out)) return Progress::kBlocked;
    }
    row_ = 0;
    return Progress::kDone;
  }

  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override {
    if (!Drain(out)) return Progress::kBlocked;
    if (watermark < watermark_) {
      return Status::Internal("the watermark went back from " + std::to_string(watermark_) +
                              " to " + std::to_string(watermark));
    }
    Timer timer;
    TimerService& timers = context().keyed_state->timers();
    while (timers.PopDue(TimeDomain::kEventTime, watermark, &timer)) {
      HR_RETURN_IF_ERROR(Fire(timer));
      if (!Drain(out)) return Progress::kBlocked;
    }
    watermark_ = std::max(watermark_, watermark);
    return Progress::kDone;
  }

 private:
  Status Take(const TestRow& row, KeyId key) {
    const TimestampMs start = WindowStart(row.time, spec_.window_ms);
    const bool late = start + spec_.window_ms - 1 <= watermark_;
    if (late && !spec_.takes_late) {
      return Status::Internal("row at " + std::to_string(row.time) + " is late against " +
                              std::to_string(watermark_));
    }
    TimerService& timers = context().keyed_state->timers();
    const int64_t count = (count_->Has(key) ? count_->Get<int64_t>(key) : 0) + 1;
    count_->Set<int64_t>(key, count);
    const int64_t number = KeyOf(row, spec_.key_column);
    if (count % spec_.count_every == 0) {
      // Which row is the n-th depends on the order between producers, so its time must not show.
      pending_.push_back({spec_.step * 10 + 1, number, count, 0, kEndOfTime - 1});
    }
    if (late) {
      TestRow marked = row;
      marked.kind = spec_.step * 10 + 4;
      pending_.push_back(marked);
    } else {
      AddToWindow(row, key, start);
    }

    std::string_view stored;
    const std::string kind = Encode(row.x % 7);
    std::pair<int64_t, int64_t> seen;
    if (kinds_->Get(key, "", kind, &stored)) seen = Decode(stored);
    kinds_->Put(key, "", kind, Encode(seen.first + 1));
    ByteWriter segment;
    segment.Fixed(__builtin_bswap64(list_->Count(key, "")));
    list_->Put(key, "", segment.view(), Encode(row.y));
    timers.Register(TimeDomain::kEventTime, key, "", kEndOfTime);
    return Status::Ok();
  }

  void AddToWindow(const TestRow& row, KeyId key, TimestampMs start) {
    const std::string ns = Encode(start);
    std::string_view stored;
    std::pair<int64_t, int64_t> window;
    if (windows_->Get(key, ns, "", &stored)) window = Decode(stored);
    windows_->Put(key, ns, "", Encode(window.first + 1, window.second + row.x));
    context().keyed_state->timers().Register(TimeDomain::kEventTime, key, ns,
                                             start + spec_.window_ms - 1);
  }

  Status Fire(const Timer& timer) {
    ByteWriter encoded;
    const std::string canonical = context().keyed_state->keys().EncodedKey(timer.key);
    ByteReader in(canonical);
    uint8_t tag = 0;
    int64_t number = 0;
    HR_RETURN_IF_ERROR(in.Fixed(&tag));
    HR_RETURN_IF_ERROR(in.ZigZag(&number));
    if (!timer.ns.empty()) {
      std::string_view stored;
      if (!windows_->Get(timer.key, timer.ns, "", &stored)) {
        return Status::Internal("the timer of a window fired, but its state is gone");
      }
      const auto [count, sum] = Decode(stored);
      windows_->Clear(timer.key, timer.ns);
      pending_.push_back({spec_.step * 10 + 2, number, count, sum, timer.time});
      return Status::Ok();
    }
    int64_t kinds = 0;
    kinds_->Walk(timer.key, "", nullptr, [&](std::string_view sub_key, std::string_view value) {
      kinds += (Decode(sub_key).first + 1) * Decode(value).first;
      return true;
    });
    int64_t sum = 0;
    list_->Walk(timer.key, "", nullptr, [&](std::string_view, std::string_view value) {
      sum += Decode(value).first;
      return true;
    });
    kinds_->Clear(timer.key, "");
    list_->Clear(timer.key, "");
    pending_.push_back({spec_.step * 10 + 3, number, kinds, sum, timer.time});
    return Status::Ok();
  }

  // Emits what was made, a few rows a batch; false when the output filled up.
  bool Drain(Output& out) {
    while (sent_ < pending_.size()) {
      const int64_t room = std::min<int64_t>(out.RoomRows(), 5);
      if (room == 0) return false;
      const size_t end = std::min(pending_.size(), sent_ + static_cast<size_t>(room));
      out.Emit(MakeTestBatch({pending_.begin() + static_cast<int64_t>(sent_),
                              pending_.begin() + static_cast<int64_t>(end)}));
      sent_ = end;
    }
    pending_.clear();
    sent_ = 0;
    return true;
  }

  TestKeyedSpec spec_;
  FixedValueState* count_ = nullptr;
  RowState* windows_ = nullptr;
  RowState* kinds_ = nullptr;
  RowState* list_ = nullptr;
  TimestampMs watermark_ = kMinWatermark;
  std::vector<KeyId> ids_;
  int64_t row_ = 0;
  std::vector<TestRow> pending_;
  size_t sent_ = 0;
};

}  // namespace

OperatorFactoryPtr TestKeyed(const TestKeyedSpec& spec) {
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<KeyedOperator>(spec));
  });
}

std::vector<TestRow> TestKeyedOracle(const TestKeyedSpec& spec, const std::vector<TestRow>& input,
                                     const std::vector<TestRow>& late) {
  std::vector<TestRow> out;
  std::multiset<TestRow> left_out(late.begin(), late.end());
  std::map<int64_t, std::vector<TestRow>> by_key;
  for (const TestRow& row : input) by_key[KeyOf(row, spec.key_column)].push_back(row);
  for (const auto& [key, rows] : by_key) {
    std::map<TimestampMs, std::pair<int64_t, int64_t>> windows;
    int64_t kinds = 0;
    int64_t sum = 0;
    for (const TestRow& row : rows) {
      if (const auto found = left_out.find(row); found != left_out.end()) {
        left_out.erase(found);
        out.push_back(row);
        out.back().kind = spec.step * 10 + 4;
      } else {
        auto& [count, total] = windows[WindowStart(row.time, spec.window_ms)];
        ++count;
        total += row.x;
      }
      kinds += row.x % 7 + 1;
      sum += row.y;
    }
    for (const auto& [start, window] : windows) {
      out.push_back(
          {spec.step * 10 + 2, key, window.first, window.second, start + spec.window_ms - 1});
    }
    out.push_back({spec.step * 10 + 3, key, kinds, sum, kEndOfTime});
    for (int64_t n = spec.count_every; n <= static_cast<int64_t>(rows.size());
         n += spec.count_every) {
      out.push_back({spec.step * 10 + 1, key, n, 0, kEndOfTime - 1});
    }
  }
  return out;
}

}  // namespace headrace
