"""Document 002: Kafka, key_by("key"), flat_map, 10 s event-time windows, aggregate(Sum(), "sum"), Kafka.

The topics are kept in memory by the module `flink` beside this file; records are dicts with `key` and `ts` (ms). Changed as
little as possible: a watermark strategy is added, as windows of event time never end without one. After the flat_map the
records are pairs (x, 1): the second `key_by("key")` reads the field of the pair's first element.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from flink import (  # type: ignore[import-not-found]
    FlinkKafkaConsumer,
    FlinkKafkaProducer,
    StreamExecutionEnvironment,
    Sum,
    Time,
    TumblingEventTimeWindows,
    topics,
)  # fmt: skip

from headrace import WatermarkStrategy

BROKER = {"bootstrap.servers": "localhost:9092"}


def fill(topic: str, count: int = 60) -> None:
    """Puts `count` records of three keys, one a second of event time, into a topic."""
    topics[topic][:] = [{"key": "abc"[i % 3], "ts": 1000 * i} for i in range(count)]


def build(env: Any, pause_seconds: float = 0) -> Any:
    """Records the document's program up to the windows' results."""
    kafka_consumer = FlinkKafkaConsumer("input_topic", "group_id", BROKER, pause_seconds)
    data_stream = env.add_source(kafka_consumer).uid("input")
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1 s").with_timestamp_field("ts")
    timed = data_stream.assign_timestamps_and_watermarks(strategy).uid("times").set_parallelism(1)
    return (
        timed.key_by("key").flat_map(lambda x: [(x, 1)])
        .key_by("key")
        .window(TumblingEventTimeWindows.of(Time.seconds(10)))
        .aggregate(Sum(), "sum").uid("sums")
    )  # fmt: skip


def main() -> None:
    """Runs the program and prints what is in the output topic."""
    env = StreamExecutionEnvironment.get_execution_environment()
    fill("input_topic")
    topics["output_topic"].clear()
    kafka_producer = FlinkKafkaProducer("output_topic", "group_id", BROKER)
    build(env).add_sink(kafka_producer)
    env.execute("Flink状态管理与检查点高级优化")
    for row in topics["output_topic"]:
        print(row)


if __name__ == "__main__":
    main()
