"""A small job that is killed at a named point of a checkpoint: python -m recovery.fault_job (see kill_job.serve).

A source of its own → a keyed function with a value, a list, a map and timers, and a window aggregate → one file sink. The source
sends STAGE_ROWS rows, then waits until another checkpoint was begun, and so on.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recovery.kill_job import serve

JOB_NAME = "killed at a point"
STAGE_ROWS = 150
STAGES = 5
ROWS = STAGE_ROWS * STAGES
KEYS = 40
STEP_MS = 10  # event time between two rows
LATER_MS = 700
WINDOW_MS = 1000
KILLED_IN = 3  # number of the checkpoint that meets the kill
STORAGES = ("local", "remote")
BACKENDS = ("memory", "disk", "rocksdb")
POINTS = (
    "before the barrier",
    "during the snapshot",
    "while files are written",
    "while files are moved to their place",
    "between files and manifest",
    "between manifest and sink rename",
    "between two sink renames",
    "during clean-up",
)
DURING_RESTORE = "during restore"


@dataclass(frozen=True)
class FaultLife:
    """What the server is asked to start. `point` empty: it lives to its end."""

    directory: str
    backend: str
    storage: str
    parallelism: int
    point: str = ""


# Their numbers; of the one job of this process.
checkpoints_begun = [0]


def kill_now() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def expected_lines() -> list[str]:
    """What the sink must hold in the end, sorted: a plain loop over the rows."""
    lines = []
    rows: dict[int, list[int]] = defaultdict(list)
    windows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for n in range(ROWS):
        key = n % KEYS
        rows[key].append(n)
        windows[key, n * STEP_MS // WINDOW_MS * WINDOW_MS].append(n)
        thirds = [len([m for m in rows[key] if m % 3 == third]) for third in range(3)]
        lines.append(f"row {n} {len(rows[key])} {rows[key][-4:]} {thirds}")
        lines.append(f"timer {key} {n * STEP_MS + LATER_MS} {n}")
    lines += [f"window {key} {start} {len(found)} {sum(found)}" for (key, start), found in windows.items()]
    return sorted(lines)


def remote_storage(root: Path, point: str) -> str:
    """Registers an fsspec file system over local files that kills this process at a point; the URI of `root` there."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    data, manifest = f"data-1-{KILLED_IN}-", f"chk-{KILLED_IN}."

    class KillingFileSystem(LocalFileSystem):
        protocol = "killing"

        def mv(self, path1: str, path2: str, **options: Any) -> None:
            if point == "while files are moved to their place" and data in path1:
                kill_now()
            super().mv(path1, path2, **options)

        def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
            file = super().open(path, mode, **options)
            if point == "while files are written" and data in path and "w" in mode:
                file.write(b"a part of it")
                file.flush()
                kill_now()
            return file

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
            if point == "between files and manifest" and manifest in path:
                kill_now()
            super().pipe_file(path, value, mode, **options)

        def rm_file(self, path: str) -> None:
            if point == "during clean-up" and "/chk-" in path:
                kill_now()
            super().rm_file(path)

        def get_file(self, path: str, local: str, **options: Any) -> None:
            if point == DURING_RESTORE and "data-" in path:
                kill_now()
            super().get_file(path, local, **options)

    fsspec.register_implementation("killing", KillingFileSystem)
    return f"killing://{root}"


def kill_at_local_call(life: FaultLife) -> None:
    """Kills at a call that the engine makes of local files: for both storages those of the sink."""
    from headrace import _core

    output = f"{life.directory}/out/"
    data, manifest = f"/data-1-{KILLED_IN}-", f"/chk-{KILLED_IN}-"
    calls: dict[str, tuple[str, str, int]] = {
        "between manifest and sink rename": ("rename", output, 2 * life.parallelism + 1),
        "between two sink renames": ("rename", output, 2 * life.parallelism + 2),
    }
    if life.storage == "local":
        calls |= {
            "while files are written": ("append", data, 2),
            "while files are moved to their place": ("sync", data, 1),
            "between files and manifest": ("rename", manifest, 1),
            "during clean-up": ("remove", "/chk-", 1),
            DURING_RESTORE: ("read", "/data-", 2),
        }
    if life.point in calls:
        _core.kill_at_file_call(*calls[life.point])


