#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "bindings/arrow_capsules.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/known_types.h"
#include "bindings/manifest_dict.h"
#include "bindings/operator_items.h"
#include "bindings/python_bindings.h"
#include "bindings/state_columns.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"
#include "headrace/checkpoint/state_difference.h"
#include "headrace/checkpoint/state_reader.h"
#include "headrace/checkpoint/verification.h"
#include "headrace/types/value_codec.h"
#include "headrace/windows/time_window.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

// A batch is closed when it has one of these.
constexpr int64_t kBatchRows = 16 * 1024;
constexpr size_t kBatchBytes = 4 << 20;

/// What a pickle holds as a typed encoding, or as the text of its repr.
Result<std::string> Unpickled(std::string_view encoded) {
  GilScope gil;
  ByteReader in(encoded.substr(1));
  std::string_view payload;
  HR_RETURN_IF_ERROR(in.String(&payload));
  PyRef bytes = PyRef::Steal(
      PyBytes_FromStringAndSize(payload.data(), static_cast<Py_ssize_t>(payload.size())));
  PyRef value =
      PyRef::Steal(bytes ? PyObject_CallOneArg(known.pickle_loads, bytes.get()) : nullptr);
  if (!value) {
    return StatusFromPython(StatusCode::kInvalidArgument, "a stored pickle cannot be loaded");
  }
  ByteWriter out;
  if (EncodePython(value.get(), &out).ok()) return out.Take();
  out.Clear();
  EncodeStr(ShortRepr(value.get()), &out);
  return out.Take();
}

using ReaderPtr = std::shared_ptr<const StateReader>;

enum class What : uint8_t { kState, kTimers, kKeys };

Result<std::unique_ptr<StateCursor>> CursorOf(const StateReader& reader, What what,
                                              const std::string& operator_id,
                                              const std::string& state) {
  switch (what) {
    case What::kTimers:
      return reader.Timers(operator_id);
    case What::kKeys:
      return reader.Keys(operator_id);
    case What::kState:
      break;
  }
  return reader.Rows(operator_id, state);
}

void StopAtSignals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

/// Reads the batches of a StoredState once. Threading: owned by whoever iterates; without the GIL
/// while it reads.
class StoredStateBatches {
 public:
  StoredStateBatches(std::shared_ptr<const StateColumns> columns,
                     std::unique_ptr<StateCursor> cursor)
      : columns_(std::move(columns)), cursor_(std::move(cursor)) {
    builder_ = ValueOrThrow(StateColumns::Builder::Make(columns_.get()));
  }

  /// The next batch, or None.
  py::object Next() {
    while (!ended_ && builder_->rows() < kBatchRows && builder_->size_bytes() < kBatchBytes) {
      StopAtSignals();
      const Result<bool> more = WithoutGil([this]() -> Result<bool> {
        HR_ASSIGN_OR_RETURN(const bool some, cursor_->Next(&rows_));
        for (const StateRow& row : rows_) HR_RETURN_IF_ERROR(builder_->Append(row));
        return some;
      });
      ended_ = !ValueOrThrow(more);
    }
    if (builder_->rows() == 0) return py::none();
    return py::cast(ArrowBatch(builder_->Finish()));
  }

 private:
  std::shared_ptr<const StateColumns> columns_;
  std::unique_ptr<StateCursor> cursor_;
  std::unique_ptr<StateColumns::Builder> builder_;
  std::vector<StateRow> rows_;
  bool ended_ = false;
};

/// `_core.StoredState`: one state of a checkpoint, with the types of its columns.
class StoredState {
 public:
  StoredState(ReaderPtr reader, What what, std::string operator_id, std::string state,
              bool allow_pickle)
      : reader_(std::move(reader)),
        what_(what),
        operator_id_(std::move(operator_id)),
        state_(std::move(state)) {
    columns_ = Made(allow_pickle);
    Learn();
  }

  const StateColumns& columns() const { return *columns_; }
  std::unique_ptr<StoredStateBatches> Batches() const {
    return std::make_unique<StoredStateBatches>(
        columns_, ValueOrThrow(CursorOf(*reader_, what_, operator_id_, state_)));
  }

 private:
  std::shared_ptr<StateColumns> Made(bool allow_pickle) {
    if (what_ == What::kTimers) return std::make_shared<StateColumns>(StateForm::kTimers);
    if (what_ == What::kKeys) return std::make_shared<StateColumns>(StateForm::kKeys);
    const StateReader::State state = ValueOrThrow(reader_->Describe(operator_id_, state_));
    by_key_ = state.by_key;
    StateColumns::Unpickle unpickle;
    if (allow_pickle) unpickle = &Unpickled;
    return std::make_shared<StateColumns>(state, std::move(unpickle));
  }

