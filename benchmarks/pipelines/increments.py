"""Bytes of checkpoints when 1 % of the keys change between them, on every backend.

A keyed int64 counter is filled, then 1 % of its keys, drawn uniformly, change before each of 20 checkpoints. Bytes are
counted from the checkpoint directory, whole images that end long chains included and listed, and divided by those that the
same rounds take with whole checkpoints. Nothing here depends on the speed of the machine.
"""

from __future__ import annotations

import jobs
from measuring import Options, Report
from pipelines.transfer_table import mean, uniform_changes
from rounds_of_change import Counter, run_rounds

PACKAGES = ("numpy",)
BACKENDS = ("hashmap", "disk", "rocksdb")
WHOLE_ROUNDS = 3


def measure(options: Options, report: Report) -> None:
    """Compare increments with whole checkpoints on each backend."""
    keys, rounds = options.size(1_000_000, 50_000), 4 if options.quick else 20
    changes = uniform_changes(keys, rounds)
    for backend in BACKENDS:
        means = []
        for incremental, used in (("false", changes[: WHOLE_ROUNDS + 1]), ("true", changes)):
            settings = {"state.backend.type": backend, "execution.checkpointing.incremental": incremental}
            with jobs.checkpoint_folder("increments") as folder:
                later = run_rounds(folder, Counter(), used, settings).counted[1:]
            report.check(f"{backend}: every round's rows are written", all(e.rows >= e.keys for e in later))
            means.append(mean(later, "file_bytes"))
        rebased = [number for number, entry in enumerate(later, 1) if entry.rows > 2 * entry.keys]
        report.notes.append(f"{backend}: rounds with whole images among their {rounds}: {rebased or 'none'}")
        report.ratio(f"{backend}: 1 % changed / whole", [means[1] / means[0]], ceiling=0.1)
        report.figure(f"{backend}: a whole checkpoint", [means[0] / 1e6], "MB")
