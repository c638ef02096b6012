"""Records what checkpoints of a real job cost at several loads and intervals, for the judge of the adaptive interval.

Writes a line for each checkpoint: rows a second, interval before it, seconds from trigger to decision, bytes written,
bytes of state. tests/cpp/checkpoint/interval_replay_test.cc interpolates between them.

    .venv/bin/python benchmarks/checkpoint_costs.py tests/cpp/checkpoint/recorded/checkpoint_costs.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace import Avg, Configuration, Count, Max, Min, StreamExecutionEnvironment, Sum

KEYS = 300_000
LOADS = (500, 2_000, 8_000, 32_000, 128_000)
INTERVALS_MS = (100, 300, 1_000, 3_000)
CHECKPOINTS = 8


def record(load: int, directory: Path) -> list[list[float]]:
    """Runs the job at `load` rows a second, with each interval in turn."""
    seconds = sum(INTERVALS_MS) * (CHECKPOINTS + 3) / 1000 + 60
    rows = KEYS + int(load * seconds)
    random = np.random.default_rng(1)
    # Every key once, so that the state has its full size; then uniform ones.
    keys = np.concatenate([np.arange(KEYS), random.integers(0, KEYS, rows - KEYS)])
    table = pa.table({"key": keys, "value": random.random(rows)})
    options = {"execution.checkpointing.dir": str(directory), "execution.checkpointing.min-pause": "0 ms"}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    every_key = env.from_arrow(table.slice(0, KEYS)).name("every key")
    source = every_key.union(env.from_arrow(table.slice(KEYS), rows_per_second=load).name("load"))
    source.key_by("key").agg(n=Count(), total=Sum("value"), low=Min("value"), high=Max("value"), mean=Avg("value"))
    client = env.execute_async("checkpoint costs")
    while client.metrics().get("every key.rows_read", 0) < KEYS:
        time.sleep(0.01)
    lines: list[list[float]] = []
    for interval_ms in INTERVALS_MS:
        client.set_checkpoint_interval(interval_ms)
        known = len(client.checkpoints())
        while len(client.checkpoints()) < known + CHECKPOINTS + 2:
            time.sleep(0.005)
        # The first two follow another interval.
        for line in client.checkpoints()[known + 2 : known + 2 + CHECKPOINTS]:
            lines.append([load, interval_ms, line["duration_ms"] / 1000, line["bytes_written"], line["state_bytes"]])
    client.cancel().result()
    return lines


def main() -> None:
    """Records all loads into the file that is named."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rows_per_second", "interval_ms", "seconds", "bytes_written", "state_bytes"])
        for load in LOADS:
            with tempfile.TemporaryDirectory() as directory:
                writer.writerows(record(load, Path(directory)))
            file.flush()
            print(f"{load} rows/s recorded", flush=True)


if __name__ == "__main__":
    main()
