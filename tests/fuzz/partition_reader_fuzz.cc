// Blocks and partitions of any bytes are read or refused. Of what is read the rows ascend, and each
// lies in its partition.
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/base/hash.h"
#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/partition_codec.h"
#include "headrace/storage/block.h"

namespace headrace {
namespace {

constexpr size_t kCrcAt = 12;
constexpr size_t kDigestAt = 32;

/// The same block with its checksums set right, so that what they protect is reached.
std::string Sealed(std::string block) {
  if (block.size() < kBlockHeaderBytes) return block;
  const Digest128 digest = Hash128(std::string_view(block).substr(kBlockHeaderBytes));
  std::memcpy(block.data() + kDigestAt, &digest.low, 8);
  std::memcpy(block.data() + kDigestAt + 8, &digest.high, 8);
  const uint32_t start = Crc32c(0, block.data(), kCrcAt);
  const uint32_t crc = Crc32c(start, block.data() + kCrcAt + 4, kBlockHeaderBytes - kCrcAt - 4);
  std::memcpy(block.data() + kCrcAt, &crc, sizeof(crc));
  return block;
}

void ReadBlockOf(std::string_view bytes) {
  const Result<Block> damaged = ReadBlock(bytes, "fuzzed", 0);
  const Result<Block> block = ReadBlock(Sealed(std::string(bytes)), "fuzzed", 0);
  HR_CHECK(!damaged.ok() || block.ok());
}

void CheckRows(const Result<StoredPartition>& partition) {
  if (!partition.ok()) return;
  int64_t previous = -1;
  for (const StoredRow& row : partition->rows) {
    HR_CHECK_GT(int64_t{row.row}, previous);
    HR_CHECK_GE(row.row, partition->first_row);
    HR_CHECK_LT(uint64_t{row.row}, uint64_t{partition->first_row} + partition->row_count);
    previous = row.row;
  }
}

// Partitions of tables that go by key, from the same bytes.
void ReadKeyed(uint32_t row_bytes, const std::vector<std::string>& payloads) {
  for (const std::string& payload : payloads) {
    const Result<StoredKeyedPartition> partition = DecodeKeyedPartition(row_bytes, payload);
    if (!partition.ok()) continue;
    for (const StoredKeyedRow& row : partition->rows) {
      HR_CHECK(!row.tombstone || !partition->whole);
      HR_CHECK(row.tombstone || row_bytes == 0 || row.value.size() == row_bytes);
    }
  }
  const Result<StoredKeyedPartition> merged = MergeKeyedPartition(row_bytes, payloads);
  if (!merged.ok()) return;
  for (const StoredKeyedRow& row : merged->rows) HR_CHECK(!row.tombstone);
}

void ReadPartitions(FuzzInput* in) {
  const auto kind = static_cast<TableKind>(1 + in->Below(5));
  const uint32_t row_bytes = in->Byte();
  std::vector<std::string> payloads;
  while (!in->done()) payloads.emplace_back(in->LongText());
  for (const std::string& payload : payloads) {
    CheckRows(DecodePartition(kind, row_bytes, payload));
  }
  ReadKeyed(row_bytes, payloads);
  const Result<StoredPartition> merged = MergePartition(kind, row_bytes, payloads);
  CheckRows(merged);
  if (!merged.ok()) return;
  for (const StoredRow& row : merged->rows) HR_CHECK(!row.tombstone);
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  if (in.Below(2) == 0) {
    headrace::ReadBlockOf(in.Rest());
  } else {
    headrace::ReadPartitions(&in);
  }
  return 0;
}
