#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace headrace {

/// Recycles the memory of batches: a freed block waits in the list of its size class for the next
/// batch.
///
/// Pages that were touched once stay: a fresh page costs a fault at its first byte, which for a
/// batch of a few thousand rows is dearer than filling it. Size classes are 2^n and 1.5 * 2^n bytes
/// from 64 B to 16 MiB; larger blocks go straight to and from the operating system, as do freed
/// ones once `idle_bytes_max` lie unused. All blocks are 64-byte aligned and their sizes multiples
/// of 64, so kernels may read to the end of a cache line.
/// Threading: thread-safe; each size class is guarded by its own mutex.
class BufferPool {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kPooledBytesMax = size_t{16} << 20;
  static constexpr size_t kIdleBytesMax = size_t{256} << 20;

  explicit BufferPool(size_t idle_bytes_max = kIdleBytesMax) : idle_bytes_max_(idle_bytes_max) {}
  /// REQUIRES: every block was freed.
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// The pool of the process; never destroyed, since batches may outlive static destruction.
  static BufferPool& Shared();

  /// At least `size_bytes` uninitialised bytes; never null. Aborts the process when memory is
  /// exhausted.
  void* Allocate(size_t size_bytes);
  /// Takes back what Allocate gave for the same `size_bytes`.
  void Free(void* block, size_t size_bytes);

  /// Bytes that lie unused in the lists.
  size_t idle_bytes() const { return idle_bytes_.load(std::memory_order_relaxed); }

  /// What a request for `size_bytes` really takes.
  static size_t CapacityOf(size_t size_bytes);

 private:
  static constexpr int kClasses = 37;
  static int ClassOf(size_t size_bytes);
  static size_t ClassBytes(int size_class);

  struct SizeClass {
    std::mutex mutex;
    std::vector<void*> idle;
  };
  const size_t idle_bytes_max_;
  std::atomic<size_t> idle_bytes_ = 0;
  SizeClass classes_[kClasses];
};

}  // namespace headrace
