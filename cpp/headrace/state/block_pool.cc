#include "headrace/state/block_pool.h"

#include <cstdlib>
#include <utility>

#include "headrace/base/address_sanitizer.h"
#include "headrace/base/check.h"
#include "headrace/state/page_pool.h"

namespace headrace {
namespace {

// Enough to keep up where each Allocate comes with one block given up.
constexpr int kLargeFreedEachTime = 2;

}  // namespace

BlockPool::~BlockPool() {
  while (pages_ != nullptr) {
    Block* page = std::exchange(pages_, pages_->next);
    HR_UNPOISON_MEMORY(page, kPageBytes);
    PagePool::Global().Free(page, kPageBytes);
  }
  for (void* block : large_) std::free(block);
}

void BlockPool::List::Push(Block* block) {
  if (first == nullptr) last = block;
  block->next = first;
  first = block;
}

BlockPool::Block* BlockPool::List::Pop() {
  Block* block = first;
  first = block->next;
  // Blocks given up long ago are in no cache; the next Pop will read this one.
  __builtin_prefetch(first, /*rw=*/1);
  return block;
}

void BlockPool::List::TakeAll(List* other) {
  if (other->first == nullptr) return;
  other->last->next = first;
  if (first == nullptr) last = other->last;
  first = std::exchange(other->first, nullptr);
}

void* BlockPool::Allocate(size_t size_bytes) {
  if (free_large_.first != nullptr) FreeLarge(kLargeFreedEachTime);
  if (size_bytes > kPooledBytes) {
    void* block = std::malloc(size_bytes);
    HR_CHECK(block != nullptr);
    large_.insert(block);
    return block;
  }
  List& list = free_[SizeIndex(size_bytes)];
  const auto block_bytes = static_cast<size_t>(BlockBytes(size_bytes));
  if (list.first == nullptr) return Cut(block_bytes);
  Block* block = list.Pop();
  HR_UNPOISON_MEMORY(block, block_bytes);
  return block;
}

void* BlockPool::Cut(size_t size_bytes) {
  if (uncut_bytes_ < size_bytes) {
    char* page = static_cast<char*>(PagePool::Global().Allocate(kPageBytes));
    auto* header = reinterpret_cast<Block*>(page);
    header->next = pages_;
    pages_ = header;
    uncut_ = page + kStep;
    uncut_bytes_ = kPageBytes - kStep;
  }
  uncut_bytes_ -= size_bytes;
  return std::exchange(uncut_, uncut_ + size_bytes);
}

void BlockPool::Free(void* block, size_t size_bytes) {
  if (size_bytes <= kPooledBytes) {
    free_[SizeIndex(size_bytes)].Push(static_cast<Block*>(block));
    HR_POISON_MEMORY(static_cast<Block*>(block) + 1,
                     static_cast<size_t>(BlockBytes(size_bytes)) - sizeof(Block));
  } else {
    large_.erase(block);
    std::free(block);
  }
}

void BlockPool::Hold(void* block, size_t size_bytes) {
  List& list = size_bytes <= kPooledBytes ? held_[SizeIndex(size_bytes)] : held_large_;
  list.Push(static_cast<Block*>(block));
  held_bytes_ += BlockBytes(size_bytes);
}

void BlockPool::FreeHeld() {
  for (size_t i = 0; i < kSizes; ++i) free_[i].TakeAll(&held_[i]);
  free_large_.TakeAll(&held_large_);
  held_bytes_ = 0;
}

void BlockPool::FreeLarge(int at_most) {
  for (; at_most > 0 && free_large_.first != nullptr; --at_most) {
    Block* block = free_large_.Pop();
    large_.erase(block);
    std::free(block);
  }
}

}  // namespace headrace
