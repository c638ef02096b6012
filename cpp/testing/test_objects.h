#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/types/object_block.h"

namespace headrace {

/// Opaque values for tests without Python: None, ints and strings on the heap.
///
/// Stands in for the bindings: every call but Drop() aborts unless the calling thread holds the
/// pretended host lock (HostLock), and live values are counted, so a test that ends with live() ==
/// 0 leaked nothing. A Drop() without the lock queues; the next HostLock of any thread, or Drain(),
/// destroys what is queued.
/// Threading: thread-safe as ObjectHooks asks; the queue is guarded by `mutex_`.
class TestObjects : public ObjectHooks {
 public:
  TestObjects() = default;
  /// Destroys what is queued. REQUIRES: no value is alive after that.
  ~TestObjects() override;

  /// Holds the pretended host lock on this thread for its lifetime; may be nested. One thread at a
  /// time.
  class HostLock {
   public:
    explicit HostLock(TestObjects* objects);
    ~HostLock();
    HostLock(const HostLock&) = delete;
    HostLock& operator=(const HostLock&) = delete;
  };
  /// Whether this thread is inside a HostLock.
  static bool lock_held();

  /// New owned values. REQUIRES: lock held.
  Object None();
  Object Int(int64_t value);
  Object Str(std::string value);
  /// "None", "5" or "'text'". REQUIRES: lock held.
  std::string Text(Object value) const;

  int64_t live() const { return live_.load(); }
  /// Blocks that wait for a lock holder.
  size_t queued() const;
  /// Destroys what Drop() queued. REQUIRES: lock held.
  void Drain();

  void Drop(std::vector<Object> values) override;
  Status EncodeKey(Object value, std::string* out) override;
  Status Encode(Object value, ByteWriter* out) override;
  Result<Object> Decode(std::string_view bytes) override;
  Object Share(Object value) override;
  std::string Describe(Object value) override;

 private:
  struct Value;
  Object New(Value value);
  void Destroy(const std::vector<Object>& values);

  std::atomic<int64_t> live_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::vector<Object>> dropped_;
};

}  // namespace headrace
