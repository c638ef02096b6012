"""Word count with plain lambdas against csp and Bytewax: flat_map, key_by, a running count for each word.

csp and Bytewax run in environments of their own, each a process that lives through all rounds. csp is
measured twice: composed of nodes as headrace's job is composed of steps, which the bound is on, and as one
node that does everything for a line, for information. Every engine counts its results at the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import building
import jobs
import workloads
from measuring import Options, Report, in_turns, speed_ratios

from headrace.datastream import DataStream, StreamExecutionEnvironment


def with_sum(env: StreamExecutionEnvironment, lines: list[str]) -> DataStream:
    """Pairs (word, 1), summed by the built-in running sum."""
    pairs = env.from_collection(lines).flat_map(lambda line: [(word, 1) for word in line.split()])
    return pairs.key_by(lambda pair: pair[0]).sum(1)


def with_reduce(env: StreamExecutionEnvironment, lines: list[str]) -> DataStream:
    """Pairs (word, 1), added up by a lambda."""
    pairs = env.from_collection(lines).flat_map(lambda line: [(word, 1) for word in line.split()])
    return pairs.key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))


def run_headrace(record_job: Any, lines: list[str], words: int) -> float:
    """Return the seconds of a job."""
    env = jobs.environment()
    record_job(env, lines).name("count")
    seconds, result = jobs.timed(env, "word count")
    if result.metrics["count.rows_out"] != words:
        raise RuntimeError(f"{result.metrics['count.rows_out']} results for {words} words")
    return seconds


def check_results(report: Report, lines: list[str], words: int, peers: list[tuple[building.Peer, str]]) -> None:
    """Compare the last count of each word, and the sum of all running counts, with a Counter."""
    counts = Counter(word for line in lines for word in line.split())
    for record_job in (with_sum, with_reduce):
        kept: list = []
        env = jobs.environment()
        record_job(env, lines).add_sink(kept.append)
        env.execute("word count")
        right = workloads.largest_counts(kept) == counts
        right = right and sum(count for _, count in kept) == workloads.triangle_sum(counts)
        report.check(f"headrace {record_job.__name__}", right and len(kept) == words)
    expected = {
        "results": words,
        "digest": workloads.digest(counts),
        "running": workloads.triangle_sum(counts),
    }
    for peer, job in peers:
        report.check(f"{peer.package} {job}", peer.ask(run=job, check=True) == expected)


def measure(options: Options, report: Report) -> None:
    """Compare the job with both peers."""
    words = options.size(2_000_000, 500_000)
    words -= words % workloads.WORDS_PER_LINE
    lines = workloads.lines(words)
    with building.Peer("csp") as csp, building.Peer("bytewax") as bytewax:
        for peer in (csp, bytewax):
            peer.ask(load="lines", size=words)
            report.notes.append(f"{peer.package} {peer.version()}")
        peer_jobs = [(csp, "word_count"), (csp, "word_count_one_node"), (bytewax, "word_count")]
        check_results(report, lines, words, peer_jobs)
        contenders = {
            "headrace, sum": lambda: run_headrace(with_sum, lines, words),
            "csp, composed": lambda: csp.seconds("word_count", words),
            "headrace, reduce": lambda: run_headrace(with_reduce, lines, words),
            "csp, one node a line": lambda: csp.seconds("word_count_one_node", words),
            "Bytewax": lambda: bytewax.seconds("word_count", words),
        }
        times = in_turns(contenders, options.rounds)
    for form in ("sum", "reduce"):
        ours = times[f"headrace, {form}"]
        for peer_name in ("csp, composed", "Bytewax"):
            ratio = speed_ratios(times[peer_name], ours)
            report.ratio(f"{form} / {peer_name}", ratio, floor=1.0)
    one_node = speed_ratios(times["csp, one node a line"], times["headrace, sum"])
    report.ratio("sum / csp, one node a line", one_node)
    for name, seconds in times.items():
        report.figure(name, [words / second / 1e6 for second in seconds], "M words/s")
