"""An opaque keyed Python function against the least that CPython allows, and against csp and Bytewax.

Key lambda, `process_element` as a generator or returning a tuple, a ValueState counter read and written for
each record. The bare loop (bare_loop/bare_loop.cc) runs the very same function. Nothing follows the
process step in headrace: its results are made, checked for emission, batched and counted by the engine, then
dropped, as the bare loop drops them. A run whose results are kept shows beforehand that they are right.

csp's node returns its one result, so the form that returns is held against it. What `yield` reaches is bounded
by the generator that Python makes for each record; its ratio is reported beside.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import building
import jobs
import workloads
from measuring import Options, Report, in_turns, speed_ratios

from headrace import KeyedProcessFunction, Types, ValueStateDescriptor


class YieldingCounter(KeyedProcessFunction):
    """Yields (key, running count)."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[tuple[int, int]]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield (value[1], count)


class ReturningCounter(YieldingCounter):
    """Returns a tuple with the one result."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return ((value[1], count),)


class BareContext:
    """What a function's `open` asks for, where there is only one state."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def get_state(self, descriptor: ValueStateDescriptor) -> Any:
        return self.state


def run_bare(module: Any, function: Any, records: list, kept: list | None = None) -> float:
    """Return the seconds of the bare loop."""
    loop = module.Loop()
    function.open(BareContext(loop.state))
    start = time.perf_counter()
    count = loop.run(records, lambda record: record[1], function.process_element, None, kept)
    seconds = time.perf_counter() - start
    if count != len(records):
        raise RuntimeError(f"{count} results for {len(records)} records")
    return seconds


def run_headrace(function: Any, records: list) -> float:
    """Return the seconds of the job; the list was handed over before the clock starts."""
    env = jobs.environment()
    stream = env.from_collection(records).key_by(lambda record: record[1]).process(function)
    stream.name("counter")
    seconds, result = jobs.timed(env, "counter")
    count = result.metrics["counter.rows_out"]
    if count != len(records):
        raise RuntimeError(f"{count} results for {len(records)} records")
    return seconds


def headrace_results(function: Any, records: list) -> list:
    """Return all results of the job."""
    kept: list = []
    env = jobs.environment()
    stream = env.from_collection(records).key_by(lambda record: record[1]).process(function)
    stream.add_sink(kept.append)
    env.execute("counter")
    return kept


def check_results(report: Report, module: Any, records: list, peers: list[building.Peer]) -> None:
    """Compare every engine's results with a dict."""
    counts: dict[int, int] = {}
    expected = []
    for record in records:
        count = counts[record[1]] = counts.get(record[1], 0) + 1
        expected.append((record[1], count))
    for form in (YieldingCounter, ReturningCounter):
        kept: list = []
        run_bare(module, form(), records, kept)
        report.check(f"bare loop, {form.__name__}", kept == expected)
        report.check(f"headrace, {form.__name__}", headrace_results(form(), records) == expected)
    for peer in peers:
        answer = peer.ask(run="keyed_counter", check=True)
        right = answer["results"] == len(records) and answer["digest"] == workloads.digest(counts)
        report.check(f"{peer.package} keyed counter", right)


def measure(options: Options, report: Report) -> None:
    """Compare both forms with the bare loop and with the peers."""
    records = workloads.records(options.size(2_000_000, 400_000))
    module = building.build_bare_loop()
    with building.Peer("csp") as csp, building.Peer("bytewax") as bytewax:
        for peer in (csp, bytewax):
            peer.ask(load="records", size=len(records))
            report.notes.append(f"{peer.package} {peer.version()}")
        check_results(report, module, records, [csp, bytewax])
        contenders = {
            "headrace, yield": lambda: run_headrace(YieldingCounter(), records),
            "bare loop, yield": lambda: run_bare(module, YieldingCounter(), records),
            "headrace, tuple": lambda: run_headrace(ReturningCounter(), records),
            "bare loop, tuple": lambda: run_bare(module, ReturningCounter(), records),
            "csp, one node": lambda: csp.seconds("keyed_counter", len(records)),
            "Bytewax": lambda: bytewax.seconds("keyed_counter", len(records)),
        }
        times = in_turns(contenders, options.rounds)
    ours = times["headrace, yield"]
    report.ratio("yield / bare loop", speed_ratios(times["bare loop, yield"], ours), floor=0.7)
    tuples = speed_ratios(times["bare loop, tuple"], times["headrace, tuple"])
    report.ratio("returned tuple / bare loop", tuples, floor=0.7)
    csp_seconds = times["csp, one node"]
    report.ratio("returned tuple / csp, one node", speed_ratios(csp_seconds, times["headrace, tuple"]), floor=1.0)
    report.ratio("yield / csp, one node", speed_ratios(csp_seconds, ours))
    report.ratio("yield / Bytewax", speed_ratios(times["Bytewax"], ours), floor=1.0)
    for name, seconds in times.items():
        report.figure(name, [len(records) / second / 1e6 for second in seconds], "M records/s")
