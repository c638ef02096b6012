#include "bindings/state_store.h"

#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bindings/cold_store_factory.h"
#include "bindings/errors.h"
#include "bindings/keyed_value.h"
#include "bindings/value_encoder.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/metrics/task_metrics.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// One subtask's keyed state as a job of this backend would hold it, used by hand.
/// Threading: holds the GIL in every call.
class StateStore {
 public:
  StateStore(std::string backend, std::string directory, int64_t memory_budget_bytes)
      : backend_(std::move(backend)),
        directory_(std::move(directory)),
        budget_(memory_budget_bytes) {
    ThrowIfError(Open(kDefaultMaxParallelism));
  }
  ~StateStore() { Close(); }

  void Create(const std::string& name, const py::object& type_info) {
    CheckOpen();
    const StateType type = ValueOrThrow(StateTypeOf(type_info.ptr()));
    values_[name] =
        ValueOrThrow(KeyedValue::Register(scope_.get(), name, "value<" + type.Name() + ">", type));
  }

  py::object Query(const std::string& name, const py::object& key) {
    const KeyedValue& value = Find(name);
    const KeyId id = IdOf(key);
    py::object found = py::reinterpret_steal<py::object>(value.Get(id));
    if (!found && PyErr_Occurred()) throw py::error_already_set();
    AfterCall();
    return found ? found : py::none();
  }

  void Update(const std::string& name, const py::object& key, const py::object& value) {
    const KeyedValue& state = Find(name);
    const KeyId id = IdOf(key);
    if (value.is_none()) {
      state.Clear(id);
    } else if (!state.Set(id, value.ptr())) {
      throw py::error_already_set();
    }
    AfterCall();
  }

  // Keyed state of one operator of a checkpoint, whatever its parallelism was.
  void Restore(const std::string& path, const std::string& uid) {
    CheckOpen();
    std::string directory;
    Manifest manifest = ValueOrThrow(LoadManifest(RealEnv().files(), path, &directory));
    const OperatorManifest* op = manifest.Find(uid);
    if (op == nullptr || !op->keyed) {
      ThrowStatus(
          Status::InvalidArgument("checkpoint " + path + " holds no keyed operator '" + uid + "'"));
    }
    if (!values_.empty()) {
      ThrowStatus(Status::FailedPrecondition(
          "a state was created before restore(); restore first, then create what it is to be used "
          "as"));
    }
    const RestoreTarget target{uid,   op->name, op->kind,           /*keyed=*/true,
                               false, 1,        op->max_parallelism};
    Close();
    ThrowIfError(Open(target.max_parallelism));
    const auto plan = ValueOrThrow(RestorePlan::Make(&RealEnv(), std::move(manifest),
                                                     std::move(directory), {target},
                                                     /*allow_dropped=*/true));
    ThrowIfError(keyed_->Restore(ValueOrThrow(plan->KeyedStateFor(uid, 0, 1))));
    AfterCall();
  }

  std::map<std::string, int64_t> Statistics() {
    CheckOpen();
    std::map<std::string, int64_t> numbers = keyed_->ColdStatistics();
    numbers["memory_bytes"] = keyed_->memory_bytes();
    return numbers;
  }

  void Close() {
    values_.clear();
    if (scope_) scope_->Close();
    scope_.reset();
    keyed_.reset();
  }

 private:
  Status Open(int max_parallelism) {
    std::unique_ptr<ColdStore> cold;
    if (const auto factory = ColdStoresOf(backend_)) {
      ColdStoreOptions options;
      options.directory = directory_ + "/store";
      options.memory_bytes = budget_ / KeyedState::kColdStoreShare;
      HR_ASSIGN_OR_RETURN(cold, factory->Open(&RealEnv(), options));
    }
    keyed_ = std::make_unique<KeyedState>(KeyGroupRange{0, max_parallelism - 1}, max_parallelism,
                                          budget_, std::move(cold));
    OperatorContext context;
    context.name = "state store";
    context.max_parallelism = max_parallelism;
    context.env = &RealEnv();
    context.keyed_state = keyed_.get();
    context.metrics = &metrics_;
    scope_ = std::make_shared<TaskScope>(context);
    keyed_->SetWriteBack([this] { return scope_->Flush(); });
    return Status::Ok();
  }

  void CheckOpen() const {
    if (keyed_) return;
    ThrowStatus(Status::FailedPrecondition("the state store is closed"));
  }

  const KeyedValue& Find(const std::string& name) {
    CheckOpen();
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    ThrowStatus(Status::InvalidArgument("there is no state '" + name + "'; create() it first"));
  }

  KeyId IdOf(const py::object& key) {
    ByteWriter canonical;
    ThrowIfError(EncodePythonKey(key.ptr(), &canonical));
    return keyed_->keys().LookupOrInsertEncoded(canonical.view());
  }

  void AfterCall() {
    ThrowIfError(keyed_->cold_status());
    keyed_->Maintain();
    ThrowIfError(keyed_->CheckBudget());
  }

  const std::string backend_;
  const std::string directory_;
  const int64_t budget_;
  TaskMetrics metrics_;
  std::unique_ptr<KeyedState> keyed_;
  TaskScopePtr scope_;
  std::map<std::string, KeyedValue> values_;
};

}  // namespace

void BindStateStore(py::module_& module) {
  py::class_<StateStore>(module, "StateStore")
      .def(py::init<std::string, std::string, int64_t>(), py::arg("backend"), py::arg("directory"),
           py::arg("memory_budget_bytes"))
      .def("create", &StateStore::Create, py::arg("name"), py::arg("type_info"))
      .def("query", &StateStore::Query, py::arg("name"), py::arg("key"))
      .def("update", &StateStore::Update, py::arg("name"), py::arg("key"), py::arg("value"))
      .def("restore", &StateStore::Restore, py::arg("path"), py::arg("uid"))
      .def("statistics", &StateStore::Statistics)
      .def("close", &StateStore::Close);
}

}  // namespace headrace::bindings
