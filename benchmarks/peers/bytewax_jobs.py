"""Word count and a keyed counter in Bytewax: one worker, batches of 1,000, state by `stateful_batch`."""

from typing import Any

import bytewax.operators as op
import serving
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

BATCH = 1000


class ListPartition(StatelessSourcePartition):
    """Hands out slices."""

    def __init__(self, data: list) -> None:
        self.data = data
        self.next = 0

    def next_batch(self) -> list:
        if self.next >= len(self.data):
            raise StopIteration
        batch = self.data[self.next : self.next + BATCH]
        self.next += BATCH
        return batch


class ListSource(DynamicSource):
    def __init__(self, data: list) -> None:
        self.data = data

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ListPartition:
        return ListPartition(self.data)


class Results(DynamicSink, StatelessSinkPartition):
    """Counts what comes, and keeps it if asked."""

    def __init__(self, collect: bool) -> None:
        self.collect = collect
        self.kept: list = []
        self.count = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Results":
        return self

    def write_batch(self, items: list) -> None:
        self.count += len(items)
        if self.collect:
            self.kept.extend(items)


class Counter(StatefulBatchLogic):
    def __init__(self, resume: int | None) -> None:
        self.count = resume or 0

    def on_batch(self, values: list) -> tuple[list, bool]:
        first = self.count + 1
        self.count += len(values)
        return list(range(first, self.count + 1)), StatefulBatchLogic.RETAIN

    def snapshot(self) -> int:
        return self.count


def run(flow: Dataflow, stream: Any, collect: bool) -> Any:
    sink = Results(collect)
    op.output("sink", op.stateful_batch("count", stream, Counter), sink)
    run_main(flow)
    return sink.kept if collect else sink.count


def word_count(data: list, collect: bool) -> Any:
    flow = Dataflow("word_count")
    words = op.flat_map("split", op.input("lines", flow, ListSource(data)), lambda line: line.split())
    return run(flow, op.key_on("key", words, lambda word: word), collect)


def keyed_counter(data: list, collect: bool) -> Any:
    # A key must be a str here: the one conversion that the other engines do not need.
    flow = Dataflow("keyed_counter")
    records = op.input("records", flow, ListSource(data))
    return run(flow, op.key_on("key", records, lambda record: str(record[1])), collect)


serving.serve({"word_count": word_count, "keyed_counter": keyed_counter})
