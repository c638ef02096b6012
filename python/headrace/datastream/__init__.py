"""The DataStream API: PyFlink's `pyflink.datastream`."""

from headrace.datastream.checkpoint_config import CheckpointConfig, CheckpointingMode
from headrace.datastream.collected_rows import CloseableIterator
from headrace.datastream.connectors import (
    FileSink,
    FileSource,
    NumberSequenceSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from headrace.datastream.data_stream import DataStream, DataStreamSink, KeyedStream
from headrace.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    Collector,
    FilterFunction,
    FlatMapFunction,
    Function,
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
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.state import (
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ValueState,
    ValueStateDescriptor,
)  # fmt: skip
from headrace.datastream.state_backend import (
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    FsStateBackend,
    HashMapStateBackend,
    MemoryStateBackend,
    RocksDBStateBackend,
    StateBackend,
)
from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment
from headrace.datastream.time_domain import TimeDomain
from headrace.datastream.timerservice import TimerService
from headrace.datastream.window import SlidingEventTimeWindows, TimeWindow, TimeWindows, TumblingEventTimeWindows
from headrace.datastream.windowed_stream import AllWindowedStream, WindowedStream

__all__ = [
    "AggregateFunction",
    "AllWindowFunction",
    "AllWindowedStream",
    "CheckpointConfig",
    "CheckpointingMode",
    "CloseableIterator",
    "Collector",
    "DataStream",
    "DataStreamSink",
    "DiskStateBackend",
    "EmbeddedRocksDBStateBackend",
    "FileSink",
    "FileSource",
    "FilterFunction",
    "FlatMapFunction",
    "FsStateBackend",
    "Function",
    "HashMapStateBackend",
    "KeySelector",
    "KeyedProcessFunction",
    "KeyedStream",
    "ListState",
    "ListStateDescriptor",
    "MapFunction",
    "MapState",
    "MapStateDescriptor",
    "MemoryStateBackend",
    "NumberSequenceSource",
    "OutputFileConfig",
    "OutputTag",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "RichAggregateFunction",
    "RocksDBStateBackend",
    "RollingPolicy",
    "RuntimeContext",
    "SinkFunction",
    "SlidingEventTimeWindows",
    "SourceFunction",
    "StateBackend",
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
