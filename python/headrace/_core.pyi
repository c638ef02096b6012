"""The compiled engine. Private: the public API is built on it in `headrace.datastream` and `headrace.common`.

Type descriptions (`TypeDesc`) are nested tuples, made by `TypeInformation._describe()`:
`("int64",)`, `("string",)`, `("object",)`, `("list", T)`, `("map", K, V)`, `("row", (names…), (types…))`,
`("tuple", (types…))`, `("decimal", precision, scale)`, `("pickle",)`. A stream without a declared type is described by None.
"""

from collections.abc import Callable, Iterator
from typing import Any

TypeDesc = tuple[Any, ...]

__version__: str

class HeadraceError(RuntimeError): ...  # base of all below
class InvalidArgumentError(HeadraceError, ValueError): ...
class CorruptionError(HeadraceError): ...
class StorageError(HeadraceError, OSError): ...  # kIoError
class ResourceExhaustedError(HeadraceError, MemoryError): ...
class FailedPreconditionError(HeadraceError): ...
class JobCancelledError(HeadraceError): ...

class UserFunctionError(HeadraceError):  # __cause__ = the user's exception, with its traceback
    """A user function raised: the message names operator, record (shortened) and the user's file and line."""

class Row:
    """PyFlink's Row as a C type: positional or keyword, immutable names, mutable values."""
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Any: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def as_dict(self, recursive: bool = False) -> dict[str, Any]: ...
    def get_row_kind(self) -> Any: ...
    def set_row_kind(self, kind: Any) -> None: ...
    def set_field_names(self, names: list[str]) -> None: ...
    def get_fields_by_names(self, names: list[str]) -> list[Any]: ...
    @staticmethod
    def of_kind(kind: Any, *args: Any, **kwargs: Any) -> Row: ...

def encode_value(value: Any) -> bytes: ...  # value_codec.h
def decode_value(data: bytes) -> Any: ...
def encode_key(value: Any) -> bytes: ...  # canonical key bytes
def kernel_variants() -> dict[str, str]: ...  # kernel: "baseline" or the instruction set it runs with
def key_group(key: Any, max_parallelism: int = 128) -> int: ...
def subtask_of_key_group(group: int, parallelism: int, max_parallelism: int = 128) -> int: ...
def register_class(cls: type) -> None: ...  # named tuple, dataclass, enum for the codec
def deep_copy_function(function: Any) -> Any: ...  # per-subtask copy; names the attribute that cannot be copied

class Source:  # SourceFactory
    @property
    def schema(self) -> Schema: ...

class Operator: ...  # OperatorFactory

class Schema:
    """Columns of a stream."""
    def __init__(self, type_desc: TypeDesc | None) -> None: ...
    @property
    def shape(self) -> str: ...  # "scalar" | "tuple" | "row"
    @property
    def names(self) -> list[str]: ...
    @property
    def type_desc(self) -> TypeDesc | None: ...  # None: opaque objects
    @staticmethod
    def from_arrow(data: Any) -> Schema: ...  # from __arrow_c_schema__ / __arrow_c_stream__; shape "row"
    def __eq__(self, other: object) -> bool: ...
    def __arrow_c_schema__(self) -> Any: ...

# ---- sources -------------------------------------------------------------------------------------------------
def number_sequence_source(start: int, end: int) -> Source: ...
def arrow_source(data: Any) -> Source: ...  # anything with __arrow_c_stream__ / __arrow_c_array__
def collection_source(items: list[Any], schema: Schema) -> Source: ...
def reader_source(
    make_reader: Callable[[], Any],  # called in the task's thread; see ReaderProtocol
    plan_splits: Callable[[int], list[str]],  # parallelism -> split ids
    schema: Schema,
    *,
    bounded: bool = True,
    replayable: bool = True,
    time_ordered: bool = False,
) -> Source:
    """Source whose reader is a Python object with

    `open(runtime_context)`, `add_split(split_id: str, position: bytes)`,
    `poll(max_rows) -> (split_index, rows, position, finished) | None` where `rows` is a list of records or an
    object with `__arrow_c_array__`, `position: bytes` describes what was returned so far, `None` = nothing now;
    `("end",)` when every split is finished; `cancel()`, `close()`.
    """

def source_function_source(function: Any, schema: Schema, style: str) -> Source:
    """PyFlink-like SourceFunction: style "run" calls `run(ctx)` with `ctx.collect(v)`,
    `ctx.collect_with_timestamp(v, ts)`; style "call" iterates what document 000's `call()` returns.
    `snapshot_state() -> bytes-encodable value` / `restore_state(value)` optional: with both it is replayable.
    `run` is on the task's thread; `ctx.collect` hands over batches and blocks under backpressure (GIL released).
    """

def iterator_source(make_iterator: Callable[[], Iterator[Any]], schema: Schema) -> Source: ...

