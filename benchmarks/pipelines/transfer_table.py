"""What a checkpoint transfers: bytes and requests with partitions, codec and incremental checkpoints each on and off.

A keyed int64 counter is filled, then 1 % of its keys, drawn uniformly, change before each of 20 checkpoints; bytes are
counted from the checkpoint directory, whole images that end long chains included. Then one key of all changes, in native
and in Python-object state; then the speed of a full checkpoint beside the codec alone, of a restore, and memory a key.
"""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path

import jobs
import numpy as np
from measuring import Options, Report
from rounds_of_change import Counter, Objects, RanRounds, Round, Texts, no_rows, run_rounds

from headrace import KeyedProcessFunction, _core

PACKAGES = ("numpy",)
PARTITION_BYTES = 64 << 10
WHOLE = "16 mb"
CHANGED_SHARE = 0.01
BYTES_PER_KEY_MAX = 64
RESTORE_MB_PER_S = 300


def combinations() -> list[tuple[str, dict[str, str]]]:
    """Return the rows of the table: what is on, and the options for it."""
    rows = []
    for partition, codec, incremental in itertools.product((False, True), repeat=3):
        names = [name for name, on in (("partition", partition), ("codec", codec), ("incremental", incremental)) if on]
        options = {
            "state.partition-size": "64 kb" if partition else WHOLE,
            "state.compression.codec": "zstd" if codec else "none",
            "execution.checkpointing.incremental": str(incremental).lower(),
        }
        rows.append((" + ".join(names) or "nothing", options))
    return rows


def uniform_changes(keys: int, rounds: int) -> list[np.ndarray]:
    """Return all keys once, then 1 % of them for each round."""
    random = np.random.default_rng(7)
    changed = max(1, int(keys * CHANGED_SHARE))
    return [random.permutation(keys), *(random.choice(keys, changed, replace=False) for _ in range(rounds))]


def mean(rounds: list[Round], field: str) -> float:
    """Return the mean of one number over rounds."""
    return statistics.fmean(getattr(entry, field) for entry in rounds)


def measure_table(options: Options, report: Report) -> None:
    """Fill the table; hold the whole engine against what each part gives."""
    keys, rounds = options.size(1_000_000, 50_000), 4 if options.quick else 20
    lines = [f"{'on':>32} {'bytes':>12} {'serialized':>12} {'requests':>9} {'partitions':>11} {'of a full one':>14}"]
    ratios = {}
    full_bytes = 0.0
    for name, settings in combinations():
        with jobs.checkpoint_folder("transfer") as folder:
            later = run_rounds(folder, Counter(), uniform_changes(keys, rounds), settings).counted[1:]
        if "incremental" not in name:
            full_bytes = mean(later, "file_bytes")
        ratios[name] = mean(later, "file_bytes") / full_bytes
        lines.append(
            f"{name:>32} {mean(later, 'file_bytes'):12,.0f} {mean(later, 'serialized_bytes'):12,.0f} "
            f"{mean(later, 'files'):9.1f} {mean(later, 'partitions'):11.1f} {ratios[name]:14.3f}"
        )
        report.check(f"{name}: every round's rows are written", all(e.rows >= e.keys for e in later))
        if name == "partition + codec + incremental":
            rebased = [number for number, e in enumerate(later, 1) if e.rows > 2 * e.keys]
            report.notes.append(f"rounds with whole images among their {rounds}: {rebased or 'none'}")
    report.notes += lines
    print("\n".join(lines), flush=True)
    everything = ratios["partition + codec + incremental"]
    report.ratio("bytes of a checkpoint with 1 % changed / of a full one", [everything], ceiling=0.1)
    report.check("incremental alone saves bytes", ratios["incremental"] < ratios["nothing"])


def measure_objects(options: Options, report: Report) -> None:
    """Hold bytes of increments against those of full checkpoints, of state of Python objects."""
    keys, rounds = options.size(1_000_000, 50_000), 4 if options.quick else 20
    means = []
    for incremental in ("false", "true"):
        with jobs.checkpoint_folder("objects") as folder:
            settings = {"execution.checkpointing.incremental": incremental}
            later = run_rounds(folder, Objects(), uniform_changes(keys, rounds), settings).counted[1:]
        means.append(mean(later, "file_bytes"))
    rebased = [number for number, e in enumerate(later, 1) if e.rows > 2 * e.keys]
    report.notes.append(f"Python objects: rounds with whole images among their {rounds}: {rebased or 'none'}")
    report.ratio("the same of Python objects", [means[1] / means[0]], ceiling=0.1)
    report.figure("a full checkpoint of Python objects", [means[0] / 1e6], "MB")


