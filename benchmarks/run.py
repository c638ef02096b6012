"""Measures whole pipelines: `make bench`, or `.venv/bin/python benchmarks/run.py --help`.

Each pipeline runs in a process of its own and leaves benchmarks/results/<name>.json. README.md has the rules.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measuring import RECORDED, RESULTS, SCRATCH, Options, Report, print_table, warm_memory

HERE = Path(__file__).resolve().parent
PIPELINES = {
    "windows_vs_duckdb": "typed tumbling windows against DuckDB's one-thread GROUP BY",
    "keyed_python_vs_bare_loop": "keyed Python function against a bare C++ loop, csp and Bytewax",
    "wordcount_peers": "word count with plain lambdas against csp and Bytewax",
    "checkpoint_overhead": "cost of a checkpoint a second",
    "barrier_gap": "longest gap between two batches near a barrier, at 10 k to 10 M keys",
    "large_state_gap": "the same with 1 GiB of state, on the memory backend and RocksDB",
    "large_state_overhead": "cost of a checkpoint a second with 5 % of 1 GiB changed",
    "transfer_table": "bytes and requests of checkpoints with partitions, codec and increments each on and off",
    "increments": "bytes of checkpoints with 1 % of the keys changed, on every backend",
    "backends": "the keyed counter on the memory, disk and RocksDB backends",
    "startup": "hello world against an empty Python program",
    "memory_flat": "resident memory over 100 M records",
    "latency": "p99 at 10,000 records a second through a keyed Python function",
    "two_workers": "the first jobs with parallelism 1 and 2",
    "backpressure": "a sink 100 times slower for three minutes: memory, checkpoints, speed afterwards",
    "soak": "an hour at 70 % load with a checkpoint a second: nothing grows",
}
ONLY_WHEN_NAMED = ("soak",)
ROUNDS_MIN = 5
WARM_GIGABYTES = 6
PIPELINE_SECONDS_MAX = 5400


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    listing = "\n".join(f"  {name:26} {what}" for name, what in PIPELINES.items())
    parser = argparse.ArgumentParser(
        description="Measures whole pipelines beside other engines.",
        epilog="pipelines:\n" + listing,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="pipeline", help="which to run; all but soak if none")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, a few minutes in all")
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN, help="rounds of A B A B (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies rows and durations")
    parser.add_argument("--no-warm", action="store_true", help="memory was warmed already")
    parser.add_argument("--record", action="store_true", help="keep results that passed in benchmarks/recorded")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in PIPELINES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(PIPELINES)}")
    if arguments.record and (arguments.quick or arguments.scale != 1 or arguments.rounds < ROUNDS_MIN):
        parser.error("--record keeps full runs only")
    if arguments.rounds < 1 or arguments.scale <= 0:
        parser.error("--rounds and --scale must be positive")
    return arguments


def run_here(name: str, options: Options) -> None:
    """Measure one pipeline in this process and write its result."""
    report = Report(name, options)
    module = importlib.import_module(f"pipelines.{name}")
    module.measure(options, report)
    report.write(getattr(module, "PACKAGES", ()))


def run_apart(name: str, arguments: argparse.Namespace) -> bool:
    """Measure one pipeline in a new process; tell whether it wrote a result."""
    result = RESULTS / f"{name}.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, HERE / "run.py", name, "--child"]
    command += ["--rounds", str(arguments.rounds), "--scale", str(arguments.scale)]
    command += ["--quick"] if arguments.quick else []
    try:
        ended = subprocess.run(command, check=False, timeout=PIPELINE_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        print(f"{name}: given up after {PIPELINE_SECONDS_MAX} s", flush=True)
        return False
    return ended.returncode == 0 and result.exists()


def main() -> int:
    """Run the chosen pipelines, print the table, and return 1 when one did not pass."""
    arguments = parse_arguments()
    if arguments.child:
        options = Options(arguments.rounds, arguments.quick, arguments.scale)
        run_here(arguments.names[0], options)
        return 0
    if not arguments.no_warm:
        print(f"warmed {warm_memory(WARM_GIGABYTES):.1f} GiB of memory", flush=True)
    broken = []
    names = arguments.names or [name for name in PIPELINES if name not in ONLY_WHEN_NAMED]
    for name in names:
        print(f"{time.strftime('%H:%M:%S')} {name}: {PIPELINES[name]}", flush=True)
        if not run_apart(name, arguments):
            broken.append(name)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    results = {
        name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in names if name not in broken
    }
    print_table(results)
    if arguments.record:
        RECORDED.mkdir(exist_ok=True)
        for name, result in results.items():
            if result["passed"]:
                shutil.copy(RESULTS / f"{name}.json", RECORDED)
    failed = broken + [name for name, result in results.items() if not result["passed"]]
    if failed:
        print("not passed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
