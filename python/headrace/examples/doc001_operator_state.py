"""Document 001, OperatorStateExample: a count as an instance field, as keyed state, and as operator state.

As written in the document the count is a plain field of the function: it prints Count: 1, 2, 3 in one subtask, and is lost by
a crash, as headrace cannot know of it. With a ValueState each key has its own: 1, 1, 1, kept by checkpoints. What the
document means by operator state is a CheckpointedFunction (Java Flink's, which PyFlink lacks): the count of the subtask, as
in the first form, put into a list at each checkpoint. It survives a crash, and when the number of subtasks changes, the
elements of the lists are dealt out, so that the counts still add up.
"""

from __future__ import annotations

from typing import Any

from headrace import (
    CheckpointedFunction,
    Collector,
    FunctionInitializationContext,
    FunctionSnapshotContext,
    KeyedProcessFunction,
    ListStateDescriptor,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
)
from headrace.datastream import DataStream


class MyProcessFunction(KeyedProcessFunction):
    """The document's function, three arguments and all: counts in an instance field."""

    def __init__(self) -> None:
        self.count = 0

    def process_element(self, value: str, ctx: KeyedProcessFunction.ReadOnlyContext, out: Collector) -> None:
        """Counts every record of the subtask."""
        self.count += 1
        out.collect(f"Count: {self.count}")


class CountPerKey(KeyedProcessFunction):
    """The same with a ValueState: one count a key, part of every checkpoint."""

    def __init__(self) -> None:
        self._count: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handle."""
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context, out: Collector) -> None:
        """Counts the key's records."""
        self._count.update((self._count.value() or 0) + 1)
        out.collect(f"Count: {self._count.value()}")


class CheckpointedCount(CheckpointedFunction, KeyedProcessFunction):
    """The same with operator state: one count a subtask, part of every checkpoint."""

    def __init__(self) -> None:
        self.count = 0
        self._counts: Any = None

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Takes the list, and from it the counts that this subtask was dealt."""
        self._counts = context.get_operator_state_store().get_list_state(ListStateDescriptor("counts", Types.LONG()))
        self.count = sum(self._counts.get())

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """Puts the count into the list."""
        self._counts.update([self.count])

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context, out: Collector) -> None:
        """Counts every record of the subtask."""
        self.count += 1
        out.collect(f"Count: {self.count}")


def build(
    env: StreamExecutionEnvironment, function: KeyedProcessFunction, rounds: int = 1, rows_per_second: float = 0
) -> DataStream:
    """Records the document's program with one of the functions."""
    elements = env.from_collection(["a", "b", "c"] * rounds, rows_per_second=rows_per_second).uid("elements")
    return elements.key_by(lambda value: value).process(function).uid("count")


def main() -> None:
    """Runs the three forms."""
    for function in [MyProcessFunction(), CountPerKey(), CheckpointedCount()]:
        print(f"{type(function).__name__}:")
        env = StreamExecutionEnvironment.get_execution_environment()
        build(env, function).print()
        env.execute("OperatorStateExample")


if __name__ == "__main__":
    main()
