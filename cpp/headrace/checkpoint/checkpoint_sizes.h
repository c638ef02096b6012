#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/checkpoint/manifest.h"

/// What a checkpoint takes, counted block by block: document 004's S, C and T, and document 002's
/// checkpoint = Σ s_i.

namespace headrace {

/// Payloads of some blocks. T = raw_bytes / stored_bytes.
struct BlockSizes {
  uint64_t blocks = 0;
  uint64_t raw_bytes = 0;     ///< serialised, before compression
  uint64_t stored_bytes = 0;  ///< C: as stored, without headers

  void Add(const BlockSizes& other);
};
/// By name of the codec; "unknown" for blocks of manifests of version 1.
using SizesByCodec = std::map<std::string_view, BlockSizes>;
BlockSizes SumOf(const SizesByCodec& sizes);

/// One state of one subtask; all its tables together (a windowed state has two for each slice).
struct StateSizes {
  std::string operator_id;
  std::string operator_name;
  int subtask = 0;
  std::string state;              ///< "keys" and "timers" are the engine's own
  uint64_t live_bytes = 0;        ///< its part of S
  uint64_t partitions = 0;        ///< P, those that hold rows
  uint64_t encryption_bytes = 0;  ///< what its encrypted blocks are longer by
  SizesByCodec written;           ///< by this checkpoint
  SizesByCodec held;              ///< all that this checkpoint refers to, earlier ones' blocks too
};

/// Bytes on disk of a checkpoint: all of its files and its manifest are the sum of the states' held
/// stored bytes and of the overheads named here. Live bytes are the sum of the states' and of
/// operator_state_bytes.
struct CheckpointSizes {
  std::vector<StateSizes> states;     ///< by operator, subtask, then name
  uint64_t live_bytes = 0;            ///< S
  uint64_t operator_state_bytes = 0;  ///< lies in the manifest
  uint64_t manifest_bytes = 0;
  uint64_t file_header_bytes = 0;
  uint64_t block_header_bytes = 0;
  uint64_t encryption_bytes = 0;  ///< what encrypted data files are longer by
  uint64_t superseded_bytes = 0;  ///< blocks of earlier checkpoints in files that are still needed
  uint64_t total_bytes = 0;       ///< size of all files and of the manifest

  BlockSizes written() const;
  BlockSizes held() const;
};

CheckpointSizes SizesOf(const Manifest& manifest);

}  // namespace headrace
