"""Where a stream ends (PyFlink has the class in `pyflink.datastream.data_stream`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.datastream.transformation import Transformation, check_parallelism

if TYPE_CHECKING:
    from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment


class DataStreamSink:
    """The end of a stream."""

    def __init__(self, env: StreamExecutionEnvironment, step: Transformation) -> None:
        self._env = env
        self._step = step

    def name(self, name: str) -> DataStreamSink:
        """Names the sink for people."""
        self._step.name = name
        return self

    def uid(self, uid: str) -> DataStreamSink:
        """Names the sink's state in checkpoints."""
        self._step.uid = uid
        return self

    def set_parallelism(self, parallelism: int) -> DataStreamSink:
        """Sets how many subtasks the sink has."""
        check_parallelism(parallelism)
        self._step.parallelism = parallelism
        return self

    def set_description(self, description: str) -> DataStreamSink:
        """Accepted for PyFlink programs; only the name is shown."""
        return self

    def disable_chaining(self) -> DataStreamSink:
        """Gives the sink a task of its own."""
        self._step.disable_chaining = True
        return self
