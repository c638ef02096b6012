#include "headrace/expr/aggregate.h"

#include <type_traits>

#include "headrace/expr/accumulators.h"
#include "headrace/expr/column_reader.h"

namespace headrace {
namespace {

/// The column to aggregate, with a dictionary already replaced by its values.
Result<ColumnPtr> InputOf(const RecordBatch& batch, int column) {
  const ColumnPtr& input = batch.columns[static_cast<size_t>(column)];
  if (input->type->kind() != TypeKind::kDictionary) return input;
  return Column::DecodeDictionary(input);
}

/// The loop of every aggregate but count. Whether there are nulls or row numbers is decided once a
/// batch and compiled in, so that a row costs a load, the add and a store.
template <typename Accumulator, typename Reader, bool kNulls, bool kRows>
bool AddRows(const Column& column, const int32_t* rows, char* const* accumulators, int offset_bytes,
             int64_t count, int64_t sequence) {
  const Reader values(column);
  bool overflow = false;
  // Without a sequence all rows get the order 1: later ones then replace "last" and never "first".
  const int64_t order_step = sequence < 0 ? 0 : 1;
  const int64_t order_start = sequence < 0 ? 1 : sequence + 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = kRows ? rows[i] : i;
    if (kNulls && column.IsNull(row)) continue;
    auto* accumulator = reinterpret_cast<Accumulator*>(accumulators[i] + offset_bytes);
    overflow |= accumulator->Add(values[row], order_start + row * order_step);
  }
  return overflow;
}

template <typename Accumulator, typename Reader>
class ColumnAggregate : public AggregateFunction {
 public:
  static_assert(std::is_trivially_copyable_v<Accumulator> && sizeof(Accumulator) % 8 == 0);

  ColumnAggregate(int column, std::string name, DataTypePtr output_type)
      : column_(column), name_(std::move(name)), output_type_(std::move(output_type)) {}

  int accumulator_bytes() const override { return sizeof(Accumulator); }
  DataTypePtr output_type() const override { return output_type_; }
  void Init(char* accumulator) const override { std::memset(accumulator, 0, sizeof(Accumulator)); }

  Status Update(const RecordBatch& batch, const int32_t* rows, char* const* accumulators,
                int offset_bytes, int64_t count, int64_t sequence) const override {
    if (count == 0) return Status::Ok();
    HR_ASSIGN_OR_RETURN(const ColumnPtr column, InputOf(batch, column_));
    const auto add = column->validity ? (rows ? AddRows<Accumulator, Reader, true, true>
                                              : AddRows<Accumulator, Reader, true, false>)
                                      : (rows ? AddRows<Accumulator, Reader, false, true>
                                              : AddRows<Accumulator, Reader, false, false>);
    return Checked(add(*column, rows, accumulators, offset_bytes, count, sequence));
  }

  Status Merge(char* into, const char* from) const override {
    return Checked(
        reinterpret_cast<Accumulator*>(into)->Merge(*reinterpret_cast<const Accumulator*>(from)));
  }

  void AppendResult(const char* accumulator, ColumnBuilder* out) const override {
    reinterpret_cast<const Accumulator*>(accumulator)->AppendTo(out);
  }

 private:
  Status Checked(bool overflow) const {
    if (!overflow) return Status::Ok();
    return Status::ResourceExhausted("the sum of column '" + name_ +
                                     "' does not fit a 64-bit integer: cast it to float first");
  }

  const int column_;
  const std::string name_;
  const DataTypePtr output_type_;
};

class CountAggregate : public AggregateFunction {
 public:
  explicit CountAggregate(int column) : column_(column) {}

  int accumulator_bytes() const override { return sizeof(CountAccumulator); }
  DataTypePtr output_type() const override { return Int64Type(); }
  void Init(char* accumulator) const override {
    std::memset(accumulator, 0, sizeof(CountAccumulator));
  }

  Status Update(const RecordBatch& batch, const int32_t* rows, char* const* accumulators,
                int offset_bytes, int64_t count, int64_t) const override {
    if (count == 0) return Status::Ok();
    ColumnPtr column;
    if (column_ >= 0) {
      HR_ASSIGN_OR_RETURN(column, InputOf(batch, column_));
    }
    if (!column || !column->validity) {
      for (int64_t i = 0; i < count; ++i) ++At(accumulators[i] + offset_bytes)->rows;
      return Status::Ok();
    }
    for (int64_t i = 0; i < count; ++i) {
      At(accumulators[i] + offset_bytes)->rows += !column->IsNull(rows ? rows[i] : i);
    }
    return Status::Ok();
  }

  Status Merge(char* into, const char* from) const override {
    At(into)->rows += reinterpret_cast<const CountAccumulator*>(from)->rows;
    return Status::Ok();
  }

  void AppendResult(const char* accumulator, ColumnBuilder* out) const override {
    reinterpret_cast<const CountAccumulator*>(accumulator)->AppendTo(out);
  }

