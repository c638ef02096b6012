"""Windows of a keyed stream (PyFlink's `pyflink.datastream.data_stream.WindowedStream`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace import _core
from headrace.aggregates import Aggregate
from headrace.common.time import DurationLike, to_milliseconds
from headrace.common.typeinfo import TypeInformation
from headrace.datastream import builtin_window_functions
from headrace.datastream.functions import AggregateFunction, RichAggregateFunction
from headrace.datastream.native_aggregates import native_aggregates
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.window import TimeWindow, WindowAssigner

if TYPE_CHECKING:
    from headrace.datastream.data_stream import DataStream, KeyedStream, OutputType
    from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment


class WindowedStream:
    """A keyed stream cut into windows; a function over each window makes it a stream again."""

    _all_windows = False

    def __init__(self, keyed: KeyedStream, assigner: WindowAssigner) -> None:
        if not isinstance(assigner, WindowAssigner):
            raise TypeError(
                f"window: expected a window assigner such as TumblingEventTimeWindows.of(...), got {type(assigner).__name__}"
            )
        self._keyed = keyed
        self._options: dict[str, Any] = {
            "window": assigner._describe(), "allowed_lateness": 0, "late_tag": "", "context_class": TimeWindow,
        }  # fmt: skip

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment that the stream belongs to."""
        return self._keyed.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """Type of the records in the windows."""
        return self._keyed.get_type()

    def allowed_lateness(self, time_ms: DurationLike) -> WindowedStream:
        """Keeps a window's state this long after it fired; a late record then fires it again at once."""
        lateness_ms = to_milliseconds(time_ms, "allowed_lateness")
        if lateness_ms < 0:
            raise ValueError(f"allowed_lateness: must not be negative, got {lateness_ms} ms")
        self._options["allowed_lateness"] = lateness_ms
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> WindowedStream:
        """Sends records that came too late for every window of theirs to `output_tag` instead of only counting them."""
        self._options["late_tag"] = output_tag.tag_id
        return self

    def agg(self, **aggregates: Aggregate) -> DataStream:
        """Built-in aggregates: Rows of the key field(s), `window_start`, `window_end` (ms) and the named results."""
        if not aggregates:
            raise ValueError("agg: name at least one aggregate, for example agg(total=Sum('value'))")
        key_names = [] if self._all_windows else self._keyed._key["key_names"]
        native = None if self._all_windows else native_aggregates(aggregates, self._keyed._step.schema)
        if native is not None:
            options = {**self._native_options(), **self._keyed._key, "aggregates": native}
            return self._windowed(self._keyed._native("window_agg", "Window", options))
        func = builtin_window_functions.FieldAggregates(aggregates)
        names = list(aggregates)
        emit: Any = builtin_window_functions.EmitAllWindowRow(names)
        if not self._all_windows:
            emit = builtin_window_functions.EmitWindowRow(key_names, names)
        return self._general("aggregate", func, emit, None)

    def aggregate(
        self,
        aggregate_function: Any,
        window_function: Any = None,
        accumulator_type: TypeInformation | None = None,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Folds each window with an AggregateFunction, a RichAggregateFunction or a built-in aggregate.

        Args:
            aggregate_function: The fold. A built-in with a string as second argument is document 002's form: the string
                names the result field.
            window_function: Optional ProcessWindowFunction or WindowFunction over the one result.
            accumulator_type: Accepted for PyFlink programs; accumulators are encoded by their values.
            output_type: Type of the results.
        """
        if isinstance(aggregate_function, Aggregate):
            if window_function is None or isinstance(window_function, str):
                return self.agg(**{window_function or type(aggregate_function).__name__.lower(): aggregate_function})
            aggregate_function = builtin_window_functions.SingleAggregate(aggregate_function)
        elif isinstance(aggregate_function, RichAggregateFunction):
            aggregate_function = builtin_window_functions.RichAggregate(aggregate_function)
        if not isinstance(aggregate_function, AggregateFunction):
            raise TypeError(
                f"aggregate: expected an AggregateFunction or a built-in aggregate, got {type(aggregate_function).__name__}"
            )
        return self._general("aggregate", aggregate_function, window_function, output_type)

    def reduce(
        self, reduce_function: Any, window_function: Any = None, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Combines each window's records into one."""
        if output_type is None and window_function is None and self._keyed._typed:
            return self._general("reduce", reduce_function, None, self._keyed._step.schema)
        return self._general("reduce", reduce_function, window_function, output_type)

    def apply(self, window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a WindowFunction (or AllWindowFunction) with all records of each window."""
        return self._general("apply", window_function, None, output_type)

    def process(self, process_window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a ProcessWindowFunction (or ProcessAllWindowFunction) with all records of each window."""
        return self._general("process", process_window_function, None, output_type)

    def _windowed(self, stream: DataStream) -> DataStream:
        stream._step.keyed = True
        if self._options["late_tag"]:
            stream._step.side_schemas[self._options["late_tag"]] = self._keyed._step.schema
        return stream

    def _native_options(self) -> dict[str, Any]:
        return {key: value for key, value in self._options.items() if key != "context_class"}

    def _general(self, call: str, func: Any, window_function: Any, output: OutputType) -> DataStream:
        if window_function is not None:
            if not callable(window_function) and not any(hasattr(window_function, m) for m in ("process", "apply")):
                raise TypeError(
                    f"{call}: expected a ProcessWindowFunction, a WindowFunction or a function as window function, "
                    f"got {type(window_function).__name__}"
                )
            _core.deep_copy_function(window_function)  # refuses now what cannot be copied
        options = {
            **self._options, "call": call, "process_function": window_function, "all_windows": self._all_windows,
            "process_call": "process" if hasattr(window_function, "process") else "apply",
        }  # fmt: skip
        stream = self._windowed(self._keyed._keyed("window", "Window", func, output, options))
        if self._all_windows:
            stream._step.fixed_parallelism = 1
        return stream


class AllWindowedStream(WindowedStream):
    """A stream without keys cut into windows that hold all records; runs as one subtask."""

    _all_windows = True
