#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_set>

namespace headrace {

/// Memory for the rows of one table whose size varies: blocks in steps of 16 bytes, cut from pages
/// of the PagePool.
///
/// The general allocator is not used because rows are given up by the million when a snapshot ends:
/// freeing them all at once holds its lock and returns memory that the next epoch asks for again.
/// Here all of them come back by joining lists, which run through the blocks' first eight bytes.
/// Blocks over kPooledBytes come from malloc() and are freed a few at a time.
/// Threading: owned by one thread; may be destroyed by another one.
class BlockPool {
 public:
  static constexpr size_t kPooledBytes = 1024;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// What a block of this size takes.
  static int64_t BlockBytes(size_t size_bytes) {
    return static_cast<int64_t>((size_bytes + kStep - 1) / kStep * kStep);
  }
  /// Uninitialised, 16-byte aligned. REQUIRES: size_bytes > 0.
  void* Allocate(size_t size_bytes);
  /// REQUIRES: from Allocate(size_bytes).
  void Free(void* block, size_t size_bytes);
  /// Gives a block up whose content, from its ninth byte on, another thread may read until
  /// FreeHeld().
  /// REQUIRES: from Allocate(size_bytes).
  void Hold(void* block, size_t size_bytes);
  /// Cost: that of the number of sizes, not of blocks.
  void FreeHeld();
  /// Bytes of blocks given up with Hold() and not freed yet.
  int64_t held_bytes() const { return held_bytes_; }

 private:
  static constexpr size_t kStep = 16;
  static constexpr size_t kPageBytes = 8192;
  static constexpr size_t kSizes = kPooledBytes / kStep;

  struct Block {
    Block* next;
  };
  struct List {
    Block* first = nullptr;
    Block* last = nullptr;  // constant garbage while `first` is null

    void Push(Block* block);
    Block* Pop();
    void TakeAll(List* other);
  };

  static size_t SizeIndex(size_t size_bytes) { return (size_bytes + kStep - 1) / kStep - 1; }
  void* Cut(size_t size_bytes);
  void FreeLarge(int at_most);

  std::array<List, kSizes> free_;
  std::array<List, kSizes> held_;
  List free_large_;
  List held_large_;
  int64_t held_bytes_ = 0;
  Block* pages_ = nullptr;
  char* uncut_ = nullptr;  // rest of the newest page
  size_t uncut_bytes_ = 0;
  std::unordered_set<void*> large_;  // all there are, so that the destructor finds them
};

}  // namespace headrace
