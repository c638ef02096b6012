"""Word count and a keyed counter in csp, each as a composition of nodes and as one node written by hand."""

from datetime import datetime, timedelta
from typing import Any

import csp
import numpy as np
import serving
from csp import ts

START = datetime(2020, 1, 1)
arrays: dict[str, Any] = {}


def curve(data: list, kind: type) -> Any:
    """One engine cycle for each item, a microsecond apart; a NumPy curve is csp's quickest source of a list."""
    # The arrays are made once for a list, in the round that does not count.
    if arrays.get("of") is not data:
        times = np.datetime64(START) + np.arange(len(data)).astype("timedelta64[us]")
        values = np.empty(len(data), dtype=object)
        values[:] = data
        arrays.update(of=data, times=times.astype("datetime64[ns]"), values=values)
    return csp.curve(kind, (arrays["times"], arrays["values"]))


@csp.node
def count_items(items: ts[object]) -> ts[object]:
    with csp.state():
        s_counts = {}
    if csp.ticked(items):
        count = s_counts.get(items, 0) + 1
        s_counts[items] = count
        return (items, count)


@csp.node
def split_and_count(line: ts[str]) -> ts[object]:
    with csp.state():
        s_counts = {}
    if csp.ticked(line):
        results = []
        for word in line.split():
            count = s_counts.get(word, 0) + 1
            s_counts[word] = count
            results.append((word, count))
        return results


@csp.node
def count_keys(record: ts[object]) -> ts[object]:
    with csp.state():
        s_counts = {}
    if csp.ticked(record):
        key = record[1]
        count = s_counts.get(key, 0) + 1
        s_counts[key] = count
        return (key, count)


@csp.node
def count_list_items(items: ts[object]) -> ts[int]:
    with csp.state():
        s_total = 0
    if csp.ticked(items):
        s_total += len(items)
        return s_total


def run(results: Any, items: int, collect: bool, lists: bool = False) -> Any:
    """Run the graph; the sink keeps everything, or only counts in a node."""

    @csp.graph
    def whole() -> None:
        if collect:
            csp.add_graph_output("results", results())
        else:
            counted = count_list_items(results()) if lists else csp.count(results())
            csp.add_graph_output("results", counted, tick_count=1)

    end = START + timedelta(microseconds=items + 1)
    output = csp.run(whole, starttime=START, endtime=end)["results"]
    if not collect:
        return int(output[0][1])
    values = [value for _, value in output]
    return [pair for value in values for pair in value] if lists else values


def word_count(data: list, collect: bool) -> Any:
    """Split by a lambda, unroll, count in a node: what corresponds to flat_map and key_by."""

    def results() -> Any:
        words = csp.apply(curve(data, str), lambda line: line.split(), list[str])
        return count_items(csp.unroll(words))

    return run(results, len(data), collect)


def word_count_one_node(data: list, collect: bool) -> Any:
    """The whole job in one node, one list of results for a line."""
    return run(lambda: split_and_count(curve(data, str)), len(data), collect, lists=True)


def keyed_counter(data: list, collect: bool) -> Any:
    """One hand-written node with a dict."""
    return run(lambda: count_keys(curve(data, object)), len(data), collect)


serving.serve(
    {
        "word_count": word_count,
        "word_count_one_node": word_count_one_node,
        "keyed_counter": keyed_counter,
    }
)
