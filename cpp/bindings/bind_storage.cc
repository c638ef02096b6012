#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/python_bindings.h"
#include "headrace/checkpoint/rekey.h"
#include "headrace/checkpoint/state_partition.h"
#include "headrace/storage/block.h"
#include "headrace/storage/key_ring.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

py::bytes ToBytes(const std::string& text) { return {text.data(), text.size()}; }

/// Asks headrace.checkpoint_encryption, on any thread.
Result<SecretKeyPtr> FindKey(const std::string& key_id) {
  const GilScope gil;
  py::object module;
  try {
    module = py::module_::import("headrace.checkpoint_encryption");
    const py::object found = module.attr("_find_key")(key_id);
    py::buffer_info info = py::reinterpret_borrow<py::buffer>(found).request();
    return SecretKey::FromBytes(
        {static_cast<const char*>(info.ptr), static_cast<size_t>(info.size * info.itemsize)});
  } catch (py::error_already_set& error) {
    // What raised may be the user's, with the key in its message: only its kind is passed on,
    // unless it is ours.
    const bool ours = module && error.matches(module.attr("_KeyNotFoundError"));
    return Status::FailedPrecondition(
        ours ? std::string(py::str(error.value().attr("args")[py::int_(0)]))
             : "key '" + key_id + "' could not be had: the provider raised " +
                   std::string(py::str(error.type().attr("__name__"))));
  }
}

py::dict SavePartition(const std::string& directory, const std::string& name,
                       const std::string& data_name, uint64_t version,
                       const std::vector<std::pair<py::bytes, py::bytes>>& entries,
                       const std::string& compression) {
  StoredPartitionSpec spec;
  spec.directory = directory;
  spec.name = name;
  spec.data_name = data_name;
  spec.version = version;
  spec.compression = ValueOrThrow(ParseCompression(compression));
  std::vector<PartitionEntry> encoded;
  for (const auto& [key, value] : entries) {
    encoded.push_back({std::string(key), std::string(value)});
  }
  const SavedPartition saved =
      ValueOrThrow(WithoutGil([&] { return SaveStatePartition(&RealEnv(), spec, encoded); }));
  py::dict out;
  out["raw_bytes"] = saved.raw_bytes;
  out["stored_bytes"] = saved.stored_bytes;
  out["file_bytes"] = saved.file_bytes;
  out["files"] = saved.files;
  return out;
}

py::tuple LoadPartition(const std::string& path) {
  Manifest manifest;
  const std::vector<PartitionEntry> entries =
      ValueOrThrow(WithoutGil([&] { return LoadStatePartition(&RealEnv(), path, &manifest); }));
  py::list out;
  for (const PartitionEntry& entry : entries) {
    out.append(py::make_tuple(ToBytes(entry.key), ToBytes(entry.value)));
  }
  return py::make_tuple(out, manifest.id, manifest.files.at(0).name);
}

}  // namespace

void BindStorage(py::module_& module) {
  module.def("check_compression",
             [](const std::string& codec) { ThrowIfError(ParseCompression(codec).status()); });
  module.def("write_block", [](const std::string& codec, const py::bytes& data) {
    const Compression compression = ValueOrThrow(ParseCompression(codec));
    const std::string_view payload(data);
    std::string block;
    ValueOrThrow(WithoutGil([&] {
      return WriteBlock(
          {.kind = BlockKind::kRows, .codec = compression.codec, .codec_level = compression.level},
          payload, &block);
    }));
    return ToBytes(block);
  });
  module.def("read_block", [](const py::bytes& data) {
    const std::string_view block(data);
    return ToBytes(ValueOrThrow(WithoutGil([&] { return ReadBlock(block, "data", 0); })).payload);
  });
  module.def("save_state_partition", &SavePartition, py::arg("directory"), py::arg("name"),
             py::arg("data_name"), py::arg("version"), py::arg("entries"), py::arg("compression"));
  module.def("load_state_partition", &LoadPartition, py::arg("path"));
  module.def("check_key_id", [](const std::string& key_id) { ThrowIfError(CheckKeyId(key_id)); });
  module.def("forget_keys", [] { KeyRing::Process().Clear(); });
  module.def("rekey_checkpoints", [](const std::string& path, const std::string& key_id) {
    const RekeyReport report =
        ValueOrThrow(WithoutGil([&] { return RekeyCheckpoints(&RealEnv(), path, key_id); }));
    py::dict out;
    out["checkpoints"] = report.checkpoints;
    out["files"] = report.files;
    out["bytes"] = report.bytes;
    return out;
  });
  KeyRing::Process().SetLookup(FindKey);
}

}  // namespace headrace::bindings
