#include "headrace/operators/aggregate_row.h"

#include <algorithm>

namespace headrace {

Result<std::unique_ptr<AggregateRow>> AggregateRow::Make(const std::vector<AggregateSpec>& specs,
                                                         const Schema& input) {
  constexpr int kAlignment = 8;
  auto row = std::make_unique<AggregateRow>();
  for (const AggregateSpec& spec : specs) {
    auto made = AggregateFunction::Make(spec, input);
    if (!made.ok()) return made.status().WithContext("aggregate '" + spec.output_name + "'");
    Part part{std::move(made).value(), row->row_bytes_, spec.output_name};
    row->row_bytes_ +=
        (part.function->accumulator_bytes() + kAlignment - 1) / kAlignment * kAlignment;
    row->parts_.push_back(std::move(part));
    if (!row->fingerprint_.empty()) row->fingerprint_ += ", ";
    row->fingerprint_ += spec.function + "(";
    row->fingerprint_ +=
        spec.input_column < 0
            ? "*"
            : input.fields()[static_cast<size_t>(spec.input_column)].type->ToString();
    row->fingerprint_ += ")";
  }
  row->row_bytes_ = std::max(row->row_bytes_, kAlignment);
  return row;
}

std::vector<Field> AggregateRow::OutputFields() const {
  std::vector<Field> fields;
  for (const Part& part : parts_) {
    fields.push_back(Field{part.output_name, part.function->output_type(), true});
  }
  return fields;
}

void AggregateRow::Init(char* row) const {
  for (const Part& part : parts_) part.function->Init(row + part.offset_bytes);
}

Status AggregateRow::Update(const RecordBatch& batch, const int32_t* rows,
                            char* const* rows_of_accumulators, int64_t count,
                            int64_t sequence) const {
  for (const Part& part : parts_) {
    HR_RETURN_IF_ERROR(part.function->Update(batch, rows, rows_of_accumulators, part.offset_bytes,
                                             count, sequence));
  }
  return Status::Ok();
}

Status AggregateRow::Merge(char* into, const char* from) const {
  for (const Part& part : parts_) {
    HR_RETURN_IF_ERROR(part.function->Merge(into + part.offset_bytes, from + part.offset_bytes));
  }
  return Status::Ok();
}

void AggregateRow::AppendResult(size_t index, const char* row, ColumnBuilder* out) const {
  parts_[index].function->AppendResult(row + parts_[index].offset_bytes, out);
}

}  // namespace headrace
