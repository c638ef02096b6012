#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "headrace/base/status.h"
#include "headrace/state/cold_store.h"

namespace headrace {

/// Decides about a call before it does anything: "open", "apply", "multi_get", "scan" (also of a
/// view). A failure is returned from the call, which then has no effect.
using ColdStoreFault = std::function<Status(std::string_view call)>;

/// Opens ColdStores that keep their rows in memory: every row in a std::map with the versions that
/// open views still see. For tests and the simulation: same calls, same answers, no file touched.
///
/// `memory_bytes()` of a store is 0 and `disk_bytes()` that of its newest rows, as if a disk held
/// them. Statistics: "rows", "versions" (of all rows, removals included), "views", and the number
/// of calls "applies", "writes", "gets" (keys asked for), "scans".
/// Threading: thread-safe; must outlive its stores.
class MemoryColdStoreFactory final : public ColdStoreFactory {
 public:
  std::string_view name() const override { return "memory"; }
  /// kFailedPrecondition while another store has the directory.
  Result<std::unique_ptr<ColdStore>> Open(Env* env, const ColdStoreOptions& options) override;

  /// Asked from now on, by calls of all stores; empty: none. Not while a call runs.
  void set_fault(ColdStoreFault fault) { fault_ = std::move(fault); }
  /// Stores that were opened and not deleted yet.
  size_t open_stores() const;

 private:
  class Store;
  class View;

  Status Pass(std::string_view call) const { return fault_ ? fault_(call) : Status::Ok(); }
  void Release(const std::string& directory);

  ColdStoreFault fault_;
  mutable std::mutex mutex_;
  std::set<std::string> directories_;  ///< guarded by mutex_
};

}  // namespace headrace
