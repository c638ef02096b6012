#include <utility>

#include "headrace/base/hash.h"
#include "testing/test_operators.h"

namespace headrace {

namespace {

class FileSinkOperator final : public Operator {
 public:
  explicit FileSinkOperator(std::string directory) : directory_(std::move(directory)) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    name_ = std::to_string(context.env->Random64()) + "-" + std::to_string(context.subtask_index);
    return context.env->files().MakeDirectories(directory_);
  }
  Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
    if (!file_) HR_RETURN_IF_ERROR(Begin());
    std::string lines;
    for (int64_t i = 0; i < batch.num_rows; ++i) lines += TestRowLine(TestRowAt(batch, i)) + "\n";
    content_ += lines;
    HR_RETURN_IF_ERROR(file_->Append(lines));
    return Progress::kDone;
  }
  Result<Progress> Finish(Output&) override {
    HR_RETURN_IF_ERROR(Seal());
    return Progress::kDone;
  }
  Status Snapshot(uint64_t, OperatorState*) override { return Seal(); }
  std::vector<PendingRename> TakePendingRenames() override { return std::exchange(sealed_, {}); }

 private:
  Status Begin() {
    temporary_ = directory_ + "/tmp-" + name_ + "-" + std::to_string(counter_);
    HR_ASSIGN_OR_RETURN(file_, context().env->files().Create(temporary_));
    return Status::Ok();
  }
  Status Seal() {
    if (!file_) return Status::Ok();
    HR_RETURN_IF_ERROR(file_->Sync());
    HR_RETURN_IF_ERROR(file_->Close());
    HR_RETURN_IF_ERROR(context().env->files().SyncDirectory(directory_));
    file_.reset();
    PendingRename rename;
    rename.temporary_path = temporary_;
    rename.final_path = directory_ + "/part-" + name_ + "-" + std::to_string(counter_++);
    rename.size_bytes = content_.size();
    rename.digest = Hash128(content_);
    sealed_.push_back(std::move(rename));
    content_.clear();
    return Status::Ok();
  }

  const std::string directory_;
  std::string name_;
  std::string temporary_;
  std::string content_;
  int64_t counter_ = 0;
  std::unique_ptr<WritableFile> file_;
  std::vector<PendingRename> sealed_;
};

}  // namespace

OperatorFactoryPtr TestFileSink(std::string directory) {
  return NativeOperator([=](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<FileSinkOperator>(directory));
  });
}

}  // namespace headrace