  void Learn() {
    // Of values in native tables only the keys are unknown; slices have keys of their own.
    const bool keys_tell =
        columns_->form() == StateForm::kValue && columns_->knows_values() && !by_key_;
    const What what = keys_tell ? What::kKeys : what_;
    auto cursor = ValueOrThrow(CursorOf(*reader_, what, operator_id_, state_));
    std::vector<StateRow> rows;
    for (bool more = true; more;) {
      StopAtSignals();
      more = ValueOrThrow(WithoutGil([&]() -> Result<bool> {
        HR_ASSIGN_OR_RETURN(const bool some, cursor->Next(&rows));
        for (StateRow& row : rows) HR_RETURN_IF_ERROR(columns_->Learn(row));
        return some;
      }));
    }
    const Status finished = columns_->FinishLearning();
    if (!finished.ok()) {
      ThrowStatus(
          finished.WithContext("state '" + state_ + "' of operator '" + operator_id_ + "'"));
    }
  }

  ReaderPtr reader_;
  const What what_;
  const std::string operator_id_;
  const std::string state_;
  bool by_key_ = false;
  std::shared_ptr<StateColumns> columns_;
};

const char* RedistributionName(Redistribution redistribution) {
  switch (redistribution) {
    case Redistribution::kSplit:
      return "split";
    case Redistribution::kUnion:
      return "union";
    case Redistribution::kCopy:
      return "copy";
  }
  return "split";
}

/// Items of the lists of an operator state: (subtask, list, redistribution, encoded items).
py::list OperatorLists(const OperatorManifest& op) {
  py::list out;
  for (const SubtaskManifest& subtask : op.subtasks) {
    if (subtask.operator_state.empty()) continue;
    const OperatorState state = ValueOrThrow(OperatorState::Decode(subtask.operator_state));
    for (const auto& [name, list] : state.lists()) {
      py::list items;
      for (const std::string& item : list.items) items.append(py::bytes(item));
      out.append(
          py::make_tuple(subtask.index, name, RedistributionName(list.redistribution), items));
    }
  }
  return out;
}

py::list PendingRenames(const Manifest& manifest) {
  py::list out;
  for (const PendingRename& rename : manifest.renames) {
    py::dict item;
    item["temporary_path"] = rename.temporary_path;
    item["final_path"] = rename.final_path;
    item["size_bytes"] = rename.size_bytes;
    out.append(std::move(item));
  }
  return out;
}

const OperatorManifest& FindOperator(const StateReader& reader, const std::string& id) {
  const OperatorManifest* op = reader.manifest().Find(id);
  if (op == nullptr) {
    ThrowStatus(Status::NotFound("checkpoint " + std::to_string(reader.manifest().id) +
                                 " has no operator '" + id + "'"));
  }
  return *op;
}

PyRef BoxFixed(const DataTypePtr& type, std::string_view bytes) {
  const auto read = [&](auto number) {
    std::memcpy(&number, bytes.data(), sizeof(number));
    return number;
  };
  switch (type->kind()) {
    case TypeKind::kFloat32:
      return PyRef::Steal(PyFloat_FromDouble(read(float{})));
    case TypeKind::kFloat64:
      return PyRef::Steal(PyFloat_FromDouble(read(double{})));
    case TypeKind::kInt64:
      return PyRef::Steal(PyLong_FromLongLong(read(int64_t{})));
    case TypeKind::kBool:
      return PyRef::Steal(PyBool_FromLong(read(int8_t{})));
    case TypeKind::kInt8:
      return PyRef::Steal(PyLong_FromLong(read(int8_t{})));
    default:
      return PyRef::Steal(PyLong_FromLong(read(int32_t{})));
  }
}

