#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/types/batch.h"
#include "headrace/types/column_builder.h"

namespace headrace {

/// Names one built-in aggregate of `agg(...)`: what to compute, over which column, and the output's
/// name.
struct AggregateSpec {
  /// "sum", "count", "avg", "min", "max", "first", "last", "var", "stddev" (of a sample: over n -
  /// 1)
  std::string function;
  int input_column = -1;  ///< -1 for count(*)
  std::string output_name;
};

/// A built-in aggregate over one column with a fixed-width accumulator, updated a batch at a time.
///
/// An accumulator is `accumulator_bytes()` bytes, 8-byte aligned, all zero before Init; it has no
/// padding and no pointers, so its bytes are its state (the layouts, drawn in aggregate.cc, are on
/// disk). Rows that are null are skipped and an aggregate over nothing is null, but count 0 (SQL
/// rules). Integer sums that leave int64 fail with kResourceExhausted naming the column; avg of
/// integers is exact inside. NaN is larger than every number for min and max. Dictionary columns
/// aggregate as their values.
/// Threading: immutable; accumulators belong to the caller.
class AggregateFunction {
 public:
  virtual ~AggregateFunction() = default;
  /// kInvalidArgument when the function is unknown or not defined for the column's type,
  /// kUnimplemented for min, max, first and last of types without a fixed width.
  static Result<std::unique_ptr<AggregateFunction>> Make(const AggregateSpec& spec,
                                                         const Schema& input);

  virtual int accumulator_bytes() const = 0;
  virtual DataTypePtr output_type() const = 0;
  virtual void Init(char* accumulator) const = 0;
  /// Adds row rows[i] of the batch to the accumulator at accumulators[i] + offset_bytes, for i in
  /// [0, count). `rows` null means rows 0..count-1. `sequence` is the number of the batch's row 0
  /// since the start of the stream and orders first and last across accumulators that are merged;
  /// -1 = unknown: rows arrive in the order of the calls, and Merge takes `from` as the later part.
  /// After a failure the accumulators hold garbage. Cost: about 1 ns a row on cached accumulators.
  virtual Status Update(const RecordBatch& batch, const int32_t* rows, char* const* accumulators,
                        int offset_bytes, int64_t count, int64_t sequence = -1) const = 0;
  /// Adds `from` to `into`.
  virtual Status Merge(char* into, const char* from) const = 0;
  virtual void AppendResult(const char* accumulator, ColumnBuilder* out) const = 0;
};

}  // namespace headrace
