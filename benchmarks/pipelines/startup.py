"""Hello world, import included, against an empty Python program: wall time of whole processes."""

from __future__ import annotations

import subprocess
import sys
import time

from measuring import Options, Report, in_turns

HELLO = """
from headrace import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.from_elements(1, 2, 3).map(lambda x: x * 10).print()
env.execute()
"""


def seconds_of(program: str, prints: str) -> float:
    """Run a program and return its wall time; it must print exactly that."""
    start = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if ran.stdout != prints:
        raise RuntimeError(f"printed {ran.stdout!r}, not {prints!r}")
    return seconds


def measure(options: Options, report: Report) -> None:
    """Compare both in turns, twice as many rounds as elsewhere: a round is short."""
    contenders = {
        "hello world": lambda: seconds_of(HELLO, "10\n20\n30\n"),
        "empty program": lambda: seconds_of("pass", ""),
    }
    times = in_turns(contenders, 2 * options.rounds)
    report.check("hello world prints its three numbers", True)
    pairs = zip(times["hello world"], times["empty program"], strict=True)
    report.ratio(
        "hello world - empty program",
        [hello - empty for hello, empty in pairs],
        ceiling=0.3,
        unit="s",
    )
    for name, seconds in times.items():
        report.figure(name, seconds, "s")