/// What a key has in a state: its form, and a list of (window or None, sub-key, value) in order of
/// windows and sub-keys. A value of a fixed-width table is the number, any other its encoding. Of
/// built-in aggregates, instead of the list, a batch with a row for each slice.
py::object LookUp(const ReaderPtr& reader, const std::string& operator_id,
                  const std::string& state_name, const py::object& key) {
  ByteWriter encoded;
  ThrowIfError(EncodePythonKey(key.ptr(), &encoded));
  const std::string wanted = encoded.Take();
  const StateReader::State state = ValueOrThrow(reader->Describe(operator_id, state_name));
  const int groups = FindOperator(*reader, operator_id).max_parallelism;
  StateColumns columns(state, nullptr);
  struct Found {
    std::string ns, sub_key, value;
    StateRow row;
  };
  std::list<Found> found;
  auto cursor =
      ValueOrThrow(reader->RowsOfSubtask(operator_id, state_name, KeyGroupOf(wanted, groups)));
  std::vector<StateRow> rows;
  for (bool more = true; more;) {
    StopAtSignals();
    more = ValueOrThrow(WithoutGil([&]() -> Result<bool> {
      HR_ASSIGN_OR_RETURN(const bool some, cursor->Next(&rows));
      for (const StateRow& row : rows) {
        if (row.key != wanted) continue;
        Found& one = found.emplace_back(
            Found{std::string(row.ns), std::string(row.sub_key), std::string(row.value), row});
        one.row.key = wanted;
        one.row.ns = one.ns;
        one.row.sub_key = one.sub_key;
        one.row.value = one.value;
        HR_RETURN_IF_ERROR(columns.Learn(one.row));
      }
      return some;
    }));
  }
  found.sort([](const Found& a, const Found& b) {
    return std::tie(a.ns, a.sub_key, a.row.time) < std::tie(b.ns, b.sub_key, b.row.time);
  });
  if (columns.form() == StateForm::kAggregates) {
    ThrowIfError(columns.FinishLearning());
    const auto builder = ValueOrThrow(StateColumns::Builder::Make(&columns));
    for (const Found& one : found) ThrowIfError(builder->Append(one.row));
    return py::make_tuple(StateFormName(columns.form()), ArrowBatch(builder->Finish()));
  }
  py::list out;
  for (const Found& one : found) {
    py::object window = py::none();
    if (const auto decoded = DecodeWindow(one.ns); decoded.ok()) {
      window = py::make_tuple(decoded->start, decoded->end);
    } else if (!one.ns.empty()) {
      window = py::bytes(one.ns);
    }
    py::object value =
        columns.fixed_type()
            ? py::reinterpret_steal<py::object>(BoxFixed(columns.fixed_type(), one.value).Release())
            : py::object(py::bytes(ValueOrThrow(columns.WithoutTimes(one.value))));
    out.append(py::make_tuple(window, py::bytes(one.sub_key), value));
  }
  return py::make_tuple(StateFormName(columns.form()), out);
}

/// Leaves the Python error set.
Status PollSignals() {
  GilScope gil;
  return PyErr_CheckSignals() == 0 ? Status::Ok() : Status::Cancelled("interrupted");
}

int64_t KeysOf(const ReaderPtr& reader, const std::string& operator_id) {
  int64_t keys = 0;
  if (!reader) return keys;
  for (const StateRegistration& state : FindOperator(*reader, operator_id).registry) {
    keys = std::max(keys, state.rows);
  }
  return keys;
}

RecordBatch ChangesBatch(const std::vector<KeyChange>& changes) {
  ValueShape shape(/*distinct_numbers=*/true);
  for (const KeyChange& change : changes) {
    ByteReader in(change.key);
    ThrowIfError(shape.Add(&in));
  }
  shape.Finish();
  auto schema = std::make_shared<const Schema>(
      RecordShape::kRow, std::vector<Field>{{"key", shape.type(), true},
                                            {"change", StringType(), false},
                                            {"bytes_before", Int64Type(), false},
                                            {"bytes_after", Int64Type(), false}});
  std::vector<std::unique_ptr<ColumnBuilder>> columns;
  for (const Field& field : schema->fields()) {
    columns.push_back(ValueOrThrow(ColumnBuilder::Make(field.type)));
  }
  constexpr const char* kKinds[] = {"added", "changed", "removed"};
  for (const KeyChange& change : changes) {
    ByteReader in(change.key);
    ThrowIfError(shape.Append(&in, columns[0].get()));
    columns[1]->AppendString(kKinds[static_cast<size_t>(change.kind)]);
    columns[2]->AppendInt(static_cast<int64_t>(change.bytes_before));
    columns[3]->AppendInt(static_cast<int64_t>(change.bytes_after));
  }
  RecordBatch batch;
  batch.schema = schema;
  batch.num_rows = static_cast<int64_t>(changes.size());
  for (const auto& column : columns) batch.columns.push_back(column->Finish());
  return batch;
}

/// The difference of one state; either side may be None.
py::dict DiffState(const ReaderPtr& before, const ReaderPtr& after, const std::string& operator_id,
                   const std::string& state, int64_t keys_at_a_time) {
  const auto cursor_of = [&](const ReaderPtr& reader) -> StateComparison::MakeCursor {
    if (!reader) return nullptr;
    return [reader, operator_id, state] { return reader->Rows(operator_id, state); };
  };
  const int64_t keys = std::max(KeysOf(before, operator_id), KeysOf(after, operator_id));
  auto compared = WithoutGil([&] {
    return StateComparison::Run(cursor_of(before), cursor_of(after), keys, &PollSignals,
                                keys_at_a_time);
  });
  if (PyErr_Occurred()) throw py::error_already_set();
  const StateDifference difference = ValueOrThrow(std::move(compared));
  py::dict out;
  out["keys_added"] = difference.keys_added;
  out["keys_changed"] = difference.keys_changed;
  out["keys_removed"] = difference.keys_removed;
  out["keys_unchanged"] = difference.keys_unchanged;
  out["bytes_before"] = difference.bytes_before;
  out["bytes_after"] = difference.bytes_after;
  out["changes"] = ArrowBatch(ChangesBatch(difference.changes));
  return out;
}

