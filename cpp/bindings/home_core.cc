#include "bindings/home_core.h"

namespace headrace::bindings {

std::atomic<int> HomeCore::core_{-1};

void HomeCore::MoveTo() {
  const int home = core_.load(std::memory_order_relaxed);
  if (home < 0 || home >= CPU_SETSIZE || home == sched_getcpu()) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || !CPU_ISSET(home, &allowed)) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(home, &only);
  if (sched_setaffinity(0, sizeof(only), &only) != 0) return;
  // A thread that could not be given back its cores would be slow, not wrong.
  (void)sched_setaffinity(0, sizeof(allowed), &allowed);
}

}  // namespace headrace::bindings