def build(life: FaultLife) -> Any:
    """Records the job."""
    from headrace import (
        CheckpointedFunction,
        Configuration,
        Count,
        DiskStateBackend,
        EmbeddedRocksDBStateBackend,
        FileSink,
        HashMapStateBackend,
        KeyedProcessFunction,
        ListStateDescriptor,
        MapStateDescriptor,
        SourceFunction,
        StreamExecutionEnvironment,
        Sum,
        Time,
        TimestampAssigner,
        TumblingEventTimeWindows,
        Types,
        ValueStateDescriptor,
        WatermarkStrategy,
    )  # fmt: skip

    class Stages(SourceFunction):
        def __init__(self) -> None:
            self.position = 0
            self.running = True

        def run(self, ctx: Any) -> None:
            while self.running and self.position < ROWS:
                if life.point == "before the barrier" and self.position == KILLED_IN * STAGE_ROWS - 1:
                    kill_now()
                self.position += 1  # first: the position is taken with the record
                ctx.collect(self.position - 1)
                if self.position % STAGE_ROWS == 0:
                    before = checkpoints_begun[-1]
                    while self.running and checkpoints_begun[-1] == before:
                        time.sleep(0.0005)

        def cancel(self) -> None:
            self.running = False

        def snapshot_state(self) -> int:
            return self.position

        def restore_state(self, state: int) -> None:
            self.position = state

    class EventTime(TimestampAssigner):
        def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
            return (value[1] if isinstance(value, tuple) else value) * STEP_MS

    class Kinds(CheckpointedFunction, KeyedProcessFunction):
        def open(self, runtime_context: Any) -> None:
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
            self.last = runtime_context.get_list_state(ListStateDescriptor("last", Types.LONG()))
            self.thirds = runtime_context.get_map_state(MapStateDescriptor("thirds", Types.LONG(), Types.LONG()))
            self.waiting = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.LONG(), Types.LONG()))

        def initialize_state(self, context: Any) -> None:
            pass

        def snapshot_state(self, context: Any) -> None:
            checkpoints_begun.append(context.get_checkpoint_id())
            if life.point == "during the snapshot" and context.get_checkpoint_id() == KILLED_IN:
                kill_now()

        def process_element(self, value: int, ctx: Any) -> Iterator[str]:
            self.count.update((self.count.value() or 0) + 1)
            self.last.update([*self.last.get(), value][-4:])
            self.thirds[value % 3] = (self.thirds.get(value % 3) or 0) + 1
            due = value * STEP_MS + LATER_MS
            self.waiting[due] = value
            ctx.timer_service().register_event_time_timer(due)
            thirds = [self.thirds.get(third) or 0 for third in range(3)]
            yield f"row {value} {self.count.value()} {list(self.last.get())} {thirds}"

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[str]:
            yield f"timer {ctx.get_current_key()} {timestamp} {self.waiting[timestamp]}"
            self.waiting.remove(timestamp)

    directory = Path(life.directory)
    checkpoints = directory / "chk"
    remote = life.storage == "remote"
    uri = remote_storage(checkpoints, life.point) if remote else str(checkpoints)
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.interval": "10 ms",
            "execution.checkpointing.dir": uri,
            "execution.state-recovery.path": "latest",
            "execution.checkpointing.staging-dir": str(directory / "staging"),
        })
    )  # fmt: skip
    env.set_parallelism(life.parallelism)
    env.set_state_backend({
        "memory": HashMapStateBackend,
        "disk": lambda: DiskStateBackend(directory / "rows", "8 mb"),
        "rocksdb": lambda: EmbeddedRocksDBStateBackend(memory_budget="8 mb"),
    }[life.backend]())  # fmt: skip
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(EventTime())
    numbers = env.add_source(Stages(), "Stages", Types.LONG()).uid("numbers")
    timed = numbers.assign_timestamps_and_watermarks(strategy).uid("times")
    kinds = timed.key_by(lambda n: n % KEYS, Types.LONG()).process(Kinds(), Types.STRING()).uid("kinds")
    pairs = numbers.map(lambda n: (n % KEYS, n), Types.TUPLE([Types.LONG(), Types.LONG()])).uid("pairs")
    windows = (
        pairs.assign_timestamps_and_watermarks(strategy).uid("pair times").key_by(lambda pair: pair[0], Types.LONG())
        .window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS)))
        .agg(rows=Count(), total=Sum("f1")).uid("windows")
        .map(lambda row: f"window {row.key} {row.window_start} {row.rows} {row.total}", Types.STRING()).uid("texts")
    )  # fmt: skip
    kinds.union(windows).sink_to(FileSink.for_row_format(directory / "out").build()).uid("files")
    kill_at_local_call(life)
    return env


if __name__ == "__main__":
    serve(FaultLife, build, JOB_NAME)
