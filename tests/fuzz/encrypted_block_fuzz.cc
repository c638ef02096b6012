// Any bytes are refused as a block of an encrypted file, also under right checksums; a block that
// was written is read, and not with one bit of it changed.
#include <memory>
#include <string>
#include <utility>

#include "fuzz_input.h"
#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/storage/block.h"
#include "headrace/storage/file_cipher.h"
#include "headrace/storage/key_ring.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr size_t kCrcAt = 12;
constexpr size_t kDigestAt = 32;

std::unique_ptr<FileCipher> MakeCipher() {
  KeyRing::Process().Add("fuzz", *SecretKey::FromBytes(std::string(SecretKey::kBytes, 'f')));
  SimEnv env(1);
  auto made = FileCipher::ForWriting(&env, "fuzz", "place");
  HR_CHECK(made.ok());
  return std::move(made).value();
}

/// The same block with its checksums set right, so that what they protect is reached.
std::string Repaired(std::string block) {
  if (block.size() < kSealedBlockHeaderBytes) return block;
  const Digest128 digest = Hash128(std::string_view(block).substr(kSealedBlockHeaderBytes));
  std::memcpy(block.data() + kDigestAt, &digest.low, 8);
  std::memcpy(block.data() + kDigestAt + 8, &digest.high, 8);
  const uint32_t start = Crc32c(0, block.data(), kCrcAt);
  const uint32_t crc =
      Crc32c(start, block.data() + kCrcAt + 4, kSealedBlockHeaderBytes - kCrcAt - 4);
  std::memcpy(block.data() + kCrcAt, &crc, sizeof(crc));
  return block;
}

void ReadForgeries(const FileCipher& cipher, std::string_view bytes) {
  HR_CHECK(!ReadBlock(bytes, "fuzzed", 0, &cipher).ok());
  HR_CHECK(!ReadBlock(Repaired(std::string(bytes)), "fuzzed", 0, &cipher).ok());
}

void ChangeOneBit(const FileCipher& cipher, FuzzInput* in) {
  const auto codec = static_cast<CodecId>(in->Below(4));
  const size_t bit = in->Below(8);
  const size_t at = in->Byte() * size_t{256} + in->Byte();
  const std::string payload(in->Rest());
  std::string block;
  HR_CHECK(WriteBlock({.kind = BlockKind::kDelta, .codec = codec, .cipher = &cipher, .number = 7},
                      payload, &block)
               .ok());
  const Result<Block> read = ReadBlock(block, "written", 0, &cipher);
  HR_CHECK(read.ok());
  HR_CHECK(read->payload == payload);
  block[at % block.size()] = static_cast<char>(block[at % block.size()] ^ (1 << bit));
  HR_CHECK(!ReadBlock(block, "changed", 0, &cipher).ok());
  // Where only a checksum was changed the block is whole again.
  const std::string repaired = Repaired(block);
  const Result<Block> again = ReadBlock(repaired, "repaired", 0, &cipher);
  HR_CHECK(!again.ok() || again->payload == payload);
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<headrace::FileCipher> cipher = headrace::MakeCipher();
  headrace::FuzzInput in(data, size);
  if (in.Below(2) == 0) {
    headrace::ReadForgeries(*cipher, in.Rest());
  } else {
    headrace::ChangeOneBit(*cipher, &in);
  }
  return 0;
}
