"""Document 000, FlinkStatefulApp: a custom source, a keyed process function, 10 s windows, a rich aggregate.

What the twin adds, as the document leaves bodies and types open: words with event times as records, a running count per
word as the process function, their concatenation as the aggregate. `processed.window(...)` on a stream that is not keyed
means window_all, as in the document. `call()` is the document's form of the source; with `snapshot_state` and
`restore_state` it is replayed exactly after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from headrace import (
    Collector,
    KeyedProcessFunction,
    RichAggregateFunction,
    RuntimeContext,
    SourceFunction,
    StreamExecutionEnvironment,
    Time,
    TimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from headrace.datastream import DataStream

WORDS = ["state", "window", "state", "barrier", "window", "state"]


class WordSource(SourceFunction):
    """Document 000's source: `call()` gives (word, event time in ms), one every 2 s of event time."""

    def __init__(self, rounds: int, pause_seconds: float) -> None:
        self._remaining = range(rounds * len(WORDS))
        self._pause_seconds = pause_seconds

    def call(self) -> Iterator[tuple[str, int]]:
        """The records that are still to come."""
        for position in self._remaining:
            if self._pause_seconds:
                time.sleep(self._pause_seconds)
            self._remaining = range(position + 1, self._remaining.stop)
            yield WORDS[position % len(WORDS)], position * 2000

    def snapshot_state(self) -> int:
        """Position of the next record."""
        return self._remaining.start

    def restore_state(self, state: int) -> None:
        """Goes on from a position."""
        self._remaining = range(state, self._remaining.stop)


class CountWords(KeyedProcessFunction):
    """The document's three-argument process function: a running count per word."""

    def __init__(self) -> None:
        self._count: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Registers the state: the document's step 1."""
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: tuple[str, int], ctx: KeyedProcessFunction.Context, out: Collector) -> None:
        """Counts and emits."""
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        out.collect(f"{value[0]}#{count}")


class JoinWords(RichAggregateFunction):
    """The document's rich aggregate: the window's words in one line."""

    def __init__(self) -> None:
        self.location: str | None = None

    def accumulate(self, value: str, accumulator: list[str]) -> None:
        """Takes one word in."""
        accumulator.append(value)

    def get_result(self, accumulator: list[str]) -> str:
        """The words in order."""
        return " ".join(sorted(accumulator))

    def reset_state(self, location: Any, runtime_context: RuntimeContext) -> None:
        """Told once where it runs."""
        self.location = str(location)


def build(env: StreamExecutionEnvironment, rounds: int = 5, pause_seconds: float = 0) -> DataStream:
    """Records the document's program."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda value, _: value[1])
    words = env.add_source(WordSource(rounds, pause_seconds), "words").uid("words")
    timed = words.assign_timestamps_and_watermarks(strategy).uid("times").set_parallelism(1)
    processed = timed.key_by(lambda value: value[0]).process(CountWords()).uid("counts")
    return processed.window(TimeWindows.of(Time.seconds(10))).aggregate(JoinWords()).uid("windows")


def main() -> None:
    """Runs the program and prints each window."""
    env = StreamExecutionEnvironment.get_execution_environment()
    build(env).print()
    env.execute("Flink Stateful App")


if __name__ == "__main__":
    main()
