"""Two streams read by one step (PyFlink's `ConnectedStreams`, `BroadcastStream`, `BroadcastConnectedStream`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.common.typeinfo import TypeInformation
from headrace.datastream.functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from headrace.datastream.state import MapStateDescriptor
from headrace.datastream.transformation import Edge, schema_of

if TYPE_CHECKING:
    from headrace.datastream.data_stream import DataStream


class ConnectedStreams:
    """Two streams, each with its own type, that share the state of one function."""

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        _same_environment(stream1, stream2)
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self, key_selector1: Any, key_selector2: Any, key_type: TypeInformation | None = None
    ) -> ConnectedStreams:
        """Routes records of equal keys, of whichever stream, to the same subtask; see `DataStream.key_by`."""
        return ConnectedStreams(
            self.stream1.key_by(key_selector1, key_type), self.stream2.key_by(key_selector2, key_type)
        )

    def map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """One record out for each record in, by a CoMapFunction.

        Raises:
            TypeError: `func` lacks map1 or map2.
        """
        return self._step("co_map", "CoMap", func, ("map1", "map2"), output_type)

    def flat_map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Any number of records out for each record in, by a CoFlatMapFunction.

        Raises:
            TypeError: `func` lacks flat_map1 or flat_map2.
        """
        return self._step("co_flat_map", "CoFlatMap", func, ("flat_map1", "flat_map2"), output_type)

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a CoProcessFunction, on keyed streams a KeyedCoProcessFunction, for each record.

        Raises:
            TypeError: `func` lacks process_element1 or process_element2.
        """
        return self._step("co_process", "CoProcess", func, ("process_element1", "process_element2"), output_type)

    def _step(
        self, kind: str, name: str, func: Any, methods: tuple[str, str], output_type: TypeInformation | None
    ) -> DataStream:
        _check_methods(func, methods, f"{name}Function")
        # Both or none: the state of a key belongs to records of that key.
        first_keyed, second_keyed = (stream._edge().partitioning == "hash" for stream in (self.stream1, self.stream2))
        if first_keyed != second_keyed:
            raise TypeError(f"{name}: of the connected streams only one is keyed; call key_by on both or on neither")
        return _two_input_step(kind, name, func, output_type, self.stream1, self.stream2._edge(), first_keyed, {})


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

    def __init__(self, non_broadcast_stream: DataStream, broadcast_stream: BroadcastStream) -> None:
        _same_environment(non_broadcast_stream, broadcast_stream.input_stream)
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a BroadcastProcessFunction, on a keyed stream a KeyedBroadcastProcessFunction, for each record.

        Raises:
            TypeError: a function of the other kind, or none at all.
        """
        stream, broadcast = self.non_broadcast_stream, self.broadcast_stream
        keyed = stream._edge().partitioning == "hash"
        wanted, other = BroadcastProcessFunction, KeyedBroadcastProcessFunction
        if keyed:
            wanted, other = other, wanted  # type: ignore[assignment]
        methods = ("process_element", "process_broadcast_element")
        _check_methods(None if isinstance(func, other) else func, methods, wanted.__name__, func)
        edge = Edge(broadcast.input_stream._step, "broadcast", chosen=True)
        options = {"broadcast_states": broadcast.broadcast_state_descriptors}
        return _two_input_step("broadcast_process", "BroadcastProcess", func, output_type, stream, edge, keyed, options)


def _two_input_step(
    kind: str,
    name: str,
    func: Any,
    output_type: TypeInformation | None,
    first: DataStream,
    second: Edge,
    keyed: bool,
    options: dict[str, Any],
) -> DataStream:
    if keyed:
        kind, name = f"keyed_{kind}", f"Keyed{name}"
    options = {**options, "second_input": second.source.schema}
    step = first._python_step(kind, name, func, schema_of(output_type), options)
    second.input = 1
    step.inputs.append(second)
    step.keyed = keyed
    return first._record(step)


def _same_environment(first: DataStream, second: DataStream) -> None:
    if first._env is not second._env:
        raise ValueError("connect: the streams belong to different environments")


def _check_methods(func: Any, methods: tuple[str, str], wanted: str, given: Any = None) -> None:
    if not all(callable(getattr(func, method, None)) for method in methods):
        raise TypeError(f"expected a {wanted}, got {type(func if given is None else given).__name__}")
