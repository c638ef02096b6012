#include "headrace/base/planted_bug.h"

#ifdef HEADRACE_PLANTED_BUGS

#include <cstdlib>
#include <string>
#include <string_view>

#include "headrace/base/check.h"

namespace headrace {

namespace {

// In the order of PlantedBug.
constexpr std::string_view kNames[] = {
    "no_directory_sync",
    "row_after_barrier",
    "buffer_dropped_at_barrier",
    "wrong_key_group",
    "referenced_file_deleted",
    "equal_timer_lost",
    "sink_before_manifest",
    "offset_late",
    "length_only_checksum",
    "sync_retried",
    "key_id_reused",
    "tombstone_omitted",
    "published_undecided",
    "watermarks_forgotten",
};
constexpr int kNone = -1;

int SwitchedOn() {
  const char* name = std::getenv("HEADRACE_PLANTED_BUG");
  if (name == nullptr || *name == '\0') return kNone;
  int index = 0;
  for (const std::string_view known : kNames) {
    if (known == name) return index;
    ++index;
  }
  CheckFailed(__FILE__, __LINE__, "HEADRACE_PLANTED_BUG names no bug: " + std::string(name));
}

}  // namespace

bool Planted(PlantedBug bug) {
  static const int switched_on = SwitchedOn();
  return static_cast<int>(bug) == switched_on;
}

}  // namespace headrace

#endif
