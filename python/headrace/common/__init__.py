"""Types, time, configuration and jobs: PyFlink's `pyflink.common`."""

from headrace._core import Row
from headrace.common.configuration import Configuration
from headrace.common.execution_config import ExecutionConfig
from headrace.common.job import CompletableFuture, JobClient, JobExecutionResult, JobID, JobStatus
from headrace.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
from headrace.common.serialization import Encoder, SimpleStringSchema
from headrace.common.time import Duration, Instant, Time
from headrace.common.typeinfo import RowTypeInfo, TupleTypeInfo, TypeInformation, Types
from headrace.common.watermark_strategy import TimestampAssigner, WatermarkStrategy

__all__ = [
    "CompletableFuture", "Configuration", "Duration", "Encoder", "ExecutionConfig", "Instant", "JobClient",
    "JobExecutionResult", "JobID", "JobStatus", "RestartStrategies", "RestartStrategyConfiguration", "Row",
    "RowTypeInfo", "SimpleStringSchema", "Time", "TimestampAssigner", "TupleTypeInfo", "TypeInformation", "Types",
    "WatermarkStrategy",
]  # fmt: skip
