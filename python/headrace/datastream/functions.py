"""User functions: the classes a program subclasses (PyFlink's `pyflink.datastream.functions`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from headrace.datastream.time_domain import TimeDomain
from headrace.datastream.timerservice import TimerService

if TYPE_CHECKING:
    from headrace.datastream.state import (
        AggregatingState,
        AggregatingStateDescriptor,
        BroadcastState,
        ListState,
        ListStateDescriptor,
        MapState,
        MapStateDescriptor,
        ReadOnlyBroadcastState,
        ReducingState,
        ReducingStateDescriptor,
        ValueState,
        ValueStateDescriptor,
    )  # fmt: skip

IN = TypeVar("IN")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
ACC = TypeVar("ACC")
KEY = TypeVar("KEY")
W = TypeVar("W")


class Counter(Protocol):
    """A metric that counts."""

    def inc(self, n: int = 1) -> None:
        """Adds `n`."""

    def dec(self, n: int = 1) -> None:
        """Takes `n` off."""

    def get_count(self) -> int:
        """The count so far in this subtask."""


class MetricGroup(Protocol):
    """Makes metrics that show up as `<operator>.user.<name>`."""

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """A group whose metrics carry `name` (and `extra`) in front of theirs."""

    def counter(self, name: str) -> Counter:
        """The counter of that name."""


class RuntimeContext(Protocol):
    """What a function may ask of the task it runs in; handed to `open`."""

    def get_task_name(self) -> str:
        """Name of the operator."""

    def get_task_name_with_subtasks(self) -> str:
        """Name of the operator with the number of the subtask, from 1: "count (2/3)"."""

    def get_number_of_parallel_subtasks(self) -> int:
        """How many subtasks the operator has."""

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The operator's max parallelism."""

    def get_index_of_this_subtask(self) -> int:
        """Number of this subtask, from 0."""

    def get_attempt_number(self) -> int:
        """0 at the first start, then one more for each restart."""

    def get_job_parameter(self, key: str, default_value: str | None = None) -> Any:
        """A parameter given by `env.get_config().set_global_job_parameters(...)`, else the default."""

    def get_metrics_group(self) -> MetricGroup:
        """Where the function's metrics are made."""

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """The value state of the descriptor; keyed operators only."""

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """The list state of the descriptor; keyed operators only."""

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """The map state of the descriptor; keyed operators only."""

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """The reducing state of the descriptor; keyed operators only."""

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """The aggregating state of the descriptor; keyed operators only."""


class Function(ABC):  # noqa: B024 - what must be defined is said by the subclasses
    """Base of all user functions. Each subtask and attempt works on a deep copy of its own."""

    def open(self, runtime_context: RuntimeContext) -> None:  # noqa: B027
        """Called once before the first record: get state handles and resources here."""

    def close(self) -> None:  # noqa: B027
        """Called once after the last record, also after a failure."""


class MapFunction(Function, Generic[IN, OUT]):
    """One record out for each record in."""

    @abstractmethod
    def map(self, value: IN) -> OUT:
        """The record that `value` becomes."""


class FlatMapFunction(Function, Generic[IN, OUT]):
    """Any number of records out for each record in."""

    @abstractmethod
    def flat_map(self, value: IN) -> Iterable[OUT] | None:
        """The records that `value` becomes; may be a generator."""


class FilterFunction(Function, Generic[IN]):
    """Keeps some records."""

    @abstractmethod
    def filter(self, value: IN) -> bool:
        """True keeps the record."""


class ReduceFunction(Function, Generic[IN]):
    """Combines two records into one."""

    @abstractmethod
    def reduce(self, value1: IN, value2: IN) -> IN:
        """Both values combined; `value1` is the older or already combined one."""


class KeySelector(Function, Generic[IN, KEY]):
    """Reads the key of a record."""

    @abstractmethod
    def get_key(self, value: IN) -> KEY:
        """The key; equal keys come to the same subtask."""


class AggregateFunction(Function, Generic[IN, ACC, OUT]):
    """Folds records into an accumulator, and that into a result."""

    @abstractmethod
    def create_accumulator(self) -> ACC:
        """A new, empty accumulator."""

    @abstractmethod
    def add(self, value: IN, accumulator: ACC) -> ACC:
        """The accumulator with `value` taken in; may change and return `accumulator`."""

    @abstractmethod
    def get_result(self, accumulator: ACC) -> OUT:
        """The result of what the accumulator has seen."""

    def merge(self, acc_a: ACC, acc_b: ACC) -> ACC:
        """Two accumulators as one; needed by merging windows only."""
        raise NotImplementedError(f"{type(self).__name__}.merge is needed here and not defined")


class RichAggregateFunction(Function, Generic[IN, ACC, OUT]):
    """Document 000's form: the accumulator is a mutable object that `accumulate` changes in place.

    `reset_state(location, runtime_context)` is called once before the first record of each attempt.
    """

    def create_accumulator(self) -> Any:
        """A new accumulator; a list unless overridden."""
        return []

    @abstractmethod
    def accumulate(self, value: IN, accumulator: Any) -> None:
        """Takes `value` into the accumulator."""

    @abstractmethod
    def get_result(self, accumulator: Any) -> OUT:
        """The result of what the accumulator has seen."""

    def reset_state(self, location: Any, runtime_context: RuntimeContext) -> None:
        """Called at open with the task's location (its name) and context."""


