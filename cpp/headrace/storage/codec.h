#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// How stored bytes are compressed. The numbers are on disk and never change.
enum class CodecId : uint8_t { kNone = 0, kLz4 = 1, kSnappy = 2, kZstd = 3 };

/// The most bytes one call compresses or decompresses; a larger size in a file is damage or an
/// attack.
inline constexpr uint64_t kCodecBytesMax = uint64_t{1} << 30;

/// A codec and how hard it tries; level 0 is the codec's default.
struct Compression {
  CodecId codec = CodecId::kZstd;
  int level = 1;
  bool operator==(const Compression&) const = default;
};

/// "none", "lz4", "snappy" or "zstd".
std::string_view CodecName(CodecId codec);
/// The codec of a name; kInvalidArgument lists the known ones.
Result<CodecId> CodecFromName(std::string_view name);
/// Of a name, or a name and a level: "lz4", "zstd:3". kInvalidArgument says what is wrong.
Result<Compression> ParseCompression(std::string_view text);

/// Compresses `input` whole. `level` 0 is the codec's default (zstd: 1); lz4 switches to its
/// slower, denser form at 3, snappy has one level; levels out of a codec's range are clamped.
/// kInvalidArgument when `input` is larger than kCodecBytesMax. The result may be larger than the
/// input. Threading: thread-safe.
Result<std::string> Compress(CodecId codec, int level, std::string_view input);

/// Undoes Compress(). kCorruption unless `input` is one whole compressed text of exactly
/// `expected_size` bytes. Before anything is allocated, `expected_size` is held against
/// kCodecBytesMax, against what `input` says of itself, and against the most that a format can grow
/// from so few bytes: a bomb costs its author's bytes, not our memory. Threading: thread-safe.
Result<std::string> Decompress(CodecId codec, std::string_view input, uint64_t expected_size);

}  // namespace headrace