def measure_one_key(options: Options, report: Report) -> None:
    """Change one key of all: no more than two partitions' worth is serialized and written."""
    keys = options.size(1_000_000, 50_000)
    for name, function in (("native", Counter()), ("Python", Objects())):
        changes = [np.arange(keys), *(np.array([keys // 3]) for _ in range(5))]
        with jobs.checkpoint_folder("one_key") as folder:
            counted = run_rounds(folder, function, changes, {}).counted
        for entry in counted[1:]:
            report.check(f"{name}: one key in at most 2 partitions", 1 <= entry.partitions <= 2)
            report.check(
                f"{name}: at most 2 partitions' worth serialized", entry.serialized_bytes <= 2 * PARTITION_BYTES
            )
            report.check(
                f"{name}: at most 2 partitions' worth written", entry.file_bytes <= 2 * PARTITION_BYTES + 64_000
            )


def payload(folder: Path) -> list[bytes]:
    """Return the bytes of the newest checkpoint's data file, written without a codec, in pieces of a partition."""
    pieces = []
    newest = max(folder.rglob("data-*"), key=lambda path: int(path.name.split("-")[2]))
    for data in [newest.read_bytes()]:
        pieces += [data[at : at + PARTITION_BYTES] for at in range(0, len(data), PARTITION_BYTES)]
    return pieces


def codec_seconds(pieces: list[bytes]) -> float:
    """Return how long the codec alone takes for the pieces."""
    start = time.perf_counter()
    for piece in pieces:
        _core.write_block("zstd", piece)
    return time.perf_counter() - start


def measure_speed(options: Options, report: Report) -> None:
    """Measure a full checkpoint beside the codec on the same bytes, a restore, and memory a key."""
    keys = options.size(4_000_000, 50_000)
    fill = [np.random.default_rng(1).permutation(keys)]
    every = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.incremental": "false"}
    with jobs.checkpoint_folder("plain") as folder:
        run_rounds(folder, Counter(), fill, every | {"state.compression.codec": "none"})
        pieces = payload(folder)
    ratios, speeds = [], []
    for _ in range(options.rounds):
        with jobs.checkpoint_folder("full") as folder:
            job = run_rounds(folder, Counter(), fill, every)
            checkpoint = next(c for c in job.result.checkpoints if c["id"] == job.last_ids[0])
            ratios.append(codec_seconds(pieces) / (checkpoint["duration_ms"] / 1e3))
            report.check("the codec alone gets the bytes of the checkpoint", total(pieces) >= checkpoint["raw_bytes"])
            speeds.append(restore_speed(folder, Counter(), job))
    report.ratio("full checkpoint: the codec's own time / the checkpoint's", ratios, floor=0.7)
    report.ratio("restore of small rows", speeds, floor=RESTORE_MB_PER_S, unit="MB/s")
    report.figure("small rows restored", [checkpoint["raw_bytes"] / 2**20], "MiB in rows of 17 bytes")
    memory = sum(state["bytes"] for state in job.registry) / keys
    report.ratio("memory of an int64 counter", [memory], ceiling=BYTES_PER_KEY_MAX, unit="bytes a key")


def total(pieces: list[bytes]) -> int:
    """Return the bytes of all pieces."""
    return sum(map(len, pieces))


def measure_large_values(options: Options, report: Report) -> None:
    """Measure a restore of 1 GiB in texts of 1 KiB."""
    keys = options.size(1_000_000, 20_000)
    every = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.incremental": "false"}
    with jobs.checkpoint_folder("texts") as folder:
        job = run_rounds(folder, Texts(), [np.random.default_rng(1).permutation(keys)], every)
        restore_speed(folder, Texts(), job)
        speeds = [restore_speed(folder, Texts(), job) for _ in range(options.rounds)]
    report.ratio("restore of texts", speeds, floor=RESTORE_MB_PER_S, unit="MB/s")
    report.figure("texts restored", [state_bytes(job) / 2**20], "MiB in texts of 1 KiB")


def state_bytes(job: RanRounds) -> int:
    """Return the bytes of state as the job's last counted checkpoint tells them."""
    return next(c for c in job.result.checkpoints if c["id"] == job.last_ids[0])["state_bytes"]


def restore_speed(folder: Path, function: KeyedProcessFunction, job: RanRounds) -> float:
    """Return MB of state a second: what a restore adds to a job that has no rows to read."""
    (manifest,) = folder.rglob(f"chk-{job.last_ids[0]}.manifest")
    seconds = []
    for options in ({}, {"execution.state-recovery.path": str(manifest)}):
        start = time.perf_counter()
        no_rows(function, options)
        seconds.append(time.perf_counter() - start)
    return state_bytes(job) / max(seconds[1] - seconds[0], 1e-3) / 1e6


def measure(options: Options, report: Report) -> None:
    """Fill the table, then measure."""
    measure_table(options, report)
    measure_objects(options, report)
    measure_one_key(options, report)
    measure_speed(options, report)
    measure_large_values(options, report)
