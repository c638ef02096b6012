#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "headrace/types/row_text.h"
#include "headrace/windows/window_spec.h"
#include "types/column_of.h"

namespace headrace {

/// One row of a test stream.
struct TestRow {
  std::string key;  ///< as the output shows the key column(s): "k=1" or "a=1, b='x'"
  int64_t value = 0;
  TimestampMs time = 0;
};

/// Flink's rules for tumbling and sliding event-time windows, a row and a window at a time.
class WindowOracle {
 public:
  explicit WindowOracle(WindowSpec spec) : spec_(std::move(spec)) {}

  /// Results that the row fires at once, in order.
  std::vector<std::string> Row(const TestRow& row) {
    std::vector<std::string> fired;
    bool taken = false;
    const int64_t slide = spec_.slide_ms;
    const TimestampMs shifted = row.time - spec_.offset_ms;
    TimestampMs start = shifted / slide * slide;
    if (start > shifted) start -= slide;
    for (start += spec_.offset_ms; start > row.time - spec_.size_ms; start -= slide) {
      const TimestampMs end = start + spec_.size_ms;
      if (end - 1 + spec_.allowed_lateness_ms <= watermark_) continue;
      taken = true;
      Group& group = groups_[{end, row.key}];
      if (group.count++ == 0) group.first = row.value;
      group.sum += row.value;
      if (end - 1 <= watermark_) fired.push_back(Text(end, row.key, group));
    }
    if (!taken && row.time + spec_.allowed_lateness_ms <= watermark_) ++late_;
    return fired;
  }

  /// Results that the watermark fires, sorted.
  std::vector<std::string> Watermark(TimestampMs watermark) {
    std::vector<std::string> fired;
    for (auto group = groups_.begin(); group != groups_.end();) {
      const auto& [end, key] = group->first;
      if (end - 1 > watermark_ && end - 1 <= watermark) {
        fired.push_back(Text(end, key, group->second));
      }
      const bool over = spec_.CleanupTime(end) <= watermark;
      group = over ? groups_.erase(group) : std::next(group);
    }
    watermark_ = watermark;
    std::sort(fired.begin(), fired.end());
    return fired;
  }

  int64_t late() const { return late_; }

 private:
  struct Group {
    int64_t sum = 0;
    int64_t count = 0;
    int64_t first = 0;
  };
  std::string Text(TimestampMs end, const std::string& key, const Group& group) const {
    return "Row(" + key + ", window_start=" + std::to_string(end - spec_.size_ms) +
           ", window_end=" + std::to_string(end) + ", total=" + std::to_string(group.sum) +
           ", n=" + std::to_string(group.count) + ", first=" + std::to_string(group.first) + ") @" +
           std::to_string(end - 1);
  }

  const WindowSpec spec_;
  std::map<std::pair<TimestampMs, std::string>, Group> groups_;
  TimestampMs watermark_ = kMinWatermark;
  int64_t late_ = 0;
};

/// Kinds of key columns that the tests go through.
enum class KeyKind { kInt64, kInt32WithNulls, kString, kDictionary, kFloat, kDate, kStruct };
inline constexpr KeyKind kKeyKinds[] = {
    KeyKind::kInt64, KeyKind::kInt32WithNulls, KeyKind::kString, KeyKind::kDictionary,
    KeyKind::kFloat, KeyKind::kDate,           KeyKind::kStruct};

/// The key fields that the operator is told of.
inline std::vector<Field> KeyFields(KeyKind kind) {
  switch (kind) {
    case KeyKind::kInt64:
      return {{"k", Int64Type(), true}};
    case KeyKind::kInt32WithNulls:
      return {{"k", Int32Type(), true}};
    case KeyKind::kString:
    case KeyKind::kDictionary:
      return {{"k", StringType(), true}};
    case KeyKind::kFloat:
      return {{"k", Float64Type(), true}};
    case KeyKind::kDate:
      return {{"k", Date32Type(), true}};
    case KeyKind::kStruct:
      return {{"a", Int32Type(), true}, {"b", StringType(), true}};
  }
  return {};
}

/// A key column of these key numbers.
inline ColumnPtr KeyColumn(KeyKind kind, const std::vector<int64_t>& numbers) {
  std::vector<std::optional<int64_t>> ints(numbers.begin(), numbers.end());
  std::vector<std::optional<std::string>> texts;
  for (const int64_t number : numbers) texts.push_back("key-" + std::to_string(number));
  switch (kind) {
    case KeyKind::kInt64:
      return Int64s(ints);
    case KeyKind::kInt32WithNulls:
      for (auto& value : ints) {
        if (*value % 5 == 0) value.reset();
      }
      return IntsOf<int64_t>(Int32Type(), ints);
    case KeyKind::kString:
      return Strings(texts);
    case KeyKind::kDictionary: {
      std::vector<std::optional<std::string>> entries;
      for (int i = 0; i < 100; ++i) entries.push_back("key-" + std::to_string(i));
      return DictionaryOf<int64_t>(Int32Type(), ints, Strings(entries));
    }
    case KeyKind::kFloat: {
      std::vector<std::optional<double>> reals;
      for (const int64_t number : numbers) reals.push_back(static_cast<double>(number) / 4);
      return Doubles(reals);
    }
    case KeyKind::kDate:
      return IntsOf<int64_t>(Date32Type(), ints);
    case KeyKind::kStruct: {
      auto key = std::make_shared<Column>();
      key->type = StructType(KeyFields(kind));
      key->length = static_cast<int64_t>(numbers.size());
      key->children = {IntsOf<int64_t>(Int32Type(), ints), Strings(texts)};
      return key;
    }
  }
  return nullptr;
}

/// The key as the operator's output shows it.
inline std::string KeyText(const std::vector<Field>& fields, const Column& key, int64_t row) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) text += ", ";
    text += fields[i].name + "=";
    const Column& column = fields.size() == 1 ? key : *key.children[i];
    EXPECT_TRUE(AppendValueRepr(column, row, &text).ok());
  }
  return text;
}

inline SchemaPtr ValueSchema() {
  return std::make_shared<const Schema>(RecordShape::kRow,
                                        std::vector<Field>{{"value", Int64Type(), true}});
}

/// A batch of these values at these times under these key numbers; fills `rows` for the oracle.
inline RecordBatch KeyedBatch(KeyKind kind, const std::vector<int64_t>& keys,
                              const std::vector<int64_t>& values,
                              const std::vector<TimestampMs>& times, std::vector<TestRow>* rows) {
  RecordBatch batch;
  batch.schema = ValueSchema();
  batch.num_rows = static_cast<int64_t>(values.size());
  batch.columns = {Int64s(std::vector<std::optional<int64_t>>(values.begin(), values.end()))};
  batch.timestamps =
      Int64s(std::vector<std::optional<int64_t>>(times.begin(), times.end()))->values;
  batch.key = KeyColumn(kind, keys);
  const std::vector<Field> fields = KeyFields(kind);
  ColumnPtr plain = Column::DecodeDictionary(batch.key).value();
  for (size_t i = 0; rows && i < values.size(); ++i) {
    rows->push_back({KeyText(fields, *plain, static_cast<int64_t>(i)), values[i], times[i]});
  }
  return batch;
}

}  // namespace headrace
