"""Run by test_state_backends.py: a keyed job whose state is about ten times its memory budget.

python -m python.programs.large_state <disk|rocksdb> <directory> <keys> <value bytes> <budget bytes>

Writes a value for each key and reads all of them back; prints what it took as JSON.
"""

import json
import random
import sys
from pathlib import Path

from headrace import (
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    KeyedProcessFunction,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from python.programs.resident_memory import resident_max
from python.streams import checkpointed_env, file_sink


def value_of(key: int, size: int) -> bytes:
    return random.Random(key).randbytes(size)


class KeepsOneValue(KeyedProcessFunction):
    """The first record of a key stores its value, each later one compares it."""

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, runtime_context):
        self.value = runtime_context.get_state(ValueStateDescriptor("value"))

    def process_element(self, key, ctx):
        stored = self.value.value()
        if stored is None:
            self.value.update(value_of(key, self.size))
        else:
            yield "same" if stored == value_of(key, self.size) else "other"


def main() -> None:
    backend, directory, keys, size, budget = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
    env = checkpointed_env(directory / "checkpoints", interval="300 ms")
    if backend == "disk":
        env.set_state_backend(DiskStateBackend(directory / "local", budget))
    else:
        rocksdb = EmbeddedRocksDBStateBackend(memory_budget=budget)
        rocksdb.set_db_storage_paths(str(directory / "local"))
        env.set_state_backend(rocksdb)
    rows = env.from_collection([*range(keys), *range(keys)]).uid("keys")
    kept = rows.key_by(lambda key: key).process(KeepsOneValue(size), Types.STRING()).name("kept").uid("kept")
    kept.sink_to(file_sink(directory / "out")).uid("files")
    result = env.execute("large")
    found = {
        "resident_max": resident_max(),
        "metrics": result.metrics,
        "messages": result.messages,
        "librocksdb": "librocksdb" in Path("/proc/self/maps").read_text(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
