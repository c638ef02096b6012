#include "headrace/connectors/number_sequence_source.h"

#include <algorithm>
#include <charconv>

namespace headrace {
namespace {

constexpr char kIdPrefix[] = "range:";

/// The number `text` is, whole.
Status ParseInt(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error == std::errc() && end == text.data() + text.size()) return Status::Ok();
  return Status::Corruption("'" + std::string(text) + "' is not a number");
}

struct Range {
  int64_t next = 0;
  int64_t last = 0;
  bool finished = false;
};

Result<Range> ParseSplit(const SplitState& split) {
  const auto corrupt = [&split] {
    return Status::Corruption("split '" + split.id + "' at position '" + split.position +
                              "' is not one of a number sequence");
  };
  std::string_view id = split.id;
  if (!id.starts_with(kIdPrefix)) return corrupt();
  id.remove_prefix(sizeof(kIdPrefix) - 1);
  // The separator is the first '-' that is not a sign.
  const size_t dash = id.find('-', 1);
  Range range;
  if (dash == std::string_view::npos || !ParseInt(id.substr(0, dash), &range.next).ok() ||
      !ParseInt(id.substr(dash + 1), &range.last).ok()) {
    return corrupt();
  }
  const int64_t first = range.next;
  if (!split.position.empty() && split.position != "end" &&
      (!ParseInt(split.position, &range.next).ok() || range.next < first ||
       range.next > range.last)) {
    return corrupt();
  }
  range.finished = split.finished || split.position == "end" || range.next > range.last;
  return range;
}

class NumberSequenceReader final : public SourceReader {
 public:
  explicit NumberSequenceReader(SchemaPtr schema) : schema_(std::move(schema)) {}

  Status Open(const OperatorContext&) override { return Status::Ok(); }

  Status AddSplit(const SplitState& split) override {
    HR_ASSIGN_OR_RETURN(Range range, ParseSplit(split));
    ranges_.push_back(range);
    return Status::Ok();
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    result.kind = PollResult::Kind::kFinished;
    while (current_ < ranges_.size() && ranges_[current_].finished) ++current_;
    if (current_ == ranges_.size()) return result;
    Range& range = ranges_[current_];
    // Unsigned, as the whole of int64 is a range too.
    const uint64_t left = static_cast<uint64_t>(range.last) - static_cast<uint64_t>(range.next);
    const int64_t rows =
        left < static_cast<uint64_t>(max_rows) ? static_cast<int64_t>(left) + 1 : max_rows;
    auto buffer = Buffer::Allocate(static_cast<size_t>(rows) * sizeof(int64_t));
    auto* values = reinterpret_cast<int64_t*>(buffer->mutable_data());
    for (int64_t i = 0; i < rows; ++i) values[i] = range.next + i;
    result.kind = PollResult::Kind::kBatch;
    result.batch.schema = schema_;
    result.batch.num_rows = rows;
    result.batch.columns.push_back(Column::OfFixed(Int64Type(), rows, std::move(buffer)));
    result.split = static_cast<int>(current_);
    range.finished = values[rows - 1] == range.last;
    if (!range.finished) range.next += rows;
    result.split_finished = range.finished;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    std::vector<std::string> positions;
    for (const Range& range : ranges_) {
      positions.push_back(range.finished ? "end" : std::to_string(range.next));
    }
    return positions;
  }

 private:
  const SchemaPtr schema_;
  std::vector<Range> ranges_;
  size_t current_ = 0;
};

class NumberSequenceFactory final : public SourceFactory {
 public:
  NumberSequenceFactory(int64_t start, int64_t end)
      : start_(start),
        end_(end),
        schema_(std::make_shared<const Schema>(
            RecordShape::kScalar, std::vector<Field>{Field{"value", Int64Type(), false}})) {}

  Result<std::vector<SplitState>> PlanSplits(int parallelism) override {
    std::vector<SplitState> splits;
    if (end_ < start_) return splits;
    // 2^64 numbers do not fit uint64, their last index does.
    const uint64_t last_index = static_cast<uint64_t>(end_) - static_cast<uint64_t>(start_);
    const uint64_t each = last_index / static_cast<uint64_t>(parallelism);
    const uint64_t longer = last_index % static_cast<uint64_t>(parallelism) + 1;
    uint64_t from = 0;
    for (uint64_t i = 0; i < static_cast<uint64_t>(parallelism); ++i) {
      const uint64_t count = each + (i < longer ? 1 : 0);
      // All of int64 in one split wraps the count to 0.
      if (each == 0 && i >= longer) continue;
      const auto first = static_cast<int64_t>(static_cast<uint64_t>(start_) + from);
      const auto last = static_cast<int64_t>(static_cast<uint64_t>(first) + count - 1);
      SplitState split;
      split.id = kIdPrefix + std::to_string(first) + "-" + std::to_string(last);
      splits.push_back(std::move(split));
      from += count;
    }
    return splits;
  }

  Result<std::unique_ptr<SourceReader>> Make(int) override {
    return std::unique_ptr<SourceReader>(std::make_unique<NumberSequenceReader>(schema_));
  }
  SchemaPtr schema() const override { return schema_; }

 private:
  const int64_t start_;
  const int64_t end_;
  const SchemaPtr schema_;
};

}  // namespace

SourceFactoryPtr NumberSequenceSource(int64_t start, int64_t end) {
  return std::make_shared<NumberSequenceFactory>(start, end);
}

}  // namespace headrace
