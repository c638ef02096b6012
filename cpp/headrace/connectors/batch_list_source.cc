#include "headrace/connectors/batch_list_source.h"

#include <algorithm>
#include <charconv>

namespace headrace {
namespace {

constexpr char kIdPrefix[] = "rows:";

/// The batches and the number of the first row of each; shared by factory and readers.
struct BatchList {
  SchemaPtr schema;
  std::vector<RecordBatch> batches;
  std::vector<int64_t> first_rows;
  int64_t rows = 0;
};
using BatchListPtr = std::shared_ptr<const BatchList>;

bool ParseInt(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

class BatchListReader final : public SourceReader {
 public:
  explicit BatchListReader(BatchListPtr list) : list_(std::move(list)) {}

  Status Open(const OperatorContext&) override { return Status::Ok(); }

  Status AddSplit(const SplitState& split) override {
    std::string_view id = split.id;
    Range range;
    bool parsed = id.starts_with(kIdPrefix);
    if (parsed) id.remove_prefix(sizeof(kIdPrefix) - 1);
    const size_t dash = id.find('-');
    parsed = parsed && dash != std::string_view::npos &&
             ParseInt(id.substr(0, dash), &range.next) && ParseInt(id.substr(dash + 1), &range.end);
    const int64_t first = range.next;
    if (parsed && !split.position.empty()) parsed = ParseInt(split.position, &range.next);
    if (!parsed || first < 0 || range.next < first || range.next > range.end) {
      return Status::Corruption("split '" + split.id + "' at position '" + split.position +
                                "' is not one of an in-memory source");
    }
    if (range.end > list_->rows) {
      return Status::InvalidArgument("the checkpoint was taken over at least " +
                                     std::to_string(range.end) + " rows, but the source now has " +
                                     std::to_string(list_->rows) + ": resume with the same data");
    }
    if (split.finished) range.next = range.end;
    ranges_.push_back(range);
    return Status::Ok();
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    result.kind = PollResult::Kind::kFinished;
    while (current_ < ranges_.size() && ranges_[current_].next == ranges_[current_].end) ++current_;
    if (current_ == ranges_.size()) return result;
    Range& range = ranges_[current_];
    const auto& firsts = list_->first_rows;
    const auto after = std::upper_bound(firsts.begin(), firsts.end(), range.next);
    const auto index = static_cast<size_t>(after - firsts.begin() - 1);
    const RecordBatch& batch = list_->batches[index];
    const int64_t start = range.next - firsts[index];
    const int64_t count = std::min({max_rows, batch.num_rows - start, range.end - range.next});
    range.next += count;
    result.kind = PollResult::Kind::kBatch;
    result.batch = batch.Slice(start, count);
    result.batch.schema = list_->schema;
    result.split = static_cast<int>(current_);
    result.split_finished = range.next == range.end;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    std::vector<std::string> positions;
    for (const Range& range : ranges_) positions.push_back(std::to_string(range.next));
    return positions;
  }

 private:
  struct Range {
    int64_t next = 0;
    int64_t end = 0;
  };
  const BatchListPtr list_;
  std::vector<Range> ranges_;
  size_t current_ = 0;
};

class BatchListFactory final : public SourceFactory {
 public:
  BatchListFactory(BatchListPtr list, int splits) : list_(std::move(list)), splits_(splits) {}

  Result<std::vector<SplitState>> PlanSplits(int) override {
    std::vector<SplitState> splits;
    const int64_t count = std::min<int64_t>(std::max(splits_, 1), list_->rows);
    int64_t from = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t rows = list_->rows / count + (i < list_->rows % count ? 1 : 0);
      SplitState split;
      split.id = kIdPrefix + std::to_string(from) + "-" + std::to_string(from + rows);
      splits.push_back(std::move(split));
      from += rows;
    }
    return splits;
  }

  Result<std::unique_ptr<SourceReader>> Make(int) override {
    return std::unique_ptr<SourceReader>(std::make_unique<BatchListReader>(list_));
  }
  SchemaPtr schema() const override { return list_->schema; }

 private:
  const BatchListPtr list_;
  const int splits_;
};

}  // namespace

SourceFactoryPtr BatchListSource(SchemaPtr schema, std::vector<RecordBatch> batches, int splits) {
  auto list = std::make_shared<BatchList>();
  list->schema = std::move(schema);
  for (RecordBatch& batch : batches) {
    // Empty batches would make row numbers ambiguous.
    if (batch.num_rows == 0) continue;
    list->first_rows.push_back(list->rows);
    list->rows += batch.num_rows;
    list->batches.push_back(std::move(batch));
  }
  return std::make_shared<BatchListFactory>(std::move(list), splits);
}

}  // namespace headrace
