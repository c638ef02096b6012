"""Document 004's grouping example: records `1, a` … `4, d` give `a: 1` … `d: 4`."""

from __future__ import annotations

from typing import Any

from headrace import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment, Types, ValueStateDescriptor
from headrace.datastream import DataStream

RECORDS = ["1, a", "2, b", "3, c", "4, d"]


class Group(KeyedProcessFunction):
    """The values of each key, in state and in one line."""

    def __init__(self) -> None:
        self._values: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handle."""
        self._values = runtime_context.get_state(ValueStateDescriptor("values", Types.LIST(Types.STRING())))

    def process_element(self, value: tuple[str, str], ctx: KeyedProcessFunction.Context) -> Any:
        """Adds the value to its group and emits the group."""
        group = [*(self._values.value() or []), value[0]]
        self._values.update(group)
        yield f"{ctx.get_current_key()}: {', '.join(group)}"


def build(env: StreamExecutionEnvironment, rounds: int = 1, rows_per_second: float = 0) -> DataStream:
    """Records the document's program."""
    lines = env.from_collection(RECORDS * rounds, rows_per_second=rows_per_second).uid("lines")
    pairs = lines.map(lambda line: tuple(part.strip() for part in line.split(",")))
    return pairs.key_by(lambda pair: pair[1]).process(Group()).uid("groups")


def main() -> None:
    """Runs the program."""
    env = StreamExecutionEnvironment.get_execution_environment()
    build(env).print()
    env.execute("grouping")


if __name__ == "__main__":
    main()
