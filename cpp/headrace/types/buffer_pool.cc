#include "headrace/types/buffer_pool.h"

#include <bit>
#include <new>

#include "headrace/base/address_sanitizer.h"
#include "headrace/base/check.h"
#include "headrace/types/column.h"

namespace headrace {
namespace {

void* FromSystem(size_t size_bytes) {
  void* block = ::operator new(size_bytes, std::align_val_t{BufferPool::kAlignment}, std::nothrow);
  HR_CHECK(block != nullptr);
  return block;
}

void ToSystem(void* block, size_t size_bytes) {
  HR_UNPOISON_MEMORY(block, size_bytes);
  ::operator delete(block, std::align_val_t{BufferPool::kAlignment});
}

struct FreeToPool {
  size_t size_bytes;
  void operator()(const void* block) const {
    BufferPool::Shared().Free(const_cast<void*>(block), size_bytes);
  }
};

}  // namespace

// Class 2k holds 64 << k bytes, class 2k + 1 holds 96 << k; the odd ones are used from 192 bytes on
// so that every size is a multiple of 64.
size_t BufferPool::ClassBytes(int size_class) {
  const int shift = size_class / 2;
  return (size_class % 2 == 0 ? size_t{64} : size_t{96}) << shift;
}

int BufferPool::ClassOf(size_t size_bytes) {
  if (size_bytes <= 64) return 0;
  const int shift = std::bit_width(size_bytes - 1) - 6;  // 64 << shift is the next power of two
  const int below = 2 * (shift - 1) + 1;                 // 1.5 times the power of two below
  if (below > 1 && size_bytes <= ClassBytes(below)) return below;
  return 2 * shift;
}

size_t BufferPool::CapacityOf(size_t size_bytes) {
  if (size_bytes > kPooledBytesMax) return (size_bytes + kAlignment - 1) & ~(kAlignment - 1);
  return ClassBytes(ClassOf(size_bytes));
}

BufferPool& BufferPool::Shared() {
  static BufferPool* const pool = new BufferPool;
  return *pool;
}

BufferPool::~BufferPool() {
  for (int i = 0; i < kClasses; ++i) {
    for (void* block : classes_[i].idle) ToSystem(block, ClassBytes(i));
  }
}

void* BufferPool::Allocate(size_t size_bytes) {
  if (size_bytes > kPooledBytesMax) return FromSystem(CapacityOf(size_bytes));
  const int index = ClassOf(size_bytes);
  const size_t capacity = ClassBytes(index);
  {
    std::lock_guard<std::mutex> lock(classes_[index].mutex);
    auto& idle = classes_[index].idle;
    if (!idle.empty()) {
      void* block = idle.back();
      idle.pop_back();
      idle_bytes_.fetch_sub(capacity, std::memory_order_relaxed);
      HR_UNPOISON_MEMORY(block, capacity);
      return block;
    }
  }
  return FromSystem(capacity);
}

void BufferPool::Free(void* block, size_t size_bytes) {
  const size_t capacity = CapacityOf(size_bytes);
  if (size_bytes > kPooledBytesMax) return ToSystem(block, capacity);
  if (idle_bytes_.fetch_add(capacity, std::memory_order_relaxed) + capacity > idle_bytes_max_) {
    idle_bytes_.fetch_sub(capacity, std::memory_order_relaxed);
    return ToSystem(block, capacity);
  }
  HR_POISON_MEMORY(block, capacity);
  const int index = ClassOf(size_bytes);
  std::lock_guard<std::mutex> lock(classes_[index].mutex);
  classes_[index].idle.push_back(block);
}

std::shared_ptr<Buffer> Buffer::Allocate(size_t size_bytes) {
  void* block = BufferPool::Shared().Allocate(size_bytes);
  return std::make_shared<Buffer>(block, size_bytes,
                                  std::shared_ptr<const void>(block, FreeToPool{size_bytes}));
}

}  // namespace headrace
