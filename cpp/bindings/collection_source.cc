#include <charconv>
#include <string>

#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/python_bindings.h"
#include "bindings/record_writer.h"
#include "bindings/value_copy.h"
#include "headrace/connectors/source.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Rows [begin, end) of the list, `next` the first that was not read.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t next = 0;
};

bool ParseNumber(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

/// Reads slices of the list. Objects that can be changed are copied: a user function that changes
/// its input must not change what a restart reads.
class CollectionReader final : public SourceReader {
 public:
  CollectionReader(PyObject* items, const RecordTypePtr& type)
      : items_(PyRef::Borrow(items)), writer_(type) {}

  Status Open(const OperatorContext&) override { return Status::Ok(); }

  Status AddSplit(const SplitState& split) override {
    // "items:begin-end"; position: the next row in decimal.
    const std::string_view id = split.id;
    const size_t colon = id.find(':'), dash = id.find('-');
    Range range;
    if (colon == id.npos || dash == id.npos ||
        !ParseNumber(id.substr(colon + 1, dash - colon - 1), &range.begin) ||
        !ParseNumber(id.substr(dash + 1), &range.end)) {
      return Status::Corruption("split '" + split.id + "' is not one of a collection");
    }
    range.next = range.begin;
    if (!split.position.empty() && !ParseNumber(split.position, &range.next)) {
      return Status::Corruption("position '" + split.position + "' of split '" + split.id + "'");
    }
    const int64_t size = PyList_GET_SIZE(items_.get());
    if (range.end > size || range.next > range.end) {
      return Status::InvalidArgument("split '" + split.id + "' at row " +
                                     std::to_string(range.next) + " is beyond the " +
                                     std::to_string(size) + " elements of the collection");
    }
    ranges_.push_back(range);
    return Status::Ok();
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    if (current_ == ranges_.size()) {
      result.kind = PollResult::Kind::kFinished;
      return result;
    }
    GilScope gil;
    Range& range = ranges_[current_];
    const int64_t stop = std::min(range.end, range.next + max_rows);
    for (; range.next < stop; ++range.next) {
      PyObject* item = PyList_GET_ITEM(items_.get(), range.next);
      PyObject* record = IsPlainScalar(item) ? Py_NewRef(item) : CopyMutable(item);
      if (!record) {
        return StatusFromPython(
            StatusCode::kInvalidArgument,
            "element " + std::to_string(range.next) + " of the collection cannot be copied");
      }
      Status status = writer_.Append(record, kNoTimestamp);
      if (!status.ok()) {
        return status.WithContext("element " + std::to_string(range.next) + " of the collection");
      }
    }
    result.kind = PollResult::Kind::kBatch;
    result.batch = writer_.Finish();
    result.split = static_cast<int>(current_);
    result.split_finished = range.next == range.end;
    if (result.split_finished) ++current_;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    std::vector<std::string> positions;
    for (const Range& range : ranges_) positions.push_back(std::to_string(range.next));
    return positions;
  }

 private:
  PyRef items_;
  RecordWriter writer_;
  std::vector<Range> ranges_;
  size_t current_ = 0;
};

class CollectionFactory final : public SourceFactory {
 public:
  CollectionFactory(PyRef items, SchemaPtr schema)
      : items_(std::move(items)), type_(RecordTypeOf(schema)) {}

  Result<std::vector<SplitState>> PlanSplits(int parallelism) override {
    const int64_t size = PyList_GET_SIZE(items_.get());
    std::vector<SplitState> splits;
    for (int64_t i = 0; i < parallelism; ++i) {
      SplitState split;
      split.id = "items:" + std::to_string(size * i / parallelism) + "-" +
                 std::to_string(size * (i + 1) / parallelism);
      // Ranges are told apart by their ids, so only one of them may be empty.
      if (splits.empty() || splits.back().id != split.id) splits.push_back(std::move(split));
    }
    return splits;
  }
  Result<std::unique_ptr<SourceReader>> Make(int) override {
    GilScope gil;
    return std::unique_ptr<SourceReader>(std::make_unique<CollectionReader>(items_.get(), type_));
  }
  SchemaPtr schema() const override { return type_->schema; }
  bool calls_python() const override { return true; }

 private:
  const PyRef items_;
  const RecordTypePtr type_;
};

}  // namespace

void BindPythonSources(py::module_& module) {
  module.def(
      "collection_source",
      [](const py::object& items, const SchemaHandle& schema) {
        // A list is taken over as it is. The collector would walk all of it several times while the
        // job makes objects, in the task's time.
        PyRef list = PyList_CheckExact(items.ptr()) ? PyRef::Borrow(items.ptr())
                                                    : PyRef::Steal(PySequence_List(items.ptr()));
        if (!list) throw py::error_already_set();
        PyObject_GC_UnTrack(list.get());
        return SourceHandle{std::make_shared<CollectionFactory>(std::move(list), schema.schema)};
      },
      py::arg("items"), py::arg("schema"));
  BindReaderSource(module);
  BindSourceFunction(module);
}

}  // namespace headrace::bindings
