"""Document 001, KeyedStateExample: from_elements a, b, c, keyed by themselves, printed.

With parallelism 1 the lines are the elements, with 3 each has its subtask's number in front (`n> a`). Then the key
dictionary: each key's id in its subtask, as the document describes it.
"""

from __future__ import annotations

import sys
from typing import Any

from headrace import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    key_group,
    task_of,
)
from headrace.datastream import DataStream


class Remember(KeyedProcessFunction):
    """Gives each key state, so that it is in the dictionary, and passes the value on."""

    def __init__(self) -> None:
        self._seen: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handle."""
        self._seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Any:
        """Counts the key and passes the value on."""
        self._seen.update((self._seen.value() or 0) + 1)
        yield value


def build(env: StreamExecutionEnvironment, rounds: int = 1, rows_per_second: float = 0) -> DataStream:
    """Records the document's program."""
    elements = env.from_collection(["a", "b", "c"] * rounds, rows_per_second=rows_per_second).uid("elements")
    return elements.key_by(lambda value: value).process(Remember()).uid("remember")


def main(parallelism: int = 1) -> None:
    """Runs the program and prints the key dictionary."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    build(env).print()
    env.execute("KeyedStateExample")
    print("key dictionary (key: key group, task):")
    for key in ["a", "b", "c"]:
        print(f"  {key!r}: {key_group(key)}, {task_of(key, parallelism)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