# ---- operators -----------------------------------------------------------------------------------------------
def python_operator(
    kind: str, function: Any, input_schema: Schema, output_schema: Schema, options: dict[str, Any]
) -> Operator:
    """Operators that call Python. `function` is a plain callable or a Function object (open/close and the method
    of its kind); Function objects are deep-copied for each subtask and attempt from a copy taken now.

    kind            calls                                     options
    "map"           f(v) / map(v)
    "flat_map"      f(v) / flat_map(v): iterable, generator or None    "state_style": "plain" | "map_with_state"
    "filter"        f(v) / filter(v)
    "key_by"        f(v) / get_key(v): sets the batch's key            "key_type": TypeDesc | None,
                                                              "fields": list[str|int] for field keys of object streams
    "assign_timestamps"  extract_timestamp(v, ts) -> int ms
    "process"       process_element(v, ctx)
    "keyed_process" process_element(v, ctx), on_timer(ts, ctx); three-argument form (v, ctx, out) when its
                    signature has three positional parameters ("arity": 2 | 3)
    "reduce"        f(a, b) on keyed state; emits the running value
    "aggregate_field"    "op": "sum"|"min"|"max"|"min_by"|"max_by", "field": int|str
    "keyed_map", "keyed_flat_map", "keyed_filter"   as above with keyed state in open()
    "window"        general windows: options "window": {"kind": "tumbling"|"sliding", "size", "slide", "offset"},
                    "allowed_lateness", "late_tag", "call": "aggregate"|"reduce"|"process"|"apply",
                    "process_function": optional ProcessWindowFunction after aggregate/reduce,
                    "context_class": Python class for window contexts (TimeWindow from headrace.datastream.window)
    "print"         writes str(v) lines, "prefix": str | None (the sink identifier), subtask prefix when p > 1
    "encode_text"   str(v) of each record (or encoder callable) -> string column, for file sinks
    "sink"          SinkFunction: invoke(v) / invoke(v, ctx) / plain callable
    All side outputs: a yielded (OutputTag, value). `input_schema`/`output_schema` decide boxing.
    """

def native_operator(kind: str, input_schema: Schema, options: dict[str, Any]) -> tuple[Operator, Schema]:
    """Operators without Python; returns the operator and its output schema.

    "key_by_fields" {"fields": [str|int]}; "project" {"fields"}; "union" {}; "timestamps" {"field": str | None,
    "watermarks": WatermarkDesc} (field None: rows already have timestamps);
    "window_agg" {"window": …, "allowed_lateness", "late_tag", "key_names": [str], "aggregates": [(function,
    field|None, output_name)]}; "running_agg" {"key_names", "aggregates"}; "running_field" {"op", "field"};
    "text_encode" {}; "file_sink" {"path", "prefix", "suffix", "roll_size_bytes", "roll_interval_ms",
    "sink_uid"}; "collect" {"buffer": CollectBuffer}; "discard" {}.
    WatermarkDesc = {"kind": "none"|"monotonous"|"bounded", "bound_ms", "idle_timeout_ms"}.
    """

NOTHING_YET: object  # what take_arrow gives when its time is up

class CollectBuffer:
    """Rows that reach the caller.

    `take` gives a list of Python records ([] when the time is up), or None when the job has ended and all rows are taken.
    With `checkpointed`, rows come when a checkpoint covers them.
    """

    def __init__(self, schema: Schema, checkpointed: bool = False) -> None: ...
    def take(self, timeout_ms: int = 100, limit: int = 0) -> list[Any] | None: ...
    def take_arrow(self, timeout_ms: int = 100) -> Any | None: ...  # object with __arrow_c_array__

# ---- jobs ----------------------------------------------------------------------------------------------------
class Graph:
    def add_source(
        self,
        source: Source,
        *,
        kind: str,
        name: str,
        uid: str,
        parallelism: int,
        max_parallelism: int,
        schema: Schema,
        rows_per_second: float = 0,
        timestamp_column: int = -1,
        watermarks: dict[str, Any] | None = None,
    ) -> int: ...
    def add_operator(
        self,
        operator: Operator,
        *,
        kind: str,
        name: str,
        uid: str,
        parallelism: int,
        max_parallelism: int,
        schema: Schema,
        keyed: bool,
        inputs: list[tuple[int, str, str, int]],  # (node, partitioning, side tag, input no.)
        start_new_chain: bool = False,
        disable_chaining: bool = False,
        buffer_timeout_ms: int = -1,
        delivery_note: str = "",
    ) -> int: ...
    def explain(self, chaining: bool = True) -> str: ...
    def plan_json(self, chaining: bool = True) -> str: ...

class Job:
    """One execute(). Options: keys of runtime/job.h JobOptions as a dict (checkpoint interval under
    "checkpoint_interval_ms", restart under "restart": {"kind", "attempts", "delay_ms", …}); "collect": the
    CollectBuffer that ends with the job.
    """
    def __init__(self, graph: Graph, options: dict[str, Any]) -> None: ...
    def start(self) -> None: ...
    def wait(self, timeout_ms: int) -> bool: ...  # releases the GIL
    def cancel(self) -> None: ...
    def state(self) -> str: ...  # "RUNNING", "FINISHED", …  (Flink's JobStatus names)
    def metrics(self) -> dict[str, int]: ...
    def checkpoints(self) -> list[dict[str, Any]]: ...
    def state_registry(self) -> list[dict[str, Any]]: ...
    def result(self) -> dict[str, Any]: ...  # raises the job's failure; else runtime_ms, metrics, messages, recoveries

def load_manifest(path: str) -> dict[str, Any]: ...  # for tools and tests
def verify_checkpoint(path: str) -> dict[str, Any]: ...
