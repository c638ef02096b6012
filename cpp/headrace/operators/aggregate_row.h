#pragma once

#include <memory>
#include <vector>

#include "headrace/expr/aggregate.h"

namespace headrace {

/// The accumulators of several aggregates side by side in one row of memory.
///
/// A row is row_bytes() long (at least 8, so that a row exists even without aggregates), 8-byte
/// aligned, zero before Init.
/// Threading: immutable; rows belong to the caller.
class AggregateRow {
 public:
  /// kInvalidArgument naming the aggregate that cannot be made.
  static Result<std::unique_ptr<AggregateRow>> Make(const std::vector<AggregateSpec>& specs,
                                                    const Schema& input);

  int row_bytes() const { return row_bytes_; }
  size_t size() const { return parts_.size(); }
  /// Output columns, in order.
  std::vector<Field> OutputFields() const;
  /// "sum(int64), count(*)": tells one layout from another in state fingerprints.
  const std::string& fingerprint() const { return fingerprint_; }

  void Init(char* row) const;
  /// See AggregateFunction::Update; `rows_of_accumulators[i]` takes row rows[i] of the batch.
  Status Update(const RecordBatch& batch, const int32_t* rows, char* const* rows_of_accumulators,
                int64_t count, int64_t sequence = -1) const;
  Status Merge(char* into, const char* from) const;
  /// Appends the result of aggregate `index`.
  void AppendResult(size_t index, const char* row, ColumnBuilder* out) const;

 private:
  struct Part {
    std::unique_ptr<AggregateFunction> function;
    int offset_bytes;
    std::string output_name;
  };
  std::vector<Part> parts_;
  int row_bytes_ = 0;
  std::string fingerprint_;
};

}  // namespace headrace
