#include "testing/test_object_operators.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "headrace/types/value_codec.h"

namespace headrace {

namespace {

constexpr TimestampMs kEndOfTime = 1'000'000'000'000;

std::string Packed(const TestRow& row) {
  ByteWriter out;
  EncodeStr(TestRowLine(row), &out);
  return out.Take();
}

Result<TestRow> Unpacked(std::string_view encoded) {
  ByteReader in(encoded);
  uint8_t tag = 0;
  std::string_view line;
  HR_RETURN_IF_ERROR(in.Fixed(&tag));
  HR_RETURN_IF_ERROR(in.String(&line));
  return TestRowOfLine(std::string(line));
}

// An operator whose task may touch host values.
template <typename MakeFunction>
OperatorFactoryPtr HostOperator(MakeFunction make) {
  class Factory final : public OperatorFactory {
   public:
    explicit Factory(MakeFunction make) : make_(std::move(make)) {}
    Result<std::unique_ptr<Operator>> Make(int) override { return make_(); }
    bool calls_python() const override { return true; }

   private:
    MakeFunction make_;
  };
  return std::make_shared<Factory>(std::move(make));
}

class PackOperator final : public Operator {
 public:
  explicit PackOperator(TestObjects* objects) : objects_(objects) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    std::vector<Object> values;
    std::vector<Object> keys;
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      const TestRow row = TestRowAt(batch, i);
      values.push_back(objects_->Str(TestRowLine(row)));
      keys.push_back(objects_->Int(row.key));
    }
    RecordBatch packed;
    packed.schema = Schema::Objects();
    packed.num_rows = batch.num_rows;
    packed.columns = {ColumnOf(std::move(values))};
    packed.key = ColumnOf(std::move(keys));
    packed.timestamps = batch.timestamps;
    packed.timestamps_offset = batch.timestamps_offset;
    out.Emit(std::move(packed));
    return Progress::kDone;
  }

 private:
  ColumnPtr ColumnOf(std::vector<Object> values) const {
    return Column::OfObjects(std::make_shared<const ObjectBlock>(objects_, std::move(values)));
  }

  TestObjects* const objects_;
};

class UnpackOperator final : public Operator {
 public:
  UnpackOperator(int64_t step, TestObjects* objects) : step_(step), objects_(objects) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    HR_ASSIGN_OR_RETURN(largest_, context.keyed_state->RegisterRows("largest", "value<object>"));
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    std::vector<KeyId> ids(static_cast<size_t>(batch.num_rows));
    HR_RETURN_IF_ERROR(context().keyed_state->keys().LookupOrInsertBatch(
        *batch.key, 0, batch.num_rows, ids.data()));
    std::vector<TestRow> rows;
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      ByteWriter encoded;
      HR_RETURN_IF_ERROR(objects_->Encode(batch.columns[0]->ObjectAt(i), &encoded));
      HR_RETURN_IF_ERROR(Keep(ids[static_cast<size_t>(i)], encoded.view()));
      HR_ASSIGN_OR_RETURN(rows.emplace_back(), Unpacked(encoded.view()));
    }
    out.Emit(MakeTestBatch(rows));
    return Progress::kDone;
  }

  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override {
    Timer timer;
    while (out.RoomRows() > 0) {
      if (!context().keyed_state->timers().PopDue(TimeDomain::kEventTime, watermark, &timer)) {
        return Progress::kDone;
      }
      std::string_view stored;
      if (!largest_->Get(timer.key, "", "", &stored)) {
        return Status::Internal("the timer of an object fired, but the object is gone");
      }
      HR_ASSIGN_OR_RETURN(TestRow row, Unpacked(stored));
      largest_->Clear(timer.key, "");
      row.kind = step_ * 10 + 5;
      row.time = kEndOfTime;
      out.Emit(MakeTestBatch({row}));
    }
    return Progress::kBlocked;
  }

 private:
  // What is stored is read back as a host value, as a program would.
  Status Keep(KeyId key, std::string_view encoded) {
    context().keyed_state->timers().Register(TimeDomain::kEventTime, key, "", kEndOfTime);
    std::string_view stored;
    if (largest_->Get(key, "", "", &stored)) {
      HR_ASSIGN_OR_RETURN(const Object before, objects_->Decode(stored));
      ByteWriter again;
      const Status written = objects_->Encode(before, &again);
      objects_->Drop({before});
      HR_RETURN_IF_ERROR(written);
      if (again.view() >= encoded) return Status::Ok();
    }
    largest_->Put(key, "", "", encoded);
    return Status::Ok();
  }

  const int64_t step_;
  TestObjects* const objects_;
  RowState* largest_ = nullptr;
};

class HostHooks final : public ThreadHooks {
 public:
  explicit HostHooks(TestObjects* objects) : objects_(objects) {}
  void EnterStep() override { lock_.emplace(objects_); }
  void LeaveStep() override { lock_.reset(); }

 private:
  TestObjects* const objects_;
  std::optional<TestObjects::HostLock> lock_;
};

}  // namespace

OperatorFactoryPtr TestPackObjects(TestObjects* objects) {
  return HostOperator([objects]() -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<PackOperator>(objects));
  });
}

OperatorFactoryPtr TestUnpackObjects(int64_t step, TestObjects* objects) {
  return HostOperator([step, objects]() -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<UnpackOperator>(step, objects));
  });
}

std::vector<TestRow> TestUnpackOracle(int64_t step, const std::vector<TestRow>& input) {
  std::vector<TestRow> out = input;
  std::map<int64_t, std::pair<std::string, TestRow>> largest;
  for (const TestRow& row : input) {
    auto& [packed, kept] = largest[row.key];
    if (std::string other = Packed(row); other > packed) {
      packed = std::move(other);
      kept = row;
    }
  }
  for (auto& [key, entry] : largest) {
    TestRow row = entry.second;
    row.kind = step * 10 + 5;
    row.time = kEndOfTime;
    out.push_back(row);
  }
  return out;
}

std::shared_ptr<ThreadHooks> TestHostHooks(TestObjects* objects) {
  return std::make_shared<HostHooks>(objects);
}

}  // namespace headrace
