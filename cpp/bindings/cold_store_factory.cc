#include "bindings/cold_store_factory.h"

#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bindings/errors.h"
#include "headrace/state/cold_store_module.h"
#include "headrace/state/page_file_store.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

constexpr char kModuleName[] = "headrace._rocksdb";

[[noreturn]] void ThrowImportError(const std::string& why) {
  PyErr_SetString(PyExc_ImportError, why.c_str());
  throw py::error_already_set();
}

py::object ImportModule() {
  try {
    return py::module_::import(kModuleName);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    const std::string why =
        "the RocksDB state backend could not be loaded: " + std::string(py::str(error.value())) +
        "; install librocksdb (on Debian and Ubuntu: apt-get install "
        "librocksdb-dev) or a wheel of headrace, which brings it";
    py::raise_from(error, PyExc_ImportError, why.c_str());
    throw py::error_already_set();
  }
}

Result<std::map<std::string, int64_t>> Probe(ColdStoreFactory* factory,
                                             const ColdStoreOptions& options) {
  HR_ASSIGN_OR_RETURN(const auto store, factory->Open(&RealEnv(), options));
  const ColdWrite write{"key", "value"};
  HR_RETURN_IF_ERROR(store->Apply(std::span(&write, 1)));
  std::vector<std::optional<std::string>> values;
  HR_RETURN_IF_ERROR(store->MultiGet(std::span(&write.key, 1), &values));
  if (values != std::vector{std::optional<std::string>("value")}) {
    return Status::Corruption("the state store in '" + options.directory +
                              "' does not read what was written to it");
  }
  return store->Statistics();
}

/// Writes a row and reads it back in a database in `directory`, which is emptied and deleted: an
/// error is what a job would get. Returns the store's statistics.
std::map<std::string, int64_t> ProbeRocksDb(const std::string& directory, int64_t memory_bytes) {
  const std::shared_ptr<ColdStoreFactory> factory = MakeRocksDbFactory();
  ColdStoreOptions options;
  options.directory = directory;
  options.memory_bytes = memory_bytes;
  return ValueOrThrow([&] {
    const py::gil_scoped_release release;
    return Probe(factory.get(), options);
  }());
}

}  // namespace

std::shared_ptr<ColdStoreFactory> MakeRocksDbFactory() {
  const py::object capsule = ImportModule().attr("cold_store")();
  const auto* found = static_cast<const ColdStoreModule*>(
      PyCapsule_GetPointer(capsule.ptr(), kColdStoreCapsuleName));
  if (found == nullptr) throw py::error_already_set();
  if (found->abi != kColdStoreModuleAbi) {
    ThrowImportError(
        std::string(kModuleName) +
        " is of another build of headrace than headrace._core; install headrace again");
  }
  return found->make_factory();
}

std::shared_ptr<ColdStoreFactory> ColdStoresOf(const std::string& backend) {
  if (backend == "disk") return MakePageFileStoreFactory();
  if (backend == "rocksdb") return MakeRocksDbFactory();
  return nullptr;
}

void BindColdStores(py::module_& module) {
  module.def("probe_rocksdb", &ProbeRocksDb, py::arg("directory"), py::arg("memory_bytes"));
}

}  // namespace headrace::bindings
