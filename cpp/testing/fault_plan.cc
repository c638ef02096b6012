#include "testing/fault_plan.h"

namespace headrace {

namespace {

constexpr std::array<std::string_view, kFsCalls> kNames = {
    "fs.create", "fs.open",           "fs.append", "fs.sync", "fs.close", "fs.read", "fs.rename",
    "fs.remove", "fs.sync_directory", "fs.mkdir",  "fs.list", "fs.stat",  "fs.lock",
};

}  // namespace

std::string_view FsCallName(FsCall call) { return kNames[static_cast<size_t>(call)]; }

FaultPlan FaultPlan::Uniform(double probability) {
  FaultPlan plan;
  for (FaultOdds& odds : plan.odds) {
    odds.slow = odds.io_error = odds.no_space = odds.short_write = probability;
  }
  return plan;
}

}  // namespace headrace
