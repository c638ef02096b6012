#include "headrace/storage/codec.h"

#include <lz4.h>
#include <lz4hc.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "headrace/base/check.h"

namespace headrace {

namespace {

struct ZstdFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// A context costs more to make than a small partition costs to compress, so each thread keeps one.
ZSTD_CCtx* ThreadCompressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, ZstdFree> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* ThreadDecompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, ZstdFree> context(ZSTD_createDCtx());
  return context.get();
}

Result<std::string> CompressLz4(int level, std::string_view input) {
  const int size = static_cast<int>(input.size());
  std::string out(static_cast<size_t>(LZ4_compressBound(size)), '\0');
  const int room = static_cast<int>(out.size());
  const int written =
      level >= LZ4HC_CLEVEL_MIN
          ? LZ4_compress_HC(input.data(), out.data(), size, room, std::min(level, LZ4HC_CLEVEL_MAX))
          : LZ4_compress_default(input.data(), out.data(), size, room);
  if (written <= 0) return Status::ResourceExhausted("lz4 could not compress: out of memory");
  out.resize(static_cast<size_t>(written));
  return out;
}

Result<std::string> CompressZstd(int level, std::string_view input) {
  ZSTD_CCtx* context = ThreadCompressor();
  if (context == nullptr) {
    return Status::ResourceExhausted("zstd could not compress: out of memory");
  }
  const int clamped = level == 0 ? 1 : std::clamp(level, ZSTD_minCLevel(), ZSTD_maxCLevel());
  std::string out(ZSTD_compressBound(input.size()), '\0');
  const size_t written =
      ZSTD_compressCCtx(context, out.data(), out.size(), input.data(), input.size(), clamped);
  if (ZSTD_isError(written)) {
    return Status::ResourceExhausted(std::string("zstd could not compress: ") +
                                     ZSTD_getErrorName(written));
  }
  out.resize(written);
  return out;
}

// The most bytes that `size` stored bytes of a format can stand for.
uint64_t LargestText(CodecId codec, uint64_t size) {
  switch (codec) {
    case CodecId::kNone:
      return size;
    case CodecId::kLz4:  // a length byte adds at most 255
      return size * 255 + 64;
    case CodecId::kSnappy:  // a copy of 64 bytes takes 3
      return size * 22 + 64;
    case CodecId::kZstd:  // a block of 128 KiB takes 4
      return size * 32768 + 131072;
  }
  return 0;
}

Status DoesNotDecode(CodecId codec, uint64_t stored, uint64_t expected) {
  return Status::Corruption(std::to_string(stored) + " bytes are not " +
                            std::string(CodecName(codec)) + " data of " + std::to_string(expected) +
                            " bytes");
}

// What the input says of its own length, read without allocating.
bool SaysExpectedSize(CodecId codec, std::string_view input, uint64_t expected_size) {
  switch (codec) {
    case CodecId::kNone:
      return input.size() == expected_size;
    case CodecId::kLz4:
      return true;
    case CodecId::kSnappy: {
      size_t size = 0;
      return snappy::GetUncompressedLength(input.data(), input.size(), &size) &&
             size == expected_size;
    }
    case CodecId::kZstd:
      // One frame and nothing after it; a second frame would be bytes that no length accounts for.
      return ZSTD_getFrameContentSize(input.data(), input.size()) == expected_size &&
             ZSTD_findFrameCompressedSize(input.data(), input.size()) == input.size();
  }
  return false;
}

bool DecodeInto(CodecId codec, std::string_view input, std::string* out) {
  switch (codec) {
    case CodecId::kNone:
      out->assign(input);
      return true;
    case CodecId::kLz4: {
      const int written = LZ4_decompress_safe(
          input.data(), out->data(), static_cast<int>(input.size()), static_cast<int>(out->size()));
      return written >= 0 && static_cast<size_t>(written) == out->size();
    }
    case CodecId::kSnappy:
      return snappy::RawUncompress(input.data(), input.size(), out->data());
    case CodecId::kZstd: {
      ZSTD_DCtx* context = ThreadDecompressor();
      if (context == nullptr) return false;
      return ZSTD_decompressDCtx(context, out->data(), out->size(), input.data(), input.size()) ==
             out->size();
    }
  }
  return false;
}

}  // namespace

std::string_view CodecName(CodecId codec) {
  switch (codec) {
    case CodecId::kNone:
      return "none";
    case CodecId::kLz4:
      return "lz4";
    case CodecId::kSnappy:
      return "snappy";
    case CodecId::kZstd:
      return "zstd";
  }
  return "unknown";
}

Result<CodecId> CodecFromName(std::string_view name) {
  for (const CodecId codec : {CodecId::kNone, CodecId::kLz4, CodecId::kSnappy, CodecId::kZstd}) {
    if (CodecName(codec) == name) return codec;
  }
  return Status::InvalidArgument("unknown codec '" + std::string(name) +
                                 "'; use none, lz4, snappy or zstd");
}

Result<Compression> ParseCompression(std::string_view text) {
  const size_t colon = text.find(':');
  HR_ASSIGN_OR_RETURN(const CodecId codec, CodecFromName(text.substr(0, colon)));
  Compression compression{.codec = codec, .level = codec == CodecId::kZstd ? 1 : 0};
  if (colon == std::string_view::npos) return compression;
  const std::string_view level = text.substr(colon + 1);
  const auto parsed = std::from_chars(level.data(), level.data() + level.size(), compression.level);
  if (parsed.ec != std::errc() || parsed.ptr != level.data() + level.size()) {
    return Status::InvalidArgument("'" + std::string(level) + "' is not the level of a codec: '" +
                                   std::string(text) + "' should be a name, or as 'zstd:3'");
  }
  return compression;
}

Result<std::string> Compress(CodecId codec, int level, std::string_view input) {
  if (input.size() > kCodecBytesMax) {
    return Status::InvalidArgument("cannot compress " + std::to_string(input.size()) +
                                   " bytes at once; at most " + std::to_string(kCodecBytesMax));
  }
  switch (codec) {
    case CodecId::kNone:
      return std::string(input);
    case CodecId::kLz4:
      return CompressLz4(level, input);
    case CodecId::kSnappy: {
      std::string out;
      snappy::Compress(input.data(), input.size(), &out);
      return out;
    }
    case CodecId::kZstd:
      return CompressZstd(level, input);
  }
  return Status::InvalidArgument("unknown codec id " + std::to_string(static_cast<int>(codec)));
}

Result<std::string> Decompress(CodecId codec, std::string_view input, uint64_t expected_size) {
  if (codec > CodecId::kZstd) {
    return Status::Corruption("unknown codec id " + std::to_string(static_cast<int>(codec)));
  }
  if (expected_size > kCodecBytesMax || input.size() > 2 * kCodecBytesMax - 1 ||
      expected_size > LargestText(codec, input.size()) ||
      !SaysExpectedSize(codec, input, expected_size)) {
    return DoesNotDecode(codec, input.size(), expected_size);
  }
  std::string out;
  if (codec != CodecId::kNone) out.resize(expected_size);
  if (!DecodeInto(codec, input, &out)) return DoesNotDecode(codec, input.size(), expected_size);
  return out;
}

}  // namespace headrace
