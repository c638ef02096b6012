#include <algorithm>
#include <string>

#include "errors.h"
#include "python_sources.h"
#include "record_writer.h"
#include "value_copy.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

class CollectionReader final : public SourceReader {
 public:
  CollectionReader(PyRef items, SchemaPtr schema)
      : items_(std::move(items)), writer_(RecordTypeOf(schema)) {}

  Status Open(const OperatorContext&) override { return Status::Ok(); }

  Status AddSplit(const SplitState& split) override {
    added_ = true;
    next_ = split.position.empty() ? 0 : std::stoll(split.position);
    if (next_ <= PyList_GET_SIZE(items_.get())) return Status::Ok();
    return Status::InvalidArgument("the collection has " +
                                   std::to_string(PyList_GET_SIZE(items_.get())) +
                                   " elements, but the checkpoint stands at element " +
                                   split.position + "; restore with the same collection");
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    const int64_t size = PyList_GET_SIZE(items_.get());
    if (!added_ || next_ == size) {
      result.kind = PollResult::Kind::kFinished;
      return result;
    }
    const int64_t end = std::min(size, next_ + max_rows);
    for (int64_t i = next_; i < end; ++i) {
      PyObject* item = PyList_GET_ITEM(items_.get(), i);
      PyObject* record = IsPlainScalar(item) ? Py_NewRef(item) : PassOutBorrowed(item, nullptr);
      if (record == nullptr) return UserErrorFromPython("copying", item);
      Status appended = writer_.Append(record, kNoTimestamp);
      if (!appended.ok()) return appended.WithContext("element " + std::to_string(i));
    }
    next_ = end;
    result.kind = PollResult::Kind::kBatch;
    result.batch = writer_.Finish();
    result.split_finished = end == size;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    if (!added_) return std::vector<std::string>{};
    return std::vector<std::string>{std::to_string(next_)};
  }

 private:
  PyRef items_;
  RecordWriter writer_;
  int64_t next_ = 0;
  bool added_ = false;
};

class CollectionFactory final : public SourceFactory {
 public:
  CollectionFactory(py::list items, SchemaPtr schema)
      : items_(PyRef::Borrow(items.ptr())), schema_(std::move(schema)) {}

  Result<std::vector<SplitState>> PlanSplits(int) override {
    SplitState split;
    split.id = "elements";
    return std::vector<SplitState>{std::move(split)};
  }
  Result<std::unique_ptr<SourceReader>> Make(int) override {
    return std::unique_ptr<SourceReader>(
        std::make_unique<CollectionReader>(PyRef::Borrow(items_.get()), schema_));
  }
  SchemaPtr schema() const override { return schema_; }
  bool calls_python() const override { return true; }

 private:
  PyRef items_;
  SchemaPtr schema_;
};

}  // namespace

SourceFactoryPtr CollectionSource(py::list items, SchemaPtr schema) {
  return std::make_shared<CollectionFactory>(std::move(items), std::move(schema));
}

}  // namespace headrace::bindings