class Collector(Protocol):
    """Takes results in the three-argument form of process functions."""

    def collect(self, value: Any) -> None:
        """Emits `value`."""


class ProcessFunction(Function, Generic[IN, OUT]):
    """One call a record, with its timestamp and side outputs."""

    class Context(Protocol):
        """What is known of the current record."""

        def timer_service(self) -> TimerService:
            """Time; timers need a keyed stream."""

        def timestamp(self) -> int | None:
            """Event time of the record in ms, None when it has none."""

    @abstractmethod
    def process_element(self, value: IN, ctx: Context) -> Iterable[OUT] | None:
        """Results for `value`: None, an iterable or a generator; `(OutputTag, x)` goes to a side output."""


class KeyedProcessFunction(Function, Generic[KEY, IN, OUT]):
    """One call a record with state and timers of the record's key."""

    class Context(Protocol):
        """What is known of the current record."""

        def get_current_key(self) -> Any:
            """The record's key."""

        def timer_service(self) -> TimerService:
            """Time and timers."""

        def timestamp(self) -> int | None:
            """Event time of the record in ms, None when it has none."""

    class OnTimerContext(Context, Protocol):
        """What is known of the timer that fires."""

        def time_domain(self) -> TimeDomain:
            """Event or processing time."""

    ReadOnlyContext = Context

    @abstractmethod
    def process_element(self, value: IN, ctx: Context) -> Iterable[OUT] | None:
        """Results for `value`. May also be written with a third parameter `out`, a `Collector`."""

    def on_timer(self, timestamp: int, ctx: OnTimerContext) -> Iterable[OUT] | None:
        """Results of a timer. With the three-argument `process_element` it too may take `out`."""


class _BaseContext(Protocol):
    def timestamp(self) -> int | None:
        """Event time of the record in ms, None when it has none."""

    def current_processing_time(self) -> int:
        """Wall clock in ms."""

    def current_watermark(self) -> int:
        """Event time reached by both streams."""


class BaseBroadcastProcessFunction(Function):
    """What both kinds of broadcast functions share."""

    class Context(_BaseContext, Protocol):
        """What is known of a broadcast record."""

        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
            """One of the states given to `broadcast()`, for writing."""

    class ReadOnlyContext(_BaseContext, Protocol):
        """What is known of a record of the other stream."""

        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]:
            """One of the states given to `broadcast()`, for reading."""


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """Sees every record of a stream, and in each subtask every record of a broadcast stream."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: BaseBroadcastProcessFunction.ReadOnlyContext) -> Iterable[OUT] | None:
        """Results for a record of the stream; may read the broadcast states."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: BaseBroadcastProcessFunction.Context) -> Iterable[OUT] | None:
        """Results for a broadcast record, once in each subtask; writes the states, the same in all of them."""


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """The same over a keyed stream: its records have state and timers of their key."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, Protocol):
        """What is known of a record of the keyed stream."""

        def timer_service(self) -> TimerService:
            """Time and timers of the key."""

        def get_current_key(self) -> Any:
            """The record's key."""

    class OnTimerContext(ReadOnlyContext, Protocol):
        """What is known of the timer that fires."""

        def time_domain(self) -> TimeDomain:
            """Event or processing time."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None:
        """Results for a record of the keyed stream; may read the broadcast states."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: BaseBroadcastProcessFunction.Context) -> Iterable[OUT] | None:
        """Results for a broadcast record, once in each subtask; there is no current key."""

    def on_timer(self, timestamp: int, ctx: OnTimerContext) -> Iterable[OUT] | None:
        """Results of a timer."""


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Results of a whole window from its elements."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """Results of the window."""


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """Results of a window over a stream without keys."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """Results of the window."""


WIN = TypeVar("WIN")


class WindowContext(ABC, Generic[WIN]):
    """What is known of the window that fires."""

    @abstractmethod
    def window(self) -> WIN:
        """The window."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Wall clock in ms."""

    @abstractmethod
    def current_watermark(self) -> int:
        """Event time reached."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Results of a whole window, with a context."""

    Context = WindowContext

    @abstractmethod
    def process(self, key: KEY, context: WindowContext[W], elements: Iterable[IN]) -> Iterable[OUT]:
        """Results of the window."""

    def clear(self, context: WindowContext[W]) -> None:
        """Called when the window is gone; clear per-window state here."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """Results of a window over a stream without keys, with a context."""

    @abstractmethod
    def process(self, context: Any, elements: Iterable[IN]) -> Iterable[OUT]:
        """Results of the window."""

    def clear(self, context: Any) -> None:
        """Called when the window is gone."""


class SourceFunction(Function):
    """A source written in Python.

    Either `run(ctx)` with `ctx.collect(value)` / `ctx.collect_with_timestamp(value, ms)` until done or `cancel()` was
    called, or document 000's form: `call()` returns an iterable of records. With `snapshot_state()` and
    `restore_state(value)` it takes part in checkpoints; without, the job is at least once from this source.
    """

    def run(self, ctx: Any) -> None:
        """Produces records through `ctx` and returns at the end."""
        raise NotImplementedError(f"{type(self).__name__} must define run(ctx) or call()")

    def cancel(self) -> None:
        """Asks `run` to return soon; called from another thread."""


class SinkFunction(Function, Generic[IN]):
    """A sink written in Python; at least once."""

    @abstractmethod
    def invoke(self, value: IN) -> None:
        """Takes one record."""
