"""Document 002's formulas on real numbers.

h(x) = (x mod p) + 1 sends a hash to one of p nodes. headrace hashes keys into 128 fixed key groups and deals contiguous ranges
of them to the tasks; printed beside each other, with the share of keys that move when a task is added. The second formula,
checkpoint = Σ s_i, is read from a checkpoint's manifest: its state bytes are the sum over all states.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from headrace import (
    Configuration,
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    _core,
    key_group,
    task_of,
)

KEYS = [f"key-{i}" for i in range(10_000)]


def h(x: int, p: int) -> int:
    """The document's formula: node of a hash, from 1 to p."""
    return x % p + 1


def share_moved(before: list[int], after: list[int]) -> float:
    """Share of keys whose task is another one, 0 to 1."""
    return sum(a != b for a, b in zip(before, after, strict=True)) / len(before)


def moved_when_growing(tasks: int) -> tuple[float, float]:
    """Share of keys that move from `tasks` to `tasks` + 1: by h(x), and by key groups."""
    hashes = [key_group(key, 32768) for key in KEYS]
    by_h = share_moved([h(x, tasks) for x in hashes], [h(x, tasks + 1) for x in hashes])
    by_groups = share_moved([task_of(key, tasks) for key in KEYS], [task_of(key, tasks + 1) for key in KEYS])
    return by_h, by_groups


class TwoStates(KeyedProcessFunction):
    """A count and the last value of each key."""

    def __init__(self) -> None:
        self._count: Any = None
        self._last: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handles."""
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self._last = runtime_context.get_state(ValueStateDescriptor("last", Types.STRING()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        """Updates both."""
        self._count.update((self._count.value() or 0) + 1)
        self._last.update(value)


def checkpoint_manifest(directory: str) -> dict[str, Any]:
    """Runs a job with both states over all keys and returns its final checkpoint's manifest."""
    options = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.dir": directory}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.from_collection(KEYS).key_by(lambda key: key).process(TwoStates()).set_parallelism(2)
    env.execute("formulas")
    newest = max(Path(directory).rglob("chk-*.manifest"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))
    return _core.load_manifest(str(newest))


def main() -> None:
    """Prints both formulas with numbers."""
    for tasks in [1, 2, 3, 4]:
        by_h, by_groups = moved_when_growing(tasks)
        print(f"{tasks} -> {tasks + 1} tasks: h(x) moves {by_h:.0%} of the keys, key groups {by_groups:.0%}")
    with tempfile.TemporaryDirectory() as directory:
        manifest = checkpoint_manifest(directory)
    parts = [subtask["state_bytes"] for operator in manifest["operators"] for subtask in operator["subtasks"]]
    print(f"checkpoint = {manifest['state_bytes']} bytes = {' + '.join(map(str, parts))}")


if __name__ == "__main__":
    main()
