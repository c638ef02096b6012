"""A small job that is killed often, and a warm server that starts lives of it: python -m recovery.kill_job.

The job: two CSV files → keyed windows, and a keyed function with state and timers → one file sink. A life is a
forked child; it loads headrace itself, as an engine that was loaded before a fork refuses to run.

The server reads lines of JSON (see `Life`) and answers: "pid <n>", then from the child "ready", "done" or "failed
<why>", then "gone <status>" when the child has died. It keeps the dead child's number until the next line comes, so
that whoever kills can never hit another process.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

JOB_NAME = "killed often"
FILES = 2
ROWS_A_FILE = 80_000
KEYS = 6
STEP_MS = 10  # event time between two rows of a file
DISORDER_MS = 200
WINDOW_MS = 1000
BUCKET_MS = 700
SHOWN_EVERY = 80


@dataclass(frozen=True)
class Life:
    """What the server is asked to start."""

    directory: str
    parallelism: int
    lingers: bool = False  # when done it waits to be killed


def rows_of(file: int) -> list[tuple[str, int, int]]:
    """(key, event time, number) of each line; the same at each call."""
    rng = random.Random(file)
    return [
        (f"k{rng.randrange(KEYS)}", n * STEP_MS - rng.randrange(DISORDER_MS), rng.randrange(1000))
        for n in range(ROWS_A_FILE)
    ]


def write_input(directory: Path) -> None:
    directory.mkdir()
    for file in range(FILES):
        lines = "".join(f"{key},{ts},{n}\n" for key, ts, n in rows_of(file))
        (directory / f"rows-{file}.csv").write_text("key,ts,n\n" + lines)


def expected_lines() -> list[str]:
    """What the sink must hold in the end, sorted: a plain loop over the rows."""
    windows: dict[tuple[str, int], list[int]] = defaultdict(list)
    of_key: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for file in range(FILES):
        for key, ts, n in rows_of(file):
            windows[key, ts // WINDOW_MS * WINDOW_MS].append(n)
            of_key[key].append((ts, n))
    lines = [f"window {key} {start} {len(found)} {sum(found)}" for (key, start), found in windows.items()]
    for key, rows in of_key.items():
        buckets: Counter[int] = Counter()
        for ts, n in rows:
            buckets[bucket_end(ts)] += n
        lines += [f"timer {key} {end} {total}" for end, total in buckets.items()]
        lines += [f"row {key} {ts} {n}" for ts, n in rows if n % SHOWN_EVERY == 0]
    return sorted(lines)


def bucket_end(ts: int) -> int:
    return ts // BUCKET_MS * BUCKET_MS + BUCKET_MS - 1


def build(life: Life) -> Any:
    """Records the job."""
    from headrace import (
        Configuration,
        Count,
        FileSink,
        KeyedProcessFunction,
        MapStateDescriptor,
        StreamExecutionEnvironment,
        Sum,
        Time,
        TumblingEventTimeWindows,
        Types,
        WatermarkStrategy,
    )  # fmt: skip

    class Buckets(KeyedProcessFunction):
        """Sums of BUCKET_MS of event time, told by a timer at their end; some rows as they come."""

        def open(self, runtime_context: Any) -> None:
            self.sums = runtime_context.get_map_state(MapStateDescriptor("sums", Types.LONG(), Types.LONG()))

        def process_element(self, value: Any, ctx: Any) -> Iterator[str]:
            end = bucket_end(value.ts)
            self.sums.put(end, (self.sums.get(end) or 0) + value.n)
            ctx.timer_service().register_event_time_timer(end)
            if value.n % SHOWN_EVERY == 0:
                yield f"row {value.key} {value.ts} {value.n}"

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[str]:
            yield f"timer {ctx.get_current_key()} {timestamp} {self.sums.get(timestamp)}"
            self.sums.remove(timestamp)

    directory = Path(life.directory)
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.interval": "10 ms",
            "execution.checkpointing.dir": str(directory / "chk"),
            "execution.state-recovery.path": "latest",
        })
    )  # fmt: skip
    env.set_parallelism(life.parallelism)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(DISORDER_MS).with_timestamp_field("ts")
    rows = env.read_csv(directory / "in" / "rows-*.csv", watermark_strategy=strategy).uid("rows")
    keyed = rows.key_by("key")
    windows = (
        keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS)))
        .agg(rows=Count(), total=Sum("n")).uid("windows")
        .map(lambda row: f"window {row.key} {row.window_start} {row.rows} {row.total}", Types.STRING())
    )  # fmt: skip
    buckets = keyed.process(Buckets(), Types.STRING()).uid("buckets")
    windows.union(buckets).sink_to(FileSink.for_row_format(directory / "out").build()).uid("files")
    return env


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def live(life: Any, build: Callable[[Any], Any], job_name: str) -> None:
    try:
        env = build(life)
        say("ready")
        env.execute(job_name)
    except Exception as error:
        say(f"failed {type(error).__name__}: {error}".replace("\n", " "))
        raise
    say("done")
    while getattr(life, "lingers", False):
        time.sleep(60)


def serve(kind: type, build: Callable[[Any], Any], job_name: str) -> None:
    """Runs the job that `build` records for each life of that kind that comes as a line."""
    import numpy  # noqa: F401  (what headrace imports is what takes time)
    import pyarrow  # noqa: F401

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            live(kind(**json.loads(line)), build, job_name)
            return
        say(f"pid {pid}")
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        say(f"gone {-ended.si_status if ended.si_code != os.CLD_EXITED else ended.si_status}")
        sys.stdin.readline()
        os.waitpid(pid, 0)


def as_line(life: Any) -> str:
    return json.dumps(asdict(life))


if __name__ == "__main__":
    serve(Life, build, JOB_NAME)
