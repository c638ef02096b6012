#include "testing/test_operators.h"

#include <algorithm>
#include <utility>

#include "headrace/types/column_builder.h"

namespace headrace {

namespace {

class FilterOperator final : public Operator {
 public:
  FilterOperator(int64_t modulus, int64_t remainder) : modulus_(modulus), remainder_(remainder) {}
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    std::vector<int32_t> kept;
    std::vector<int32_t> rejected;
    for (int32_t i = 0; i < batch.num_rows; ++i) {
      (TestRowAt(batch, i).x % modulus_ != remainder_ ? kept : rejected).push_back(i);
    }
    HR_ASSIGN_OR_RETURN(RecordBatch keep,
                        batch.Take(kept.data(), static_cast<int64_t>(kept.size())));
    out.Emit(std::move(keep));
    if (out.HasSideReader("rejected")) {
      HR_ASSIGN_OR_RETURN(RecordBatch side,
                          batch.Take(rejected.data(), static_cast<int64_t>(rejected.size())));
      out.EmitSide("rejected", std::move(side));
    }
    return Progress::kDone;
  }

 private:
  int64_t modulus_;
  int64_t remainder_;
};

class EachRowOperator final : public Operator {
 public:
  explicit EachRowOperator(TestRowMaker make) : make_(std::move(make)) {}
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    std::vector<TestRow> rows;
    for (int64_t i = 0; i < batch.num_rows; ++i) rows.push_back(make_(batch, i));
    out.Emit(MakeTestBatch(rows));
    return Progress::kDone;
  }

 private:
  const TestRowMaker make_;
};

class LinesOperator final : public Operator {
 public:
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    HR_ASSIGN_OR_RETURN(auto lines, ColumnBuilder::Make(StringType()));
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      lines->AppendString(TestRowLine(TestRowAt(batch, i)));
    }
    RecordBatch text;
    text.schema = TestLinesSchema();
    text.num_rows = batch.num_rows;
    text.columns = {lines->Finish()};
    out.Emit(std::move(text));
    return Progress::kDone;
  }
};

class KeyByOperator final : public Operator {
 public:
  explicit KeyByOperator(int column) : column_(column) {}
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    RecordBatch keyed = batch;
    keyed.key = batch.columns[column_];
    out.Emit(std::move(keyed));
    return Progress::kDone;
  }

 private:
  int column_;
};

class RepeatOperator final : public Operator {
 public:
  explicit RepeatOperator(int64_t copies) : copies_(copies) {}
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    while (row_ < batch.num_rows) {
      const int64_t room = out.RoomRows();
      if (room == 0) return Progress::kBlocked;
      const int64_t count = std::min(room, copies_ - copy_);
      TestRow row = TestRowAt(batch, row_);
      std::vector<TestRow> rows;
      for (int64_t i = 0; i < count; ++i) {
        row.y = copy_++;
        rows.push_back(row);
      }
      out.Emit(MakeTestBatch(rows));
      if (copy_ < copies_) continue;
      copy_ = 0;
      ++row_;
    }
    row_ = 0;
    return Progress::kDone;
  }

 private:
  int64_t copies_;
  int64_t row_ = 0;
  int64_t copy_ = 0;
};

}  // namespace

OperatorFactoryPtr TestFilter(int64_t modulus, int64_t remainder) {
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<FilterOperator>(modulus, remainder));
  });
}

OperatorFactoryPtr TestKeyBy(int column) {
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<KeyByOperator>(column));
  });
}

OperatorFactoryPtr TestEachRow(TestRowMaker make) {
  return NativeOperator([make = std::move(make)](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<EachRowOperator>(make));
  });
}

OperatorFactoryPtr TestMap(int64_t add) {
  return TestEachRow([add](const RecordBatch& batch, int64_t i) {
    TestRow row = TestRowAt(batch, i);
    row.x = (3 * row.x + add) % 1000;
    return row;
  });
}

OperatorFactoryPtr TestLines() {
  return NativeOperator([](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<LinesOperator>());
  });
}

SchemaPtr TestLinesSchema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      RecordShape::kScalar, std::vector<Field>{{"line", StringType()}});
  return schema;
}

OperatorFactoryPtr TestRepeat(int64_t copies) {
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<RepeatOperator>(copies));
  });
}

}  // namespace headrace
