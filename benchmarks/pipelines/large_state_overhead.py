"""What a checkpoint a second costs in throughput with 1 GiB of state of which 5 % change between two of them.

The job is that of large_state.py. At full speed it updates more than 5 % of the keys a second, so they are drawn from a
part of them: uniformly from 4 % at a time, which lie anywhere in memory, while from chunk to chunk some leave these 4 %
and others join, about 1 % of all keys a second. How many keys the rows between two barriers had is counted from the input
and must be 5 %, give or take one.

On the clock: `rows_out` of the operator over half a minute, once every key was written and a checkpoint has them all.
With and without checkpoints take turns, and the ratio is taken in each round.
"""

from __future__ import annotations

import large_state
import numpy as np
from large_state import BACKENDS, CHUNK_ROWS, KEYS, Rows, Watch
from measuring import Options, Report, in_turns

PACKAGES = ("pyarrow", "numpy")
CHUNKS = 32
SHARE_AT_A_TIME = 0.04
SHARE_A_SECOND = 0.01


def drifting(keys: int, rows_a_second: float) -> Rows:
    """Return rows of which one second's have 5 % of the keys."""
    random = np.random.default_rng(7)
    order = random.permutation(keys).astype(np.int64)
    at_a_time = int(keys * SHARE_AT_A_TIME)
    step = int(keys * SHARE_A_SECOND * CHUNK_ROWS / rows_a_second)
    chunks = []
    for number in range(CHUNKS):
        part = order[(number * step + np.arange(at_a_time)) % keys]
        chunks.append(part[random.integers(0, at_a_time, CHUNK_ROWS)])
    return Rows(keys, chunks)


def changed_share(rows: Rows, number: float) -> float:
    """Return the part of all keys that so many rows in a row have."""
    several = np.concatenate(rows.chunks[: 2 + int(number) // CHUNK_ROWS])
    return len(np.unique(several[: int(number)])) / rows.keys


def measure_backend(options: Options, report: Report, backend: str) -> None:
    """Measure one backend with and without checkpoints."""
    name = BACKENDS[backend]
    keys = options.size(KEYS, KEYS // 16)
    watched = {"seconds": options.seconds(30, 5), "barriers": 3.0, "pause": 0.01}
    first, _ = large_state.run(
        backend, drifting(keys, 3e6), watched | {"seconds": 3.0}, "large_state_overhead", with_checkpoints=False
    )
    rows = drifting(keys, first.rows_a_second())
    runs: dict[str, list[Watch]] = {"with": [], "without": []}
    right: dict[str, bool] = {}

    def turn(how: str) -> float:
        seen, checked = large_state.run(backend, rows, watched, "large_state_overhead", how == "with")
        right.update({what: holds and right.get(what, True) for what, holds in checked.items()})
        runs[how].append(seen)
        print(f"  {name}, {how} checkpoints: {seen.rows_a_second() / 1e6:.2f} M rows/s", flush=True)
        return seen.seconds / seen.rows

    in_turns({how: lambda how=how: turn(how) for how in runs}, options.rounds, warm_up=False)
    for what, holds in right.items():
        report.check(what, holds)
    between = [seen.rows / len(seen.checkpoints) for seen in runs["with"]]
    shares = [changed_share(rows, number) for number in between]
    report.check(f"{name}: 5 % of the keys changed between barriers", 0.04 <= np.median(shares) <= 0.06)
    a_second = [len(seen.checkpoints) / seen.seconds for seen in runs["with"]]
    report.check(f"{name}: a checkpoint a second", min(a_second) >= 0.8)
    pairs = zip(runs["with"], runs["without"], strict=True)
    ratios = [left.rows_a_second() / right_.rows_a_second() for left, right_ in pairs]
    report.ratio(f"{name}: with 1 s checkpoints / without", ratios, floor=0.9)
    report.figure(f"{name}, without", [seen.rows_a_second() / 1e6 for seen in runs["without"]], "M rows/s")
    report.figure(f"{name}, keys changed between two barriers", [100 * share for share in shares], "%")
    report.figure(f"{name}, checkpoints", a_second, "a second")
    each = [one["duration_ms"] / 1000 for seen in runs["with"] for one in seen.checkpoints]
    report.figure(f"{name}, a checkpoint takes", each, "s")
    written = [one["bytes_written"] / 2**20 for seen in runs["with"] for one in seen.checkpoints]
    report.figure(f"{name}, a checkpoint writes", written, "MiB")


def measure(options: Options, report: Report) -> None:
    """Measure the memory backend and RocksDB."""
    for backend in BACKENDS:
        measure_backend(options, report, backend)
