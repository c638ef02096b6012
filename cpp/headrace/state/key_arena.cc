#include "headrace/state/key_arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {
namespace {

constexpr uint32_t kChunkBytesMin = 512;
constexpr uint32_t kChunkBytesMax = 64 * 1024;
constexpr size_t kKeyBytesMax = size_t{1} << 30;

}  // namespace

KeyArena::KeyArena(MemoryMeterPtr meter)
    : meter_(std::move(meter)), next_chunk_bytes_(kChunkBytesMin) {}

KeyArena::~KeyArena() {
  for (const Chunk& chunk : chunks_) std::free(chunk.memory);
  Charge(-memory_bytes_);
}

void KeyArena::Charge(int64_t bytes) {
  memory_bytes_ += bytes;
  if (meter_) meter_->Add(bytes);
}

const ArenaKey* KeyArena::Append(std::string_view bytes) {
  HR_CHECK_LT(bytes.size(), kKeyBytesMax);
  const uint32_t need = static_cast<uint32_t>((sizeof(ArenaKey) + bytes.size() + 7) & ~size_t{7});
  if (chunks_.empty() || chunks_[current_].size_bytes - chunks_[current_].used_bytes < need) {
    const uint32_t size = std::max(next_chunk_bytes_, need);
    next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, kChunkBytesMax);
    if (free_numbers_.empty()) {
      current_ = static_cast<uint32_t>(chunks_.size());
      chunks_.emplace_back();
    } else {
      current_ = free_numbers_.back();
      free_numbers_.pop_back();
    }
    char* memory = static_cast<char*>(std::malloc(size));
    HR_CHECK(memory != nullptr);
    chunks_[current_] = {memory, size, 0, 0};
    Charge(size);
  }
  Chunk& chunk = chunks_[current_];
  auto* key = reinterpret_cast<ArenaKey*>(chunk.memory + chunk.used_bytes);
  *key = {static_cast<uint32_t>(bytes.size()), current_};
  if (!bytes.empty()) std::memcpy(static_cast<void*>(key + 1), bytes.data(), bytes.size());
  chunk.used_bytes += need;
  ++chunk.live_keys;
  return key;
}

KeyArena::FreedChunk KeyArena::Release(const ArenaKey* key) {
  const uint32_t number = key->chunk;
  Chunk& chunk = chunks_[number];
  --chunk.live_keys;
  // The chunk being filled stays: its free end is still of use.
  if (chunk.live_keys > 0 || number == current_) return {};
  const FreedChunk freed{chunk.memory, chunk.size_bytes};
  chunk = {};
  free_numbers_.push_back(number);
  Charge(-freed.size_bytes);
  return freed;
}

}  // namespace headrace
