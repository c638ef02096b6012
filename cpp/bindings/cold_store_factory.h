#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "headrace/state/cold_store.h"

namespace headrace::bindings {

/// A new factory of RocksDB stores, from the module headrace._rocksdb, which is loaded with
/// librocksdb at the first call. Throws ImportError that says what to install where that fails.
/// REQUIRES: GIL held.
std::shared_ptr<ColdStoreFactory> MakeRocksDbFactory();

/// Stores of the backend of this name ("hashmap", "disk", "rocksdb"): null where all state is in
/// memory. Throws as MakeRocksDbFactory. REQUIRES: GIL held.
std::shared_ptr<ColdStoreFactory> ColdStoresOf(const std::string& backend);

/// Adds probe_rocksdb.
void BindColdStores(pybind11::module_& module);

}  // namespace headrace::bindings
