"""Run by test_state_backends.py: one key's map of many entries, in a backend that keeps a part of them in memory.

python -m python.programs.large_map <disk|rocksdb> <directory> <entries> <budget bytes>

Puts the entries, reads some of them by key, iterates over all of them; writes what it found, prints what it took as JSON.
"""

import json
import sys
from pathlib import Path

from headrace import DiskStateBackend, EmbeddedRocksDBStateBackend, KeyedProcessFunction, MapStateDescriptor, Types
from python.programs.resident_memory import resident_max
from python.streams import file_sink, new_env

PUTS_PER_RECORD = 20_000


def value_of(entry: int) -> int:
    return entry * 7919 % 1_000_003


class OneMap(KeyedProcessFunction):
    """Each record puts some entries; the last one asks for all of them."""

    def __init__(self, entries: int) -> None:
        self.entries = entries

    def open(self, runtime_context):
        self.map = runtime_context.get_map_state(MapStateDescriptor("map", Types.LONG(), Types.LONG()))

    def process_element(self, first, ctx):
        for entry in range(first, min(first + PUTS_PER_RECORD, self.entries)):
            self.map.put(entry, value_of(entry))
        if first + PUTS_PER_RECORD < self.entries:
            return
        looked_up = range(0, self.entries, 1009)
        right = sum(self.map.get(entry) == value_of(entry) for entry in looked_up)
        count = total = 0
        for entry, value in self.map.items():
            count += 1
            total += entry ^ value
        yield json.dumps([right, len(looked_up), count, total])


def main() -> None:
    name, directory, entries, budget = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    backends = {"disk": DiskStateBackend, "rocksdb": EmbeddedRocksDBStateBackend}
    env = new_env(**{f"state__backend__{name}__localdir": str(directory / "local")})
    env.set_state_backend(backends[name](memory_budget=budget))
    records = env.from_collection(range(0, entries, PUTS_PER_RECORD))
    kept = records.key_by(lambda _: "one").process(OneMap(entries), Types.STRING()).name("kept")
    kept.sink_to(file_sink(directory / "out"))
    metrics = env.execute("large map").metrics
    print(json.dumps({"resident_max": resident_max(), "metrics": metrics}))


if __name__ == "__main__":
    main()
