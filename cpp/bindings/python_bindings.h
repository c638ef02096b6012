#pragma once

#include <pybind11/pybind11.h>

namespace headrace::bindings {

/// collection_source, iterator_source, reader_source, source_function_source.
void BindPythonSources(pybind11::module_& module);
void BindReaderSource(pybind11::module_& module);
void BindSourceFunction(pybind11::module_& module);
/// python_operator, deep_copy_function.
void BindPythonOperators(pybind11::module_& module);
/// encode_value, decode_value, encode_key, key_group, subtask_of_key_group, register_class.
void BindCodec(pybind11::module_& module);
/// CheckpointReader, StoredState, StoredStateBatches, describe_value.
void BindCheckpointReader(pybind11::module_& module);
/// kill_at_file_call: ends this process by SIGKILL right before the engine's `count`-th file call
/// of that kind (see FileSystem) whose path contains `part`. For tests.
void BindFailpoint(pybind11::module_& module);
/// KeyErasure, ErasureRequest, erase_key.
void BindErasure(pybind11::module_& module);
/// write_block, read_block, save_state_partition, load_state_partition, keys of encrypted
/// checkpoints.
void BindStorage(pybind11::module_& module);

}  // namespace headrace::bindings