py::dict ReportDict(const DirectoryReport& report) {
  py::dict out;
  out["files"] = report.files;
  out["bytes_on_disk"] = report.bytes_on_disk;
  out["bytes_read"] = report.bytes_read;
  py::list damage;
  for (const Damage& one : report.damage) {
    damage.append(py::make_tuple(one.path, one.offset, one.what));
  }
  out["damage"] = damage;
  py::list checkpoints;
  for (const CheckedCheckpoint& one : report.checkpoints) {
    checkpoints.append(py::make_tuple(one.manifest_path, one.id, one.whole));
  }
  out["checkpoints"] = checkpoints;
  out["unreferenced"] = report.unreferenced;
  const CheckedCheckpoint* newest = report.newest_whole();
  out["newest_whole"] = newest ? py::object(py::str(newest->manifest_path)) : py::none();
  return out;
}

}  // namespace

void BindCheckpointReader(py::module_& module) {
  py::class_<StoredStateBatches>(module, "StoredStateBatches")
      .def("__iter__", [](py::object self) { return self; })
      .def("__next__", [](StoredStateBatches& self) {
        py::object batch = self.Next();
        if (batch.is_none()) throw py::stop_iteration();
        return batch;
      });

  py::class_<StoredState>(module, "StoredState")
      .def_property_readonly(
          "form", [](const StoredState& self) { return StateFormName(self.columns().form()); })
      .def_property_readonly("descriptions",
                             [](const StoredState& self) {
                               py::dict out;
                               for (const auto& [name, text] : self.columns().descriptions()) {
                                 out[py::str(name)] = text;
                               }
                               return out;
                             })
      .def("batches", &StoredState::Batches)
      .def("__arrow_c_schema__",
           [](const StoredState& self) { return ExportSchemaCapsule(*self.columns().schema()); });

  py::class_<StateReader, std::shared_ptr<StateReader>>(module, "CheckpointReader")
      .def(py::init([](const std::string& path) {
        return std::shared_ptr<StateReader>(
            ValueOrThrow(WithoutGil([&] { return StateReader::Open(&RealEnv(), path); })));
      }))
      .def_property_readonly("directory", &StateReader::directory)
      .def("manifest", [](const StateReader& self) { return ManifestDict(self.manifest()); })
      .def("pending_renames",
           [](const StateReader& self) { return PendingRenames(self.manifest()); })
      .def("operator_lists",
           [](const StateReader& self, const std::string& operator_id) {
             return OperatorLists(FindOperator(self, operator_id));
           })
      .def("operator_items",
           [](const StateReader& self, const std::string& operator_id, const std::string& name) {
             OperatorItems items =
                 ValueOrThrow(ReadOperatorItems(FindOperator(self, operator_id), name));
             return py::make_tuple(items.broadcast ? "broadcast" : "operator list",
                                   items.descriptions, ArrowBatch(std::move(items.batch)));
           })
      .def(
          "state",
          [](ReaderPtr self, const std::string& operator_id, const std::string& state,
             bool allow_pickle) {
            return std::make_unique<StoredState>(std::move(self), What::kState, operator_id, state,
                                                 allow_pickle);
          },
          py::arg("operator_id"), py::arg("state"), py::arg("allow_pickle") = false)
      .def("look_up", &LookUp)
      .def("timers",
           [](ReaderPtr self, const std::string& operator_id) {
             return std::make_unique<StoredState>(std::move(self), What::kTimers, operator_id, "",
                                                  false);
           })
      .def("keys", [](ReaderPtr self, const std::string& operator_id) {
        return std::make_unique<StoredState>(std::move(self), What::kKeys, operator_id, "", false);
      });
  module.def("diff_state", &DiffState, py::arg("before"), py::arg("after"), py::arg("operator_id"),
             py::arg("state"), py::arg("keys_at_a_time") = StateComparison::kKeysAtATime);
  module.def("verify_stored", [](const std::string& path) {
    return ReportDict(
        ValueOrThrow(WithoutGil([&] { return VerifyStored(RealEnv().files(), path); })));
  });
  module.def("decode_values", [](const py::bytes& encoded) {
    py::list out;
    for (ByteReader in{std::string_view(encoded)}; !in.done();) {
      out.append(py::reinterpret_steal<py::object>(ValueOrThrow(DecodePython(&in)).Release()));
    }
    return out;
  });
  module.def("describe_value",
             [](const py::bytes& encoded) { return DescribeValue(std::string_view(encoded)); });
}

}  // namespace headrace::bindings
