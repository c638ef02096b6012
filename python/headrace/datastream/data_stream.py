"""Streams: what a program does with records (PyFlink's `pyflink.datastream.data_stream`)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, overload

from headrace import _core
from headrace.aggregates import Aggregate
from headrace.common.serialization import Encoder
from headrace.common.typeinfo import TypeInformation, Types, type_from_description
from headrace.common.watermark_strategy import WatermarkStrategy
from headrace.datastream import builtin_window_functions
from headrace.datastream.collected_rows import CloseableIterator, CollectedRows
from headrace.datastream.connected_streams import BroadcastConnectedStream, BroadcastStream
from headrace.datastream.connectors.file_system import FileSink
from headrace.datastream.data_stream_sink import DataStreamSink
from headrace.datastream.functions import Function, KeyedProcessFunction
from headrace.datastream.map_with_state import MapFunctionWithState, with_keyed_state, with_operator_state
from headrace.datastream.native_aggregates import native_aggregates
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.state import MapStateDescriptor
from headrace.datastream.transformation import (
    Edge,
    Transformation,
    check_max_parallelism,
    check_parallelism,
    in_order,
    schema_of,
)  # fmt: skip
from headrace.datastream.window import WindowAssigner
from headrace.datastream.windowed_stream import AllWindowedStream, WindowedStream

if TYPE_CHECKING:
    from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment


OutputType = TypeInformation | _core.Schema | None


class DataStream:
    """A stream of records, typed or opaque Python objects. Methods record steps; `env.execute()` runs them."""

    def __init__(self, env: StreamExecutionEnvironment, transformation: Transformation) -> None:
        self._env = env
        self._step = transformation

    # ---- names and settings of the last step ----------------------------------------------------------------

    def name(self, name: str) -> DataStream:
        """Names the step for people: explain(), errors, metrics."""
        self._step.name = name
        return self

    def get_name(self) -> str:
        """The step's name."""
        return self._step.name

    def uid(self, uid: str) -> DataStream:
        """Names the step's state in checkpoints, so that it survives changes of the program around it."""
        self._step.uid = uid
        return self

    def set_parallelism(self, parallelism: int) -> DataStream:
        """Sets how many subtasks the step has.

        Raises:
            ValueError: not positive, or the step can only run as one (from_collection, window_all).
        """
        check_parallelism(parallelism)
        if self._step.fixed_parallelism is not None and parallelism != self._step.fixed_parallelism:
            raise ValueError(
                f"parallelism: {self._step.name!r} always runs with {self._step.fixed_parallelism}, got {parallelism}"
            )
        self._step.parallelism = parallelism
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStream:
        """Sets the number of key groups, 1 to 32768; fixed for the life of the state."""
        check_max_parallelism(max_parallelism)
        self._step.max_parallelism = max_parallelism
        return self

    def force_non_parallel(self) -> DataStream:
        """Makes the step run as one subtask."""
        self._step.parallelism = 1
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> DataStream:
        """Longest time in ms that the step's output may wait for a full batch; 0 sends every record at once."""
        self._step.buffer_timeout_ms = timeout_millis
        return self

    def start_new_chain(self) -> DataStream:
        """Begins a new task at this step."""
        self._step.start_new_chain = True
        return self

    def disable_chaining(self) -> DataStream:
        """Gives the step a task of its own."""
        self._step.disable_chaining = True
        return self

    def set_description(self, description: str) -> DataStream:
        """Accepted for PyFlink programs; only the name is shown."""
        return self

    def get_type(self) -> TypeInformation:
        """Type of the records; `Types.OBJECT()` for opaque ones."""
        return type_from_description(self._step.schema.type_desc) or Types.OBJECT()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment that the stream belongs to."""
        return self._env

    # ---- one record at a time -----------------------------------------------------------------------------

    def map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """One record out for each record in; `func` is a function, a MapFunction or a MapFunctionWithState."""
        if isinstance(func, MapFunctionWithState):
            return self._python("process", "Map", with_operator_state(func, False), output_type, {"arity": 2})
        return self._python("map", "Map", func, output_type)

    def flat_map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Any number of records out for each record in; `func` returns an iterable, a generator or None."""
        if isinstance(func, MapFunctionWithState):
            return self._python("process", "FlatMap", with_operator_state(func, True), output_type, {"arity": 2})
        return self._python("flat_map", "FlatMap", func, output_type)

    def filter(self, func: Any) -> DataStream:
        """Keeps the records for which `func` is true; the type stays."""
        return self._python("filter", "Filter", func, self._step.schema)

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a ProcessFunction for each record."""
        return self._python("process", "Process", func, output_type, _process_options(func))

    def project(self, *field_indexes: int) -> DataStream:
        """Keeps the fields at these positions, in this order.

        Raises:
            ValueError: the stream has no declared type, or no field at one of the positions.
        """
        if not self._typed:
            raise ValueError(
                f"project: {self._step.name!r} gives Python objects of no declared type; "
                "declare one (output_type, type_info), or use map()"
            )
        return self._native("project", "Projection", {"fields": list(field_indexes)})

    def union(self, *streams: DataStream) -> DataStream:
        """All records of this stream and of `streams`, which must have the same type.

        Raises:
            ValueError: no stream given, one of another environment, or types that differ.
        """
        if not streams:
            raise ValueError("union: give at least one other stream")
        for other in streams:
            if other._env is not self._env:
                raise ValueError("union: the streams belong to different environments")
            if other._step.schema != self._step.schema:
                raise ValueError(f"union: the streams have different types: {self.get_type()} and {other.get_type()}")
        step = self._native("union", "Union", {}, keeps_parallelism=True)._step
        step.inputs = [edge for stream in (self, *streams) for edge in [stream._edge()]]
        return DataStream(self._env, step)

    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream:
        """This stream together with a broadcast stream, for `process`.

        Raises:
            TypeError: not a BroadcastStream.
        """
        return BroadcastConnectedStream(self, ds, keyed=isinstance(self, KeyedStream))

    # ---- keys and time ------------------------------------------------------------------------------------

    def key_by(self, key_selector: Any, key_type: TypeInformation | None = None) -> KeyedStream:
        """Routes records of equal keys to the same subtask.

        Args:
            key_selector: A function, a KeySelector, a field's name or position, or a list of these for several fields.
            key_type: Type of a function's keys; None keeps any hashable plain Python value.
        """
        return self._keyed_stream(key_selector, key_type)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Gives records event time and the stream watermarks.

        Raises:
            TypeError: not a WatermarkStrategy.
        """
        if not isinstance(watermark_strategy, WatermarkStrategy):
            raise TypeError(f"expected a WatermarkStrategy, got {type(watermark_strategy).__name__}")
        stream: DataStream = self
        field = watermark_strategy._field
        assigner: Any = watermark_strategy._assigner
        if field is not None and not self._typed:
            assigner, field = builtin_window_functions.FieldTimestamps(field), None
        if assigner is not None:
            stream = self._python("assign_timestamps", "Timestamps", assigner, self._step.schema)
            stream._step.keeps_parallelism = True
        options = {"field": field, "watermarks": {**watermark_strategy._describe(), **self._pace()}}
        return stream._native("timestamps", "Timestamps/Watermarks", options, keeps_parallelism=True)

    def window_all(self, window_assigner: WindowAssigner) -> AllWindowedStream:
        """Windows over all records, in one subtask."""
        keyed = self.key_by(builtin_window_functions.no_key)
        keyed._step.name = "window_all"
        return AllWindowedStream(keyed, window_assigner)

    def window(self, window_assigner: WindowAssigner) -> WindowedStream:
        """On a stream without keys a window holds all records (document 000's example)."""
        return self.window_all(window_assigner)

    # ---- routing --------------------------------------------------------------------------------------------

    def rebalance(self) -> DataStream:
        """Deals batches of records round robin to the next step."""
        return _Rerouted(self._env, self._step, "rebalance")

    shuffle = rebalance
    rescale = rebalance

    def forward(self) -> DataStream:
        """Keeps subtask i's records in subtask i of the next step, which must have the same parallelism."""
        return _Rerouted(self._env, self._step, "forward")

    @overload
    def broadcast(self) -> DataStream: ...
    @overload
    def broadcast(
        self, broadcast_state_descriptor: MapStateDescriptor, *other_broadcast_state_descriptors: MapStateDescriptor
    ) -> BroadcastStream: ...
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """Sends every record to every subtask of the next step; with descriptors of state, for `connect`."""
        if broadcast_state_descriptor is not None:
            return BroadcastStream(self, (broadcast_state_descriptor, *other_broadcast_state_descriptors))
        return _Rerouted(self._env, self._step, "broadcast")

    def global_(self) -> DataStream:
        """Sends every record to subtask 0 of the next step."""
        return _Rerouted(self._env, self._step, "global")

    def get_side_output(self, output_tag: OutputTag) -> DataStream:
        """The records that this step sent to `output_tag`.

        Raises:
            TypeError: not an OutputTag.
        """
        if not isinstance(output_tag, OutputTag):
            raise TypeError(f"get_side_output: expected an OutputTag, got {type(output_tag).__name__}")
        origin = self._step.side_output_step(output_tag.tag_id)
        schema = origin.side_schemas.get(output_tag.tag_id) or _core.Schema(
            output_tag.type_info._describe() if output_tag.type_info is not None else None
        )
        step = Transformation(
            "side_output", f"SideOutput {output_tag.tag_id}",
            lambda: _core.native_operator("union", schema, {})[0], schema, [Edge(origin, "forward", output_tag.tag_id)],
            keeps_parallelism=True,
        )  # fmt: skip
        return self._record(step)

    # ---- ends -----------------------------------------------------------------------------------------------

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes `str(record)` to standard output, `n>` in front when it runs in several subtasks. At least once."""
        step = self._python_step("print", "Print to Std. Out", None, self._step.schema, {"prefix": sink_identifier})
        step.delivery_note = "at least once"
        return DataStreamSink(self._env, self._record(step)._step)

    def add_sink(self, sink_func: Any) -> DataStreamSink:
        """Hands every record to a SinkFunction, a function, or a built-in sink. Python sinks are at least once.

        Args:
            sink_func: A SinkFunction or any object with `invoke(value)` or `invoke(value, context)`, of which each
                subtask gets its own copy; or a function of one argument, which all subtasks share.

        Raises:
            TypeError: neither.
        """
        if isinstance(sink_func, FileSink):
            return self.sink_to(sink_func)
        if not hasattr(sink_func, "invoke") and not callable(sink_func):
            raise TypeError(
                f"add_sink: expected a SinkFunction, an object with invoke(value), or a function, "
                f"got {type(sink_func).__name__}"
            )
        step = self._python_step("sink", "Sink", sink_func, self._step.schema, {})
        step.delivery_note = "at least once"
        return DataStreamSink(self._env, self._record(step)._step)

    def sink_to(self, sink: Any) -> DataStreamSink:
        """Writes to a sink with exactly-once delivery, such as FileSink."""
        if not isinstance(sink, FileSink):
            raise TypeError(f"sink_to: expected a FileSink, got {type(sink).__name__}")
        encoder = None if isinstance(sink._encoder, Encoder) else getattr(sink._encoder, "encode", sink._encoder)
        if self._typed and encoder is None:
            text = self._native("text_encode", "Encode", {}, keeps_parallelism=True)
        else:
            text = self._python("encode_text", "Encode", encoder, Types.STRING())
            text._step.keeps_parallelism = True
        return DataStreamSink(self._env, text._native("file_sink", "FileSink", sink._describe())._step)

    def execute_and_collect(self, job_execution_name: str | None = None, limit: int | None = None) -> Any:
        """Runs the job and hands its records to the caller.

        Returns:
            A CloseableIterator, or a list of at most `limit` records when `limit` is given.
        """
        iterator = CloseableIterator(CollectedRows(self, job_execution_name), -1 if limit is None else limit)
        if limit is None:
            return iterator
        with iterator:
            return list(iterator)

    def take(self, n: int) -> list[Any]:
        """Runs the job until `n` records are there (or it ends) and returns them."""
        if n < 0:
            raise ValueError(f"take: n must not be negative, got {n}")
        return self.execute_and_collect(limit=n) if n else []

    def to_arrow(self) -> Any:
        """Runs the bounded job and returns its records as a pyarrow Table."""
        import pyarrow as pa

        rows = CollectedRows(self, None)
        batches = [pa.record_batch(batch) for batch in rows.arrow_batches()]
        if batches:
            return pa.Table.from_batches(batches)
        return pa.schema(self._step.schema).empty_table() if self._typed else pa.table({})

    def to_polars(self) -> Any:
        """Runs the bounded job and returns its records as a polars DataFrame."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_pandas(self) -> Any:
        """Runs the bounded job and returns its records as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    # ---- recording ------------------------------------------------------------------------------------------

    @property
    def _typed(self) -> bool:
        return self._step.schema.type_desc is not None

    def _edge(self) -> Edge:
        return Edge(self._step)

    def _record(self, step: Transformation) -> DataStream:
        self._env._record(step)
        return DataStream(self._env, step)

    def _pace(self) -> dict[str, Any]:
        """What watermarks made here must know of the sources: rows a second, and whether they may fall silent."""
        sources = [step for step in in_order([self._step]) if step.is_source]
        rates = [rate for source in sources if (rate := source.source_options["rows_per_second"]) > 0]
        live = any(source.live for source in sources)
        catch_up_ms = self._env.get_config().get_auto_watermark_interval() if live else 0
        return {"rows_per_second": min(rates, default=0.0), "catch_up_ms": catch_up_ms}

    def _native(self, kind: str, name: str, options: dict[str, Any], *, keeps_parallelism: bool = False) -> DataStream:
        # Made once now, so that a wrong field or option fails at this line of the user's program.
        schema = self._native_schema(kind, name, options)
        input_schema = self._step.schema
        step = Transformation(
            kind, name, lambda: _core.native_operator(kind, input_schema, options)[0], schema, [self._edge()],
            keeps_parallelism=keeps_parallelism,
        )  # fmt: skip
        return self._record(step)

    def _native_schema(self, kind: str, name: str, options: dict[str, Any]) -> _core.Schema:
        try:
            return _core.native_operator(kind, self._step.schema, options)[1]
        except _core.InvalidArgumentError as error:
            raise _core.InvalidArgumentError(f"{name}: {error}") from None

    def _python(
        self, kind: str, name: str, func: Any, output: OutputType, options: dict[str, Any] | None = None
    ) -> DataStream:
        schema = output if isinstance(output, _core.Schema) else schema_of(output)
        return self._record(self._python_step(kind, name, func, schema, options or {}))

    def _python_step(
        self, kind: str, name: str, func: Any, schema: _core.Schema, options: dict[str, Any]
    ) -> Transformation:
        if func is not None and not callable(func) and not _has_methods(func):
            raise TypeError(f"{name}: expected a function or a Function object, got {type(func).__name__}")
        if func is not None:
            _core.deep_copy_function(func)  # refuses now, with the attribute's name, what cannot be copied
        input_schema = self._step.schema
        config = self._env.get_config()

        def make() -> _core.Operator:
            reuse = config.is_object_reuse_enabled()
            return _core.python_operator(kind, func, input_schema, schema, {**options, "object_reuse": reuse})

        return Transformation(kind, name, make, schema, [self._edge()])

    def _keyed_stream(self, selector: Any, key_type: TypeInformation | None) -> KeyedStream:
        fields = list(selector) if isinstance(selector, list | tuple) else [selector]
        by_fields = bool(fields) and all(isinstance(f, str | int) and not isinstance(f, bool) for f in fields)
        if by_fields and self._typed:
            stream = self._native("key_by_fields", "KeyBy", {"fields": fields})
            names = [f if isinstance(f, str) else self._step.schema.names[f] for f in fields]
            key: dict[str, Any] = {"key_names": names, "key_columns": fields, "key_type": None}
        else:
            key_function = builtin_window_functions.field_key(fields) if by_fields else selector
            described = key_type._describe() if key_type is not None else None
            key_options = {"key_type": described, "fields": selector if by_fields else None}
            stream = self._python("key_by", "KeyBy", key_function, self._step.schema, key_options)
            names = [f if isinstance(f, str) else f"f{f}" for f in fields] if by_fields else ["key"]
            key = {"key_names": names, "key_columns": None, "key_type": described}
        stream._step.kind = "key_by"
        # As in PyFlink: records of one key stay in order only if no exchange lies before the one by key.
        stream._step.keeps_parallelism = True
        return KeyedStream(self._env, stream._step, key)


class _Rerouted(DataStream):
    """A stream whose next step reads it by another partitioning."""

    def __init__(self, env: StreamExecutionEnvironment, step: Transformation, partitioning: str) -> None:
        super().__init__(env, step)
        self._partitioning = partitioning

    def _edge(self) -> Edge:
        return Edge(self._step, self._partitioning, chosen=True)


def _needs_a_step(method: str) -> Any:
    """A method that a keyed stream cannot have, as in PyFlink: its records are those of the step before it."""

    def refuse(self: KeyedStream, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"{method}() on a keyed stream: key_by() is no step of its own. Call {method}() before key_by(), or on the "
            f"stream that the next step returns"
        )

    refuse.__name__ = method
    refuse.__doc__ = "Refused: a keyed stream is no step of its own."
    return refuse


class KeyedStream(DataStream):
    """A stream routed by key: what follows has state and timers for each key."""

    def __init__(self, env: StreamExecutionEnvironment, step: Transformation, key: dict[str, Any]) -> None:
        super().__init__(env, step)
        self._key = key

    def map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """As on DataStream, with keyed state in `open`."""
        if isinstance(func, MapFunctionWithState):
            return self._keyed("keyed_process", "Map", with_keyed_state(func, False), output_type, {"arity": 2})
        return self._keyed("keyed_map", "Map", func, output_type)

    def flat_map(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """As on DataStream, with keyed state in `open`."""
        if isinstance(func, MapFunctionWithState):
            return self._keyed("keyed_process", "FlatMap", with_keyed_state(func, True), output_type, {"arity": 2})
        return self._keyed("keyed_flat_map", "FlatMap", func, output_type)

    def filter(self, func: Any) -> DataStream:
        """As on DataStream, with keyed state in `open`."""
        return self._keyed("keyed_filter", "Filter", func, self._step.schema)

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a KeyedProcessFunction for each record and timer."""
        if not isinstance(func, KeyedProcessFunction) and not hasattr(func, "process_element"):
            raise TypeError(f"process: expected a KeyedProcessFunction, got {type(func).__name__}")
        return self._keyed("keyed_process", "KeyedProcess", func, output_type, _process_options(func))

    def reduce(self, func: Any) -> DataStream:
        """The running combination of each key's records, one for each record."""
        return self._keyed("reduce", "Reduce", func, self._step.schema)

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """Each record with the field replaced by its running sum for the key."""
        return self._running("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """Each record with the field replaced by its running minimum for the key."""
        return self._running("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """Each record with the field replaced by its running maximum for the key."""
        return self._running("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The key's record with the smallest field so far."""
        return self._running("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The key's record with the largest field so far."""
        return self._running("max_by", position_to_max_by)

    def agg(self, **aggregates: Aggregate) -> DataStream:
        """Running aggregates: for each record a Row of the key field(s) and the named results."""
        native = native_aggregates(aggregates, self._step.schema)
        if native is not None:
            stream = self._native("running_agg", "Aggregate", {**self._key, "aggregates": native})
            stream._step.keyed = True
            return stream
        func = builtin_window_functions.RunningAggregates(self._key["key_names"], aggregates)
        return self._keyed("keyed_process", "Aggregate", func, None, _process_options(func))

    def window(self, window_assigner: WindowAssigner) -> WindowedStream:
        """Cuts each key's records into windows."""
        return WindowedStream(self, window_assigner)

    name: Any = _needs_a_step("name")
    get_name: Any = _needs_a_step("get_name")
    uid: Any = _needs_a_step("uid")
    set_parallelism: Any = _needs_a_step("set_parallelism")
    set_max_parallelism: Any = _needs_a_step("set_max_parallelism")
    force_non_parallel: Any = _needs_a_step("force_non_parallel")
    set_buffer_timeout: Any = _needs_a_step("set_buffer_timeout")
    start_new_chain: Any = _needs_a_step("start_new_chain")
    disable_chaining: Any = _needs_a_step("disable_chaining")
    shuffle: Any = _needs_a_step("shuffle")
    rebalance: Any = _needs_a_step("rebalance")
    rescale: Any = _needs_a_step("rescale")
    forward: Any = _needs_a_step("forward")

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> Any:
        """As on DataStream with descriptors of state; without, refused: a keyed stream has its partitioning."""
        if not isinstance(broadcast_state_descriptor, MapStateDescriptor):
            return _needs_a_step("broadcast")(self)
        return BroadcastStream(self, (broadcast_state_descriptor, *other_broadcast_state_descriptors))

    project: Any = _needs_a_step("project")

    def _edge(self) -> Edge:
        return Edge(self._step, "hash")

    def _keyed(
        self, kind: str, name: str, func: Any, output: OutputType, options: dict[str, Any] | None = None
    ) -> DataStream:
        stream = self._python(kind, name, func, output, options)
        stream._step.keyed = True
        return stream

    def _running(self, op: str, field: int | str) -> DataStream:
        options = {"op": op, "field": field}
        if self._typed and op in ("sum", "min", "max"):
            stream = self._native("running_field", op.capitalize(), {**options, **self._key})
            stream._step.keyed = True
            return stream
        if self._typed:
            self._native_schema("project", op, {"fields": [field]})  # refuses a field that the records will not have
        return self._keyed("aggregate_field", op.capitalize(), None, self._step.schema, options)


_USER_METHODS = ("invoke", "extract_timestamp", "get_key")


def _has_methods(func: Any) -> bool:
    return isinstance(func, Function) or any(hasattr(func, method) for method in _USER_METHODS)


def _process_options(func: Any) -> dict[str, Any]:
    """Whether process_element (and on_timer) take a collector as third argument, as in documents 000 and 001."""
    return {"arity": _arity(func, "process_element"), "timer_arity": _arity(func, "on_timer")}


def _arity(func: Any, method: str) -> int:
    bound = getattr(func, method, None)
    if bound is None:
        return 2
    parameters = inspect.signature(bound).parameters.values()
    required = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return 3 if len(required) >= 3 else 2