 private:
  static CountAccumulator* At(char* accumulator) {
    return reinterpret_cast<CountAccumulator*>(accumulator);
  }
  const int column_;
};

using Made = std::unique_ptr<AggregateFunction>;

/// What an aggregate reads, once its column was looked up.
struct Input {
  int column;
  std::string name;
  DataTypePtr type;
};

template <typename Accumulator, typename Reader>
Made MakeColumn(const Input& input, DataTypePtr output_type) {
  return std::make_unique<ColumnAggregate<Accumulator, Reader>>(input.column, input.name,
                                                                std::move(output_type));
}

Status NotDefined(const std::string& function, const Input& input) {
  return Status::InvalidArgument(function + " is not defined for column '" + input.name +
                                 "' of type " + input.type->ToString());
}

/// The functions that compare or keep values: defined for whatever has an order and a fixed width.
template <typename Reader>
Made MakeKeeping(const std::string& function, const Input& input) {
  using T = typename Reader::Value;
  if (function == "min") {
    return MakeColumn<ExtremeAccumulator<T, false>, Reader>(input, input.type);
  }
  if (function == "max") {
    return MakeColumn<ExtremeAccumulator<T, true>, Reader>(input, input.type);
  }
  if (function == "first") {
    return MakeColumn<EdgeAccumulator<T, false>, Reader>(input, input.type);
  }
  if (function == "last") {
    return MakeColumn<EdgeAccumulator<T, true>, Reader>(input, input.type);
  }
  return nullptr;
}

/// All functions of numbers.
template <typename Stored>
Made MakeNumeric(const std::string& function, const Input& input) {
  using T = std::conditional_t<std::is_floating_point_v<Stored>, double, int64_t>;
  using Reader = FixedReader<T, Stored>;
  using FloatReader = FixedReader<double, Stored>;
  if (function == "sum") {
    return MakeColumn<SumAccumulator<T>, Reader>(
        input, std::is_floating_point_v<Stored> ? Float64Type() : Int64Type());
  }
  if (function == "avg") return MakeColumn<AvgAccumulator<T>, Reader>(input, Float64Type());
  if (function == "var") {
    return MakeColumn<VarianceAccumulator<false>, FloatReader>(input, Float64Type());
  }
  if (function == "stddev") {
    return MakeColumn<VarianceAccumulator<true>, FloatReader>(input, Float64Type());
  }
  return MakeKeeping<Reader>(function, input);
}

Result<Made> MakeForType(const std::string& function, const Input& input) {
  Made made;
  switch (input.type->kind()) {
    case TypeKind::kInt8:
      made = MakeNumeric<int8_t>(function, input);
      break;
    case TypeKind::kInt16:
      made = MakeNumeric<int16_t>(function, input);
      break;
    case TypeKind::kInt32:
      made = MakeNumeric<int32_t>(function, input);
      break;
    case TypeKind::kInt64:
      made = MakeNumeric<int64_t>(function, input);
      break;
    case TypeKind::kFloat32:
      made = MakeNumeric<float>(function, input);
      break;
    case TypeKind::kFloat64:
      made = MakeNumeric<double>(function, input);
      break;
    case TypeKind::kBool:
      made = MakeKeeping<BoolReader>(function, input);
      break;
    case TypeKind::kDate32:
      made = MakeKeeping<FixedReader<int64_t, int32_t>>(function, input);
      break;
    case TypeKind::kTime64:
    case TypeKind::kTimestamp:
    case TypeKind::kDuration:
      made = MakeKeeping<FixedReader<int64_t, int64_t>>(function, input);
      break;
    default:
      if (function == "min" || function == "max" || function == "first" || function == "last") {
        return Status::Unimplemented(function + " of column '" + input.name + "' of type " +
                                     input.type->ToString() + ": its values have no fixed width");
      }
      if (input.type->kind() == TypeKind::kString) {
        return Status::InvalidArgument(function + " of column '" + input.name +
                                       "': not supported for string yet");
      }
  }
  if (!made) return NotDefined(function, input);
  return made;
}

}  // namespace

Result<std::unique_ptr<AggregateFunction>> AggregateFunction::Make(const AggregateSpec& spec,
                                                                   const Schema& schema) {
  const std::string& function = spec.function;
  bool known = false;
  for (const char* name : {"sum", "count", "avg", "min", "max", "first", "last", "var", "stddev"}) {
    known = known || function == name;
  }
  if (!known) {
    return Status::InvalidArgument(
        "unknown aggregate '" + function +
        "'; there are sum, count, avg, min, max, first, last, var and stddev");
  }
  if (spec.input_column < 0) {
    if (function != "count") return Status::InvalidArgument(function + " needs a column");
    return Made(std::make_unique<CountAggregate>(-1));
  }
  if (static_cast<size_t>(spec.input_column) >= schema.size()) {
    return Status::InvalidArgument(function + " of column " + std::to_string(spec.input_column) +
                                   ", but there are " + std::to_string(schema.size()));
  }
  const Field& field = schema.fields()[static_cast<size_t>(spec.input_column)];
  Input input{spec.input_column, field.name, field.type};
  while (input.type->kind() == TypeKind::kDictionary) input.type = input.type->children()[1].type;
  if (function == "count") {
    // Whether a value is null cannot be seen in these.
    if (input.type->kind() == TypeKind::kObject || input.type->kind() == TypeKind::kForeign) {
      return NotDefined(function, input);
    }
    return Made(std::make_unique<CountAggregate>(spec.input_column));
  }
  return MakeForType(function, input);
}

}  // namespace headrace
