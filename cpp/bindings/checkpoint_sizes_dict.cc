#include "bindings/checkpoint_sizes_dict.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

py::dict BlocksDict(const BlockSizes& sizes) {
  py::dict out;
  out["blocks"] = sizes.blocks;
  out["raw_bytes"] = sizes.raw_bytes;
  out["stored_bytes"] = sizes.stored_bytes;
  // T; without a block there is none.
  out["ratio"] = sizes.stored_bytes == 0 ? py::object(py::none())
                                         : py::float_(static_cast<double>(sizes.raw_bytes) /
                                                      static_cast<double>(sizes.stored_bytes));
  return out;
}

py::dict CodecsDict(const SizesByCodec& sizes) {
  py::dict out = BlocksDict(SumOf(sizes));
  py::dict codecs;
  for (const auto& [codec, blocks] : sizes) {
    codecs[py::str(codec.data(), codec.size())] = BlocksDict(blocks);
  }
  out["codecs"] = codecs;
  return out;
}

}  // namespace

py::dict CheckpointSizesDict(const CheckpointSizes& sizes) {
  py::dict out;
  out["live_bytes"] = sizes.live_bytes;
  out["written"] = BlocksDict(sizes.written());
  out["held"] = BlocksDict(sizes.held());
  out["operator_state_bytes"] = sizes.operator_state_bytes;
  out["manifest_bytes"] = sizes.manifest_bytes;
  out["file_header_bytes"] = sizes.file_header_bytes;
  out["block_header_bytes"] = sizes.block_header_bytes;
  out["encryption_bytes"] = sizes.encryption_bytes;
  out["superseded_bytes"] = sizes.superseded_bytes;
  out["total_bytes"] = sizes.total_bytes;
  py::list states;
  for (const StateSizes& state : sizes.states) {
    py::dict item;
    item["operator_id"] = state.operator_id;
    item["operator"] = state.operator_name;
    item["subtask"] = state.subtask;
    item["state"] = state.state;
    item["live_bytes"] = state.live_bytes;
    item["partitions"] = state.partitions;
    item["written"] = CodecsDict(state.written);
    item["held"] = CodecsDict(state.held);
    states.append(std::move(item));
  }
  out["states"] = states;
  return out;
}

}  // namespace headrace::bindings
