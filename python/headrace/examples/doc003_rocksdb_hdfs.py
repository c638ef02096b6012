"""Document 003's job: text from HDFS, state with checkpoints in HDFS, the length of every line printed.

It needs a name node at `hdfs://localhost:9000`, as the document's does, with text below `/flink/input`:

    python -m headrace.examples.doc003_rocksdb_hdfs [hdfs://host:port]

Other than in the document the function says which state it wants (`state_descriptor`), the job has a name and takes
checkpoints, and it goes on from the newest one when it is started again.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from headrace import (
    Configuration,
    MapFunctionWithState,
    RocksDBStateBackend,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
)
from headrace.datastream import DataStream

NAME_NODE = "hdfs://localhost:9000"
LOG = logging.getLogger(__name__)


class Length(MapFunctionWithState[str, int, Any]):
    """The document's function: keeps the line, gives its length. What happens to the state is logged."""

    state_descriptor = ValueStateDescriptor("line", Types.STRING())

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called before the first record; the state is there, restored if there was a checkpoint."""
        LOG.info("initialize: subtask %d", runtime_context.get_index_of_this_subtask())

    def process(self, value: str, context: Any, state: Any) -> int:
        """Updates the state with the line and asks it for the line's length."""
        before = state.value()
        LOG.info("create" if before is None else "query: %r", *([] if before is None else [before]))
        state.update(value)
        LOG.info("update: %r", value)
        return len(state.value())


def environment(name_node: str = NAME_NODE, interval: str = "1 s") -> StreamExecutionEnvironment:
    """The document's environment, resuming from the newest checkpoint."""
    options = {"execution.checkpointing.interval": interval, "execution.state-recovery.path": "latest"}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_state_backend(RocksDBStateBackend(f"{name_node}/flink/checkpoints"))
    return env


def build(
    env: StreamExecutionEnvironment, name_node: str = NAME_NODE, rows_per_second: float = 0, keyed: bool = False
) -> DataStream:
    """Records the document's program. Keyed by the first letter each key has a state; else each subtask has one."""
    text = env.read_text_file(f"{name_node}/flink/input", rows_per_second=rows_per_second).uid("text")
    stream = text.key_by(lambda line: line[:1], Types.STRING()) if keyed else text
    return stream.flat_map(Length(), Types.INT()).uid("lengths")


def main(name_node: str = NAME_NODE) -> None:
    """Runs the program."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    env = environment(name_node)
    build(env, name_node).print()
    for message in env.execute("document 003").messages:
        LOG.info("restore: %s" if message.startswith("resumed") else "%s", message)


if __name__ == "__main__":
    main(*sys.argv[1:2])
