#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "headrace/state/memory_meter.h"

namespace headrace {

/// Bytes of one key in a KeyArena, constant once written.
struct ArenaKey {
  uint32_t size_bytes;
  uint32_t chunk;  ///< number of the chunk it lives in
  std::string_view bytes() const { return {reinterpret_cast<const char*>(this + 1), size_bytes}; }
};

/// Append-only memory of key bytes in chunks of 512 B to 64 KiB. A chunk is given up when the last
/// of its keys was released, so churning keys do not pile up; a chunk with one long-lived key stays
/// until the next restore, which packs keys anew.
/// Threading: owned by one task thread; a snapshot's thread may read the bytes of keys.
class KeyArena {
 public:
  explicit KeyArena(MemoryMeterPtr meter = nullptr);
  ~KeyArena();
  KeyArena(const KeyArena&) = delete;
  KeyArena& operator=(const KeyArena&) = delete;

  const ArenaKey* Append(std::string_view bytes);
  /// A malloc()ed chunk that nobody needs any more; the caller frees it.
  struct FreedChunk {
    void* memory = nullptr;
    int64_t size_bytes = 0;
  };
  /// Gives up a key. Returns its chunk when that became free, which stays readable until the caller
  /// frees it (it is no longer counted here).
  FreedChunk Release(const ArenaKey* key);

  int64_t memory_bytes() const { return memory_bytes_; }

 private:
  struct Chunk {
    char* memory = nullptr;
    uint32_t size_bytes = 0;
    uint32_t used_bytes = 0;
    uint32_t live_keys = 0;
  };
  void Charge(int64_t bytes);

  MemoryMeterPtr meter_;
  std::vector<Chunk> chunks_;
  std::vector<uint32_t> free_numbers_;  // of chunks given up
  uint32_t current_ = 0;
  uint32_t next_chunk_bytes_;
  int64_t memory_bytes_ = 0;
};

}  // namespace headrace
