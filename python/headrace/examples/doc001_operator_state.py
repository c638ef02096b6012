"""Document 001, OperatorStateExample: a count as an instance field, and as keyed state.

As written in the document the count is a plain field of the function: it prints Count: 1, 2, 3 in one subtask, and is lost by
a crash, as headrace cannot know of it. With a ValueState each key has its own: 1, 1, 1, kept by checkpoints.
"""

from __future__ import annotations

from typing import Any

from headrace import (
    Collector,
    KeyedProcessFunction,
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


def build(
    env: StreamExecutionEnvironment, function: KeyedProcessFunction, rounds: int = 1, rows_per_second: float = 0
) -> DataStream:
    """Records the document's program with one of the functions."""
    elements = env.from_collection(["a", "b", "c"] * rounds, rows_per_second=rows_per_second).uid("elements")
    return elements.key_by(lambda value: value).process(function).uid("count")


def main() -> None:
    """Runs both forms."""
    for function in [MyProcessFunction(), CountPerKey()]:
        print(f"{type(function).__name__}:")
        env = StreamExecutionEnvironment.get_execution_environment()
        build(env, function).print()
        env.execute("OperatorStateExample")


if __name__ == "__main__":
    main()
