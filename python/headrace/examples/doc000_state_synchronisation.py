"""Document 000, state synchronisation: state that is shared between tasks by messages.

The document says that a task has local state and passes what others must know to them as messages. In Flink, and here, that
is broadcast state: a stream of rules goes to every task, each task keeps them all, and the records of the other stream are
judged by what is there. The rules are part of every checkpoint; restored, each task has them, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headrace import (
    BroadcastProcessFunction,
    MapStateDescriptor,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
)
from headrace.datastream import DataStream

RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())


class CheckAgainstRules(BroadcastProcessFunction):
    """Judges each reading by the limit that its task knows."""

    def __init__(self) -> None:
        self.task = -1

    def open(self, runtime_context: RuntimeContext) -> None:
        """Learns which task it is."""
        self.task = runtime_context.get_index_of_this_subtask()

    def process_element(self, value: int, ctx: Any) -> Iterable[Any]:
        """(task, reading, limit): what the task goes by; 0 before the first rule."""
        yield self.task, value, ctx.get_broadcast_state(RULES).get("limit") or 0

    def process_broadcast_element(self, value: tuple[str, int], ctx: Any) -> Iterable[Any]:
        """Takes a rule over: every task gets each of them."""
        name, limit = value
        ctx.get_broadcast_state(RULES).put(name, limit)
        yield self.task, name, limit


def build(readings: DataStream, rules: DataStream) -> DataStream:
    """Records the program over a stream of numbers and one of (rule, limit)."""
    return readings.rebalance().connect(rules.broadcast(RULES)).process(CheckAgainstRules()).uid("check")


def main(parallelism: int = 3) -> None:
    """Prints what each task is told and what it makes of the readings."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    readings = env.from_collection(range(12), rows_per_second=200)
    build(readings, env.from_collection([("limit", 10), ("limit", 20)])).print()
    env.execute("state synchronisation")


if __name__ == "__main__":
    main()
