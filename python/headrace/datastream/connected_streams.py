"""A stream together with a broadcast stream (PyFlink's `BroadcastStream`, `BroadcastConnectedStream`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.common.typeinfo import TypeInformation
from headrace.datastream.functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from headrace.datastream.state import MapStateDescriptor
from headrace.datastream.transformation import Edge, schema_of

if TYPE_CHECKING:
    from headrace.datastream.data_stream import DataStream


class BroadcastStream:
    """A stream whose records every subtask of the next step gets, with the states they are kept in."""

    def __init__(self, input_stream: DataStream, broadcast_state_descriptors: tuple[MapStateDescriptor, ...]) -> None:
        for descriptor in broadcast_state_descriptors:
            if not isinstance(descriptor, MapStateDescriptor):
                raise TypeError(f"broadcast: expected MapStateDescriptors, got {type(descriptor).__name__}")
        self.input_stream = input_stream
        self.broadcast_state_descriptors = broadcast_state_descriptors


class BroadcastConnectedStream:
    """A stream, keyed or not, connected with a broadcast stream."""

    def __init__(self, non_broadcast_stream: DataStream, broadcast_stream: BroadcastStream, keyed: bool) -> None:
        if not isinstance(broadcast_stream, BroadcastStream):
            raise TypeError(
                "connect: expected a BroadcastStream, made by stream.broadcast(descriptor), got "
                f"{type(broadcast_stream).__name__}"
            )
        if broadcast_stream.input_stream._env is not non_broadcast_stream._env:
            raise ValueError("connect: the streams belong to different environments")
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self._keyed = keyed

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a BroadcastProcessFunction, on a keyed stream a KeyedBroadcastProcessFunction, for each record.

        Raises:
            TypeError: a function of the other kind, or none at all.
        """
        wanted, other = BroadcastProcessFunction, KeyedBroadcastProcessFunction
        if self._keyed:
            wanted, other = other, wanted  # type: ignore[assignment]
        methods = ("process_element", "process_broadcast_element")
        if isinstance(func, other) or not all(callable(getattr(func, method, None)) for method in methods):
            raise TypeError(f"process: expected a {wanted.__name__}, got {type(func).__name__}")
        stream, second = self.non_broadcast_stream, self.broadcast_stream
        kind, name = "broadcast_process", "BroadcastProcess"
        if self._keyed:
            kind, name = f"keyed_{kind}", f"Keyed{name}"
        options = {
            "second_input": second.input_stream._step.schema,
            "broadcast_states": second.broadcast_state_descriptors,
        }
        step = stream._python_step(kind, name, func, schema_of(output_type), options)
        step.inputs.append(Edge(second.input_stream._step, "broadcast", input=1, chosen=True))
        step.keyed = self._keyed
        return stream._record(step)
