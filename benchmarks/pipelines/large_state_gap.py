"""The longest gap between two outputs near a barrier with 1 GiB of state, all of which changes between checkpoints.

The job is that of large_state.py; keys are drawn uniformly from all 8 Mi, so that nearly each page of the state is
changed behind each barrier while it is still to be written. Checkpoints are due every second; one of all state takes
longer than that, and the next follows it at once.

On the clock: this process asks for the operator's `rows_out` every half millisecond, with the GIL to itself, and notes
when it has grown. For each barrier the longest gap that touches the second before or after it counts, and of all barriers
the worst. The same watch over the same job without checkpoints, and the longest time between two askings (in which this
process stood still, so that a gap no longer than that says nothing), are shown beside it.
"""

from __future__ import annotations

import large_state
import numpy as np
from large_state import Rows, Watch
from measuring import Options, Report
from pipelines.barrier_gap import longest_gap_near

PACKAGES = ("pyarrow", "numpy")
ROUNDS = 3
CHUNKS = 4
LONGEST_GAP_MS = 20.0


def worst_gap_ms(seen: Watch) -> float:
    """Return the longest gap near any of the barriers."""
    return max(longest_gap_near(seen.outputs, barrier) for barrier in seen.barriers)


def measure(options: Options, report: Report) -> None:
    """Let the backends take turns, each with and without checkpoints."""
    keys = options.size(large_state.KEYS, large_state.KEYS // 16)
    random = np.random.default_rng(3)
    rows = Rows(keys, [random.integers(0, keys, large_state.CHUNK_ROWS, dtype=np.int64) for _ in range(CHUNKS)])
    watched = {"seconds": options.seconds(20, 5), "barriers": 5.0, "pause": 0.0005}
    runs: dict[tuple[str, str], list[Watch]] = {}
    right: dict[str, bool] = {}
    for number in range(min(options.rounds, ROUNDS)):
        for backend, name in large_state.BACKENDS.items():
            for how in ("with", "without"):
                seen, checked = large_state.run(backend, rows, watched, "large_state_gap", how == "with")
                right |= {what: holds and right.get(what, True) for what, holds in checked.items()}
                runs.setdefault((name, how), []).append(seen)
                print(
                    f"  round {number + 1}, {name}, {how} checkpoints: at worst {worst_gap_ms(seen):.1f} ms"
                    f" near {len(seen.barriers)} barriers, blind for {seen.blind_ms():.1f} ms",
                    flush=True,
                )
    for what, holds in right.items():
        report.check(what, holds)
    for (name, how), seen_all in runs.items():
        gaps = [worst_gap_ms(seen) for seen in seen_all]
        ceiling = LONGEST_GAP_MS if how == "with" else None
        what = f"{name}, {how} checkpoints"
        report.ratio(f"{what}: longest gap within 1 s of a barrier", gaps, ceiling=ceiling, unit="ms")
        report.figure(f"{what}: longest time between two askings", [seen.blind_ms() for seen in seen_all], "ms")
        report.figure(what, [seen.rows_a_second() / 1e6 for seen in seen_all], "M rows/s")
        if how == "with":
            report.figure(f"{what}: barriers a run", [float(len(seen.barriers)) for seen in seen_all], "")
            each = [one["duration_ms"] / 1000 for seen in seen_all for one in seen.checkpoints]
            report.figure(f"{what}: a checkpoint takes", each, "s")
