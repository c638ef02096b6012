"""The module `flink` that document 002 imports from: headrace's names, and Kafka topics kept in memory.

A topic is a list of dicts. The consumer's position is part of every checkpoint, so a replay reads the same records.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from headrace import SinkFunction, SourceFunction, StreamExecutionEnvironment, Sum, Time, TumblingEventTimeWindows

__all__ = [
    "FlinkKafkaConsumer", "FlinkKafkaProducer", "StreamExecutionEnvironment", "Sum", "Time", "TumblingEventTimeWindows",
    "topics",
]  # fmt: skip

topics: dict[str, list[Any]] = defaultdict(list)


class FlinkKafkaConsumer(SourceFunction):
    """Reads a topic from the start to its end."""

    def __init__(self, topic: str, group_id: str, properties: dict[str, str], pause_seconds: float = 0) -> None:
        self.topic = topic
        self.group_id = group_id
        self.properties = properties
        self._pause_seconds = pause_seconds
        self._offset = 0
        self._cancelled = False

    def run(self, ctx: Any) -> None:
        """Hands over the topic's records."""
        records = topics[self.topic]
        while self._offset < len(records) and not self._cancelled:
            record = records[self._offset]
            self._offset += 1
            ctx.collect(record)
            if self._pause_seconds:
                time.sleep(self._pause_seconds)

    def cancel(self) -> None:
        """Stops after the current record."""
        self._cancelled = True

    def snapshot_state(self) -> int:
        """Offset of the next record."""
        return self._offset

    def restore_state(self, state: int) -> None:
        """Goes on at an offset."""
        self._offset = state


class FlinkKafkaProducer(SinkFunction):
    """Appends to a topic. At least once."""

    def __init__(self, topic: str, group_id: str, properties: dict[str, str]) -> None:
        self.topic = topic
        self.group_id = group_id
        self.properties = properties

    def invoke(self, value: Any) -> None:
        """Appends one record."""
        topics[self.topic].append(value)

    def __deepcopy__(self, memo: dict[int, Any]) -> FlinkKafkaProducer:
        return self  # the topic is shared by all subtasks, as a broker is
