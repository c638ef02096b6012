#include "headrace/checkpoint/checkpoint_sizes.h"

#include <algorithm>

#include "headrace/storage/block.h"
#include "headrace/storage/checkpoint_file.h"

namespace headrace {
namespace {

std::string_view NameOf(const std::optional<CodecId>& codec) {
  return codec ? CodecName(*codec) : "unknown";
}

// What a block is longer by when it is encrypted.
constexpr uint64_t kSealBytes = kSealedBlockHeaderBytes - kBlockHeaderBytes + FileCipher::kTagBytes;

uint64_t SealBytesOf(const FileManifest& file) { return file.key_id.empty() ? 0 : kSealBytes; }

// A file's longer header and its last block, which holds the number of the others.
uint64_t EncryptionBytesOf(const FileManifest& file) {
  if (file.key_id.empty()) return 0;
  return file.key_id.size() + FileKeyHeader::kSaltBytes + FileKeyHeader::kCheckBytes +
         kSealedBlockHeaderBytes + sizeof(uint64_t) + FileCipher::kTagBytes;
}

void AddTable(const Manifest& manifest, const TableManifest& table, StateSizes* state) {
  state->live_bytes += table.live_bytes;
  for (const std::vector<PartitionRef>& chain : table.partitions) {
    if (!chain.empty()) ++state->partitions;
    for (const PartitionRef& ref : chain) {
      // A manifest that was made by hand may claim less than a header takes.
      const uint64_t headers = kBlockHeaderBytes + SealBytesOf(manifest.files[ref.file]);
      const BlockSizes block{
          .blocks = 1,
          .raw_bytes = ref.raw_bytes,
          .stored_bytes = ref.stored_bytes - std::min<uint64_t>(ref.stored_bytes, headers)};
      state->held[NameOf(ref.codec)].Add(block);
      state->encryption_bytes += SealBytesOf(manifest.files[ref.file]);
      if (manifest.files[ref.file].checkpoint == manifest.id) {
        state->written[NameOf(ref.codec)].Add(block);
      }
    }
  }
}

}  // namespace

void BlockSizes::Add(const BlockSizes& other) {
  blocks += other.blocks;
  raw_bytes += other.raw_bytes;
  stored_bytes += other.stored_bytes;
}

BlockSizes SumOf(const SizesByCodec& sizes) {
  BlockSizes sum;
  for (const auto& [codec, blocks] : sizes) sum.Add(blocks);
  return sum;
}

BlockSizes CheckpointSizes::written() const {
  BlockSizes sum;
  for (const StateSizes& state : states) sum.Add(SumOf(state.written));
  return sum;
}

BlockSizes CheckpointSizes::held() const {
  BlockSizes sum;
  for (const StateSizes& state : states) sum.Add(SumOf(state.held));
  return sum;
}

CheckpointSizes SizesOf(const Manifest& manifest) {
  CheckpointSizes sizes;
  for (const OperatorManifest& op : manifest.operators) {
    for (const SubtaskManifest& subtask : op.subtasks) {
      std::map<std::string, StateSizes> states;
      for (const TableManifest& table : subtask.tables) {
        const TableMeta& meta = table.meta;
        StateSizes& state = states[meta.state_name.empty() ? meta.name : meta.state_name];
        AddTable(manifest, table, &state);
      }
      for (auto& [name, state] : states) {
        state.operator_id = op.operator_id;
        state.operator_name = op.name;
        state.subtask = subtask.index;
        state.state = name;
        sizes.states.push_back(std::move(state));
      }
      sizes.operator_state_bytes += subtask.operator_state.size();
    }
  }
  sizes.live_bytes = manifest.state_bytes();
  sizes.manifest_bytes = manifest.file_bytes;
  sizes.total_bytes = manifest.file_bytes;
  for (const FileManifest& file : manifest.files) {
    sizes.total_bytes += file.size_bytes;
    sizes.encryption_bytes += EncryptionBytesOf(file);
  }
  for (const StateSizes& state : sizes.states) sizes.encryption_bytes += state.encryption_bytes;
  const BlockSizes held = sizes.held();
  sizes.file_header_bytes = manifest.files.size() * kCheckpointFileHeaderBytes;
  sizes.block_header_bytes = held.blocks * kBlockHeaderBytes;
  sizes.superseded_bytes = sizes.total_bytes - sizes.manifest_bytes - sizes.file_header_bytes -
                           sizes.block_header_bytes - sizes.encryption_bytes - held.stored_bytes;
  return sizes;
}

}  // namespace headrace
