"""The DataStream API: PyFlink's `pyflink.datastream`."""

from headrace.datastream.checkpoint_config import (
    CheckpointConfig,
    CheckpointingMode,
    ExternalizedCheckpointRetention,
    IntervalEstimator,
)  # fmt: skip
from headrace.datastream.checkpointed_function import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)  # fmt: skip
from headrace.datastream.collected_rows import CloseableIterator
from headrace.datastream.connected_streams import BroadcastConnectedStream, BroadcastStream
from headrace.datastream.connectors import (
    FileSink,
    FileSource,
    NumberSequenceSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from headrace.datastream.data_stream import DataStream, KeyedStream
from headrace.datastream.data_stream_sink import DataStreamSink
from headrace.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    BroadcastProcessFunction,
    Collector,
    FilterFunction,
    FlatMapFunction,
    Function,
    KeyedBroadcastProcessFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    ProcessAllWindowFunction,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RichAggregateFunction,
    RuntimeContext,
    SinkFunction,
    SourceFunction,
    WindowFunction,
)  # fmt: skip
from headrace.datastream.map_with_state import MapFunctionWithState
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.state import (
    AggregatingState,
    AggregatingStateDescriptor,
    BroadcastState,
    KeyedStateStore,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    OperatorStateStore,
    ReadOnlyBroadcastState,
    ReducingState,
    ReducingStateDescriptor,
    ValueState,
    ValueStateDescriptor,
)  # fmt: skip
from headrace.datastream.state_backend import FsStateBackend, HashMapStateBackend, MemoryStateBackend, StateBackend
from headrace.datastream.state_ttl import StateTtlConfig
from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment
from headrace.datastream.time_domain import TimeDomain
from headrace.datastream.timerservice import TimerService
from headrace.datastream.window import SlidingEventTimeWindows, TimeWindow, TimeWindows, TumblingEventTimeWindows
from headrace.datastream.windowed_stream import AllWindowedStream, WindowedStream

__all__ = [
    "AggregateFunction",
    "AggregatingState",
    "AggregatingStateDescriptor",
    "AllWindowFunction",
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastProcessFunction",
    "BroadcastState",
    "BroadcastStream",
    "CheckpointConfig",
    "CheckpointedFunction",
    "CheckpointingMode",
    "CloseableIterator",
    "Collector",
    "DataStream",
    "DataStreamSink",
    "ExternalizedCheckpointRetention",
    "FileSink",
    "FileSource",
    "FilterFunction",
    "FlatMapFunction",
    "FsStateBackend",
    "Function",
    "FunctionInitializationContext",
    "FunctionSnapshotContext",
    "HashMapStateBackend",
    "IntervalEstimator",
    "KeySelector",
    "KeyedBroadcastProcessFunction",
    "KeyedProcessFunction",
    "KeyedStateStore",
    "KeyedStream",
    "ListState",
    "ListStateDescriptor",
    "MapFunction",
    "MapFunctionWithState",
    "MapState",
    "MapStateDescriptor",
    "MemoryStateBackend",
    "NumberSequenceSource",
    "OperatorStateStore",
    "OutputFileConfig",
    "OutputTag",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessWindowFunction",
    "ReadOnlyBroadcastState",
    "ReduceFunction",
    "ReducingState",
    "ReducingStateDescriptor",
    "RichAggregateFunction",
    "RollingPolicy",
    "RuntimeContext",
    "SinkFunction",
    "SlidingEventTimeWindows",
    "SourceFunction",
    "StateBackend",
    "StateTtlConfig",
    "StreamExecutionEnvironment",
    "StreamFormat",
    "TimeDomain",
    "TimeWindow",
    "TimeWindows",
    "TimerService",
    "TumblingEventTimeWindows",
    "ValueState",
    "ValueStateDescriptor",
    "WindowFunction",
    "WindowedStream",
]  # fmt: skip
