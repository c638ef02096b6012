#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/checkpoint/state_reader.h"
#include "headrace/operators/aggregate_row.h"
#include "headrace/types/batch.h"
#include "headrace/types/value_shape.h"

namespace headrace::bindings {

/// What the rows of a table are to those who look at them.
enum class StateForm : uint8_t {
  kValue,       ///< key, namespace, value
  kMap,         ///< key, namespace, map_key, value
  kList,        ///< key, namespace, index, value: a row an element
  kAggregates,  ///< key, namespace, a column a built-in aggregate
  kTimers,      ///< key, namespace, domain, time
  kKeys,        ///< key, id, key_group, subtask
};
const char* StateFormName(StateForm form);

/// Turns rows of stored state into columns. All rows are looked at twice: once to find the types
/// that their values have in common (Learn), once to build batches (Append). `namespace` is null or
/// a struct of `window_start` and `window_end`, ms since 1970 (of built-in aggregates over sliding
/// windows, those of the slice). State with a time to live (fingerprint "ttl<…>": 8 bytes before
/// each value, in lists also its length) has a last column `last_used`, ms since 1970. Values that
/// are not encoded as the state's kind says are shown as the bytes that they are.
///
/// Threading: owned by one thread while it learns; immutable afterwards.
class StateColumns {
 public:
  /// Encoded pickle → what to show instead, encoded; null: its bytes.
  using Unpickle = std::function<Result<std::string>(std::string_view encoded)>;

  /// Of a state; `unpickle` may be null.
  StateColumns(const StateReader::State& state, Unpickle unpickle);
  /// Of timers or keys.
  explicit StateColumns(StateForm form);

  Status Learn(const StateRow& row);
  /// kCorruption when something is missing, as of a list whose segments have a gap.
  Status FinishLearning();

  StateForm form() const { return form_; }
  /// A stored value, or the elements of a list's segment, without times of last use.
  Result<std::string> WithoutTimes(std::string_view stored) const;
  /// True when the values' types are known without looking at them, so that only keys need be
  /// learned.
  bool knows_values() const { return fixed_type_ != nullptr || aggregates_ != nullptr; }
  /// Type of values in fixed-width rows; null for others.
  const DataTypePtr& fixed_type() const { return fixed_type_; }
  /// REQUIRES: FinishLearning().
  const SchemaPtr& schema() const { return schema_; }
  /// What the values of each column are in the program's terms: "int", "list of str".
  const std::vector<std::pair<std::string, std::string>>& descriptions() const {
    return descriptions_;
  }

  /// Builds batches. Threading: owned by one thread; borrows the columns.
  class Builder {
   public:
    static Result<std::unique_ptr<Builder>> Make(const StateColumns* columns);
    Status Append(const StateRow& row);
    int64_t rows() const { return columns_.front()->length(); }
    /// Bytes of the rows appended so far, as they were stored.
    size_t size_bytes() const { return size_bytes_; }
    RecordBatch Finish();

   private:
    Builder() = default;
    Status AppendKey(const StateRow& row);
    void AppendNamespace(const StateRow& row);
    Status AppendList(const StateRow& row);
    Status AppendFixed(std::string_view value);
    Status AppendEncoded(std::string_view encoded, const ValueShape& shape, bool raw,
                         ColumnBuilder* out) const;
    Status AppendAggregates(const StateRow& row);

    const StateColumns* plan_ = nullptr;
    std::vector<std::unique_ptr<ColumnBuilder>> columns_;
    std::vector<int64_t> accumulators_;  // aligned
    size_t size_bytes_ = 0;
  };

 private:
  using ListKey = std::string;

  void ReadFingerprint(const StateReader::State& state);
  bool ReadAggregates(std::string_view text, uint32_t row_bytes);
  Status LearnValue(std::string_view encoded, ValueShape* shape, bool* raw);
  Status LearnList(const StateRow& row);
  /// The next element of a list's segment; with a time to live also when it was used.
  Status NextElement(ByteReader* in, std::string_view* encoded, int64_t* last_used) const;
  /// Takes the time off a value. False when there is none.
  bool TakeTime(std::string_view* value, int64_t* last_used) const;
  static ListKey ListOf(const StateRow& row);
  static Result<uint32_t> SegmentOf(const StateRow& row);
  Result<std::string> Shown(std::string_view encoded) const;

  StateForm form_ = StateForm::kValue;
  Unpickle unpickle_;
  ValueShape keys_{/*distinct_numbers=*/true};
  ValueShape map_keys_{/*distinct_numbers=*/true};
  ValueShape values_;
  bool raw_namespaces_ = false;
  bool raw_map_keys_ = false;
  bool raw_values_ = false;
  bool has_times_ = false;  ///< values carry the time of their last use
  DataTypePtr fixed_type_;  ///< values in fixed-width rows
  uint32_t row_bytes_ = 0;
  std::unique_ptr<AggregateRow> aggregates_;
  std::vector<std::string> aggregate_names_;
  int64_t slice_ms_ = 0;  ///< 0: not cut into slices
  /// Elements in the full segments of each list that has one, by number; then the index at which
  /// each segment starts.
  std::map<ListKey, std::vector<int64_t>> segments_;
  SchemaPtr schema_;
  std::vector<std::pair<std::string, std::string>> descriptions_;
};

}  // namespace headrace::bindings
