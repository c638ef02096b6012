#pragma once

#include <cstdint>
#include <memory>

#include "headrace/state/cold_store.h"

namespace headrace {

/// What a Python module that brings a ColdStore gives to the engine's module, in a capsule: each is
/// linked by itself, so that a library behind one store is loaded only by who uses that store.
///
/// The two modules have copies of their own of everything in base/ and state/. What crosses over is
/// called by virtual functions only, and no global and no type's identity is shared. The module
/// that made an object is never unloaded.
struct ColdStoreModule {
  /// kColdStoreModuleAbi of the module's build; another one is not to be called.
  uint64_t abi = 0;
  std::shared_ptr<ColdStoreFactory> (*make_factory)() = nullptr;
};

/// Of this build: raised with every change of cold_store.h, env.h or status.h.
inline constexpr uint64_t kColdStoreModuleAbi = 1;

/// Name of the capsule. Its pointer lives as long as the process.
inline constexpr char kColdStoreCapsuleName[] = "headrace.ColdStoreModule";

}  // namespace headrace
