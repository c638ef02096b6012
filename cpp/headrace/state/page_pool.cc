#include "headrace/state/page_pool.h"

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>

#include "headrace/base/check.h"
#include "headrace/base/spinning_mutex.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kPooledBytesMax = 8192;
constexpr size_t kSlabPages = 16;

struct FreePage {
  FreePage* next;
};

// One free list for each size, in steps of the alignment. Tables come in few row widths, so few are
// in use.
struct FreeLists {
  SpinningMutex mutex;
  std::array<FreePage*, kPooledBytesMax / kAlignment + 1> heads{};
};

FreeLists& Lists() {
  // Leaked on purpose: tables of detached threads may outlive static destructors.
  static auto* lists = new FreeLists();
  return *lists;
}

size_t RoundUp(size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

char* AllocateAligned(size_t size_bytes) {
  void* memory = std::aligned_alloc(kAlignment, size_bytes);
  HR_CHECK(memory != nullptr);
  return static_cast<char*>(memory);
}

}  // namespace

PagePool& PagePool::Global() {
  static PagePool pool;
  return pool;
}

void* PagePool::Allocate(size_t size_bytes) {
  const size_t size = RoundUp(size_bytes);
  if (size > kPooledBytesMax) return AllocateAligned(size);
  FreeLists& lists = Lists();
  const std::lock_guard lock(lists.mutex);
  FreePage*& head = lists.heads[size / kAlignment];
  if (head == nullptr) {
    char* slab = AllocateAligned(size * kSlabPages);
    for (size_t i = kSlabPages; i-- > 0;) {
      auto* page = reinterpret_cast<FreePage*>(slab + i * size);
      page->next = head;
      head = page;
    }
  }
  FreePage* page = head;
  head = page->next;
  __builtin_prefetch(head, /*rw=*/1);  // the next call reads it
  return page;
}

void PagePool::Free(void* memory, size_t size_bytes) {
  const size_t size = RoundUp(size_bytes);
  if (size > kPooledBytesMax) {
    std::free(memory);
    return;
  }
  FreeLists& lists = Lists();
  const std::lock_guard lock(lists.mutex);
  auto* page = static_cast<FreePage*>(memory);
  page->next = lists.heads[size / kAlignment];
  lists.heads[size / kAlignment] = page;
}

}  // namespace headrace
