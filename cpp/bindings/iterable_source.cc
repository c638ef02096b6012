#include "bindings/iterable_source.h"

#include <algorithm>
#include <string>

#include "bindings/errors.h"
#include "bindings/record_writer.h"
#include "bindings/source_errors.h"
#include "bindings/source_position.h"
#include "bindings/task_scope.h"
#include "bindings/user_function.h"
#include "bindings/value_copy.h"

namespace headrace::bindings {
namespace {

constexpr int64_t kGatherNs = 5'000'000;

/// One split, pulled from a Python iterator. A batch ends after 5 ms, so that a slow iterator's
/// rows flow.
class IterableReader final : public SourceReader {
 public:
  IterableReader(IterableSpec spec, SchemaPtr schema)
      : spec_(std::move(spec)), position_(spec_.function.get()), writer_(RecordTypeOf(schema)) {}

  Status Open(const OperatorContext& context) override {
    env_ = context.env;
    if (!spec_.method) return Status::Ok();
    scope_ = std::make_shared<TaskScope>(context);
    return OpenUserObject(spec_.function.get(), scope_);
  }

  Status AddSplit(const SplitState& split) override {
    added_ = true;
    stored_ = split.position;
    if (spec_.positioned && !stored_.empty()) HR_RETURN_IF_ERROR(position_.Restore(stored_));
    auto iterable =
        PyRef::Steal(spec_.method ? PyObject_CallMethod(spec_.function.get(), spec_.method, nullptr)
                                  : PyObject_CallNoArgs(spec_.function.get()));
    if (!iterable) return SourceErrorFromPython("making the iterator");
    iterator_ = PyRef::Steal(PyObject_GetIter(iterable.get()));
    return iterator_ ? Status::Ok() : SourceErrorFromPython("making the iterator");
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    result.kind = PollResult::Kind::kFinished;
    if (!added_ || ended_) return result;
    const int64_t start_ns = env_->SteadyNs();
    while (writer_.rows() < max_rows) {
      PyObject* item = PyIter_Next(iterator_.get());
      if (item == nullptr) {
        if (PyErr_Occurred()) return SourceErrorFromPython("the next record");
        ended_ = true;
        break;
      }
      HR_RETURN_IF_ERROR(Take(item));
      // One clock read for 64 rows: fast iterators fill their batch long before the time is up.
      if ((writer_.rows() & 63) == 0 || spec_.positioned) {
        if (env_->SteadyNs() - start_ns > kGatherNs) break;
      }
    }
    result.kind = PollResult::Kind::kBatch;
    result.batch = writer_.Finish();
    result.split_finished = ended_;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    if (!added_) return std::vector<std::string>{};
    if (!spec_.positioned || !latest_) return std::vector<std::string>{stored_};
    HR_ASSIGN_OR_RETURN(stored_, SourcePosition::Encode(latest_.get()));
    return std::vector<std::string>{stored_};
  }

  Status Close() override {
    if (!scope_) return Status::Ok();
    const Status status = CloseUserObject(spec_.function.get());
    scope_->Close();
    return status;
  }

 private:
  Status Take(PyObject* item) {
    PyObject* record = PassOut(item, nullptr);
    if (record == nullptr) return UserErrorFromPython("copying", nullptr);
    HR_RETURN_IF_ERROR(writer_.Append(record, kNoTimestamp));
    if (!spec_.positioned) return Status::Ok();
    HR_ASSIGN_OR_RETURN(latest_, position_.Current());
    return Status::Ok();
  }

  IterableSpec spec_;
  SourcePosition position_;
  RecordWriter writer_;
  Env* env_ = nullptr;
  TaskScopePtr scope_;
  PyRef iterator_;
  PyRef latest_;
  std::string stored_;
  bool added_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<SourceReader> MakeIterableReader(IterableSpec spec, SchemaPtr schema) {
  return std::make_unique<IterableReader>(std::move(spec), std::move(schema));
}

}  // namespace headrace::bindings
