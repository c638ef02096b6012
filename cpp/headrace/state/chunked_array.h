#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

namespace headrace {

/// An array that grows without moving its elements: chunks of 4,096, made when first written to, so
/// that no single growth takes more than microseconds. Elements start as zero bytes.
/// Threading: owned by one thread.
template <typename T>
class ChunkedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// The element for writing; makes its chunk.
  T& operator[](size_t i) {
    const size_t chunk = i >> kShift;
    if (__builtin_expect(chunk >= chunks_.size() || !chunks_[chunk], 0)) AddChunk(chunk);
    return chunks_[chunk][i & kMask];
  }
  /// The element, zero when it was never written.
  T Get(size_t i) const {
    const size_t chunk = i >> kShift;
    if (chunk >= chunks_.size() || !chunks_[chunk]) return T{};
    return chunks_[chunk][i & kMask];
  }
  /// The element for writing, null when its chunk was never written to.
  T* Find(size_t i) const {
    const size_t chunk = i >> kShift;
    return chunk < chunks_.size() && chunks_[chunk] ? &chunks_[chunk][i & kMask] : nullptr;
  }
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (const auto& chunk : chunks_) {
      for (size_t i = 0; chunk && i <= kMask; ++i) visit(chunk[i]);
    }
  }
  int64_t memory_bytes() const { return memory_bytes_; }

 private:
  static constexpr int kShift = 12;
  static constexpr size_t kMask = (size_t{1} << kShift) - 1;

  void AddChunk(size_t chunk) {
    if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
    chunks_[chunk] = std::make_unique<T[]>(kMask + 1);
    memory_bytes_ += static_cast<int64_t>((kMask + 1) * sizeof(T));
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  int64_t memory_bytes_ = 0;
};

}  // namespace headrace
