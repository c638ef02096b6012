"""Where a program starts (PyFlink's `pyflink.datastream.stream_execution_environment`)."""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace import _core
from headrace.checkpoint_encryption import encryption_options
from headrace.checkpoint_storage.job_storage import JobStorage
from headrace.common.configuration import Configuration
from headrace.common.execution_config import ExecutionConfig
from headrace.common.job import JobClient, JobExecutionResult
from headrace.common.restart_strategy import (
    RestartStrategies,
    RestartStrategyConfiguration,
    restart_strategy_of,
)  # fmt: skip
from headrace.common.time import DurationLike, to_milliseconds
from headrace.common.typeinfo import TypeInformation
from headrace.common.watermark_strategy import WatermarkStrategy
from headrace.datastream._scratch import ScratchDirectory
from headrace.datastream.arrow_layout import engine_layout
from headrace.datastream.checkpoint_config import (
    DIRECTORY,
    SAVEPOINT_DIRECTORY,
    CheckpointConfig,
    CheckpointingMode,
)  # fmt: skip
from headrace.datastream.checkpointed_function import CheckpointedFunction
from headrace.datastream.connectors import file_readers
from headrace.datastream.connectors.csv_files import CsvFileSource
from headrace.datastream.connectors.json_files import JsonLinesSource
from headrace.datastream.connectors.number_seq import NumberSequenceSource
from headrace.datastream.connectors.readable_files import ReadableFiles, shown_path
from headrace.datastream.connectors.source import Source
from headrace.datastream.data_stream import DataStream
from headrace.datastream.functions import SourceFunction
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.state_backend import StateBackend, configured_backend, local_directory, memory_budget_bytes
from headrace.datastream.state_options import storage_options
from headrace.datastream.transformation import (
    Transformation,
    build_graph,
    check_max_parallelism,
    check_parallelism,
    column_kind,
    schema_of,
)  # fmt: skip

_unnamed_jobs = itertools.count(1)
_LIVE_SOURCES = frozenset({"source_function", "iterator"})
_RECOVERY_PATH = "execution.state-recovery.path"
_FORMER_RECOVERY_PATH = "execution.savepoint.path"  # Flink's names before 1.20
_DROP_STATE = "execution.state-recovery.ignore-unclaimed-state"
_FORMER_DROP_STATE = "execution.savepoint.ignore-unclaimed-state"


class RunningJob:
    """A started job as the API's own loops use it."""

    def __init__(self, job: _core.Job, client: JobClient) -> None:
        self.client = client
        self._job = job

    def finish(self) -> JobExecutionResult:
        """Waits for the end and raises the job's failure."""
        return self.client.result()

    def stop(self) -> None:
        """Cancels what still runs and waits up to five seconds."""
        if not self.client.status().is_terminal_state():
            self._job.cancel()
            self._job.wait(5000)


class StreamExecutionEnvironment:
    """Records a program and runs it in this process."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration(configuration)
        self._config = ExecutionConfig(self._configuration)
        self._checkpoint_config = CheckpointConfig(self._configuration)
        self._restart_strategy: RestartStrategyConfiguration | None = None
        self._state_backend: StateBackend | None = None
        self._mode_is_explicit = False
        self._recorded: list[Transformation] = []

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> StreamExecutionEnvironment:
        """A new environment with a copy of `configuration`."""
        return StreamExecutionEnvironment(configuration)

    # ---- settings -------------------------------------------------------------------------------------------

    def get_config(self) -> ExecutionConfig:
        """Execution settings."""
        return self._config

    def get_checkpoint_config(self) -> CheckpointConfig:
        """Checkpoint settings."""
        return self._checkpoint_config

    def configure(self, configuration: Configuration) -> None:
        """Takes over all options of `configuration`."""
        self._configuration.add_all(configuration)

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Sets how many subtasks a step has that sets none; 1 unless set."""
        check_parallelism(parallelism)
        self._config.set_parallelism(parallelism)
        return self

    def get_parallelism(self) -> int:
        """How many subtasks a step has that sets none."""
        return self._config.get_parallelism()

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Sets the number of key groups; fixed for the life of the state. 128 unless set."""
        check_max_parallelism(max_parallelism)
        self._config.set_max_parallelism(max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """The number of key groups, -1 when not set (then 128)."""
        return self._config.get_max_parallelism()

    def set_buffer_timeout(self, timeout_millis: int) -> StreamExecutionEnvironment:
        """Longest time in ms that records wait for a full batch; 0 sends every record at once. 100 unless set."""
        self._configuration.set_integer("execution.buffer-timeout.interval", timeout_millis)
        return self

    def get_buffer_timeout(self) -> int:
        """Longest time in ms that records wait for a full batch."""
        return self._duration("execution.buffer-timeout.interval", 100)

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Gives every step a task of its own."""
        self._configuration.set_boolean("pipeline.operator-chaining.enabled", False)
        return self

    def is_chaining_enabled(self) -> bool:
        """True when steps share tasks where they can."""
        return bool(self._configuration.get_boolean("pipeline.operator-chaining.enabled", True))

    def enable_checkpointing(
        self, interval: DurationLike, mode: CheckpointingMode | None = None
    ) -> StreamExecutionEnvironment:
        """Takes a checkpoint every `interval` (ms or a duration).

        Args:
            interval: Time between two checkpoints, at least 10 ms.
            mode: EXACTLY_ONCE given here refuses sources without a position.
        """
        self._checkpoint_config.set_checkpoint_interval(interval)
        if mode is not None:
            self._checkpoint_config.set_checkpointing_mode(mode)
        return self

    def get_checkpoint_interval(self) -> int:
        """Milliseconds between two checkpoints, -1 when they are off."""
        return self._checkpoint_config.get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """Exactly once unless set otherwise."""
        return self._checkpoint_config.get_checkpointing_mode()

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        """Exactly once unless set otherwise."""
        return self._checkpoint_config.get_checkpointing_mode()

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Always False: barriers are aligned."""
        return self._checkpoint_config.is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        """Always False: barriers are aligned."""
        return self._checkpoint_config.is_force_unaligned_checkpoints()

    def set_default_savepoint_directory(self, directory: str | Path) -> StreamExecutionEnvironment:
        """Sets where savepoints go that are asked for without a directory."""
        self._configuration.set_string(SAVEPOINT_DIRECTORY, str(directory))
        return self

    def get_default_savepoint_directory(self) -> str | None:
        """Where savepoints go that are asked for without a directory, or None."""
        return self._configuration.get_string(SAVEPOINT_DIRECTORY)

    def set_state_backend(self, state_backend: StateBackend) -> StreamExecutionEnvironment:
        """Chooses where keyed state lives, whatever the configuration says (`headrace.datastream.state_backend`).

        A backend that was made with a checkpoint URI also sets the checkpoint directory.

        Raises:
            TypeError: not a StateBackend.
        """
        if not isinstance(state_backend, StateBackend):
            raise TypeError(f"expected a StateBackend, got {type(state_backend).__name__}")
        self._state_backend = state_backend
        uri = state_backend._checkpoint_uri()
        if uri is not None:
            self._checkpoint_config.set_checkpoint_storage_dir(uri)
        return self

    def get_state_backend(self) -> StateBackend:
        """Where keyed state lives: as set, else as configured."""
        return self._state_backend or configured_backend(self._configuration)

    def set_restart_strategy(self, restart_strategy: RestartStrategyConfiguration) -> StreamExecutionEnvironment:
        """Chooses what happens after a failure."""
        if not isinstance(restart_strategy, RestartStrategyConfiguration):
            raise TypeError(
                f"expected a restart strategy made by RestartStrategies, got {type(restart_strategy).__name__}"
            )
        self._restart_strategy = restart_strategy
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What happens after a failure."""
        return self._restart_strategy or RestartStrategies.fall_back_restart()

    def add_jars(self, *jars_path: str) -> None:
        """Accepted for PyFlink programs and ignored with a warning: there is no JVM."""
        warnings.warn("add_jars: headrace runs without a JVM; its connectors are built in. Ignored.", stacklevel=2)

    add_classpaths = add_jars

    # ---- sources ----------------------------------------------------------------------------------------------

    def from_collection(
        self, collection: Iterable[Any], type_info: TypeInformation | None = None, *, rows_per_second: float = 0
    ) -> DataStream:
        """A bounded stream of the collection's elements, in order, with parallelism 1.

        Args:
            collection: Any iterable; read once, now.
            type_info: Type of the elements; None keeps the Python objects.
            rows_per_second: Slows the source down; 0 = as fast as possible.
        """
        items = list(collection)
        schema = schema_of(type_info)
        return self._source(
            "collection",
            "Collection",
            lambda: _core.collection_source(items, schema),
            schema,
            rows_per_second,
            parallel=False,
        )

    def from_elements(self, *elements: Any, rows_per_second: float = 0) -> DataStream:
        """A bounded stream of the arguments, in order, with parallelism 1."""
        return self.from_collection(elements, rows_per_second=rows_per_second)

    def from_arrow(
        self,
        data: Any,
        timestamp: str | None = None,
        *,
        watermark_strategy: WatermarkStrategy | None = None,
        rows_per_second: float = 0,
    ) -> DataStream:
        """A bounded typed stream of the rows of any Arrow data, without copying it.

        Args:
            data: Anything with `__arrow_c_stream__` or `__arrow_c_array__`: pyarrow, polars, pandas, duckdb.
            timestamp: Column that holds the event time: int64 in ms, or a timestamp.
            watermark_strategy: How event time advances; it may also be given by assign_timestamps_and_watermarks.
            rows_per_second: Slows the source down; 0 = as fast as possible.

        Raises:
            TypeError: `data` has neither method.
            ValueError: no column of the name `timestamp`, or of a type that is no time.
        """
        if not hasattr(data, "__arrow_c_stream__") and not hasattr(data, "__arrow_c_array__"):
            to_arrow = getattr(data, "to_arrow_table", None) or getattr(data, "arrow", None)
            if to_arrow is None:
                raise TypeError(
                    f"from_arrow: {type(data).__name__} has no __arrow_c_stream__; give a pyarrow, polars or pandas table"
                )
            data = to_arrow()
        source = _core.arrow_source(engine_layout(data))
        if timestamp is not None:
            strategy = watermark_strategy or WatermarkStrategy.no_watermarks()
            watermark_strategy = strategy.with_timestamp_field(timestamp)
        return self._source(
            "arrow", "Arrow", lambda: source, source.schema, rows_per_second, watermark_strategy, parallel=False
        )

    def from_source(
        self,
        source: Source,
        watermark_strategy: WatermarkStrategy | None = None,
        source_name: str = "Source",
        type_info: TypeInformation | None = None,
        *,
        rows_per_second: float = 0,
    ) -> DataStream:
        """A stream of a source object: NumberSequenceSource, FileSource.

        Raises:
            TypeError: not a headrace source.
        """
        if not isinstance(source, Source):
            raise TypeError(f"from_source: expected a headrace Source, got {type(source).__name__}")
        schema = schema_of(type_info) if type_info is not None else source._schema()
        stream = self._source(
            source._kind, source_name, lambda: source._make(schema), schema, rows_per_second, watermark_strategy
        )
        stream._step.source_step.side_schemas.update(source._side_schemas())
        return stream

    def from_sequence(self, start: int, end: int, *, rows_per_second: float = 0) -> DataStream:
        """The ints from `start` to `end`, both included."""
        return self.from_source(NumberSequenceSource(start, end), None, "Sequence", rows_per_second=rows_per_second)

    def read_text_file(
        self, file_path: str | Path, charset_name: str = "UTF-8", *, rows_per_second: float = 0
    ) -> DataStream:
        """Lines of the text files that match a path, URI or glob, without line ends, as STRING.

        A URI (`hdfs://host:port/path`, `s3://bucket/key`, …) is reached with the options of `headrace.checkpoint_storage`.
        """
        source = file_readers.TextFileSource(file_path, charset_name, self._files())
        return self.from_source(source, None, f"Text {shown_path(file_path)}", rows_per_second=rows_per_second)

    def read_csv(
        self,
        file_path: str | Path,
        *,
        columns: dict[str, TypeInformation] | None = None,
        delimiter: str = ",",
        null_values: list[str] | None = None,
        on_bad_row: str | OutputTag = "fail",
        rows_per_second: float = 0,
        watermark_strategy: WatermarkStrategy | None = None,
    ) -> DataStream:
        """Typed rows of the CSV files (with a header line) that match a path or glob. Resumes at a byte offset.

        Args:
            file_path: Path or glob; compressed files by their ending (.gz, .bz2, .zst).
            columns: Types by name; the others are inferred from the start of the first file.
            delimiter: One character.
            null_values: Strings that mean null, as "" and "NA" do unless given.
            on_bad_row: What to do with a row of too few or too many fields, or with a value that is not of its column's
                type: "fail" ends the job with file and line, "skip" passes it over, an OutputTag sends a Row of
                `file`, `line`, `text` and `error` to that side output of the stream returned here. Rows passed over
                or sent aside are counted in the metric `<source>.user.bad_rows`.
            rows_per_second: Slows the source down; 0 = as fast as possible.
            watermark_strategy: Event time per file.

        Raises:
            FileNotFoundError: nothing matches.
            ValueError: not a CSV file, or no column of a name in `columns`.
        """
        source = CsvFileSource(file_path, columns, delimiter, null_values, on_bad_row, self._files())
        name = f"CSV {shown_path(file_path)}"
        return self.from_source(source, watermark_strategy, name, rows_per_second=rows_per_second)

    def read_json(
        self,
        file_path: str | Path,
        type_info: TypeInformation | None = None,
        *,
        on_bad_row: str | OutputTag = "fail",
        rows_per_second: float = 0,
    ) -> DataStream:
        """Objects of JSON-lines files that match a path or glob: dicts, or typed rows when `type_info` is given.

        `on_bad_row` is that of `read_csv`, for lines that are not JSON or not of `type_info`.
        """
        source = JsonLinesSource(file_path, on_bad_row, self._files())
        name = f"JSON {shown_path(file_path)}"
        return self.from_source(source, None, name, type_info, rows_per_second=rows_per_second)

    def read_parquet(
        self,
        file_path: str | Path,
        columns: list[str] | None = None,
        *,
        rows_per_second: float = 0,
        watermark_strategy: WatermarkStrategy | None = None,
    ) -> DataStream:
        """Typed rows of the Parquet files that match a path or glob; resumes at row group and row."""
        source = file_readers.ParquetFileSource(file_path, columns, self._files())
        name = f"Parquet {shown_path(file_path)}"
        return self.from_source(source, watermark_strategy, name, rows_per_second=rows_per_second)

    def add_source(
        self,
        source_func: Any,
        source_name: str = "Custom Source",
        type_info: TypeInformation | None = None,
        *,
        rows_per_second: float = 0,
    ) -> DataStream:
        """A stream of a SourceFunction, or of a Python iterable or a function that returns one. Parallelism 1.

        A SourceFunction with `snapshot_state` and `restore_state` is replayed exactly; any other one is at least once.

        Raises:
            TypeError: none of these, or a CheckpointedFunction.
        """
        schema = schema_of(type_info)
        if isinstance(source_func, CheckpointedFunction):
            raise TypeError(
                f"add_source: {type(source_func).__name__} is a CheckpointedFunction, which a source cannot be: it keeps "
                "its position by snapshot_state() and restore_state(value)"
            )
        if isinstance(source_func, SourceFunction) or hasattr(source_func, "run"):
            own_run = type(source_func).__dict__.get("run") or getattr(type(source_func), "run", None)
            _core.deep_copy_function(source_func)  # refuses now, with the attribute's name, what cannot be copied
            style = "call" if hasattr(source_func, "call") and own_run in (None, SourceFunction.run) else "run"
            return self._source(
                "source_function", source_name, lambda: _core.source_function_source(source_func, schema, style), schema,
                rows_per_second, parallel=False,
            )  # fmt: skip
        if callable(source_func):
            make_iterator = source_func
        elif hasattr(source_func, "__iter__"):

            def make_iterator() -> Any:
                return iter(source_func)
        else:
            raise TypeError(
                f"add_source: expected a SourceFunction, an iterable or a function, got {type(source_func).__name__}"
            )
        return self._source(
            "iterator",
            source_name,
            lambda: _core.iterator_source(make_iterator, schema),
            schema,
            rows_per_second,
            parallel=False,
        )

    # ---- running ----------------------------------------------------------------------------------------------

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Runs the recorded program to its end.

        Returns:
            Metrics, checkpoints and messages of the run.

        Raises:
            UserFunctionError: a user function raised; the original exception is the cause.
            HeadraceError: anything else that ended the job; the message names operator and cause.
            KeyboardInterrupt: Ctrl-C; the job is stopped first.
        """
        return self._start_job(job_name).finish()

    def execute_async(self, job_name: str | None = None) -> JobClient:
        """Starts the recorded program and returns at once."""
        return self._start_job(job_name).client

    def explain(self) -> str:
        """What would run: chains, exchanges, parallelism, which steps call Python, weaker guarantees."""
        return self._graph(self._recorded).explain(self.is_chaining_enabled())

    def get_execution_plan(self) -> str:
        """The plan as Flink's JSON."""
        return self._graph(self._recorded).plan_json(self.is_chaining_enabled())

    def close(self) -> None:
        """Forgets what was recorded."""
        self._recorded.clear()

    # ---- recording --------------------------------------------------------------------------------------------

    def _files(self) -> ReadableFiles:
        return ReadableFiles(Configuration(self._configuration))

    def _record(self, step: Transformation) -> None:
        self._recorded.append(step)

    def _source(
        self,
        kind: str,
        name: str,
        make: Any,
        schema: _core.Schema,
        rows_per_second: float,
        strategy: WatermarkStrategy | None = None,
        *,
        parallel: bool = True,
    ) -> DataStream:
        if rows_per_second < 0:
            raise ValueError(f"rows_per_second: must not be negative, got {rows_per_second}")
        options: dict[str, Any] = {"rows_per_second": float(rows_per_second)}
        assign_later = strategy is not None and strategy._assigner is not None
        if strategy is not None and not assign_later:
            if strategy._field is not None:
                options["timestamp_column"] = _time_column(schema, strategy._field)
            options["watermarks"] = {
                **strategy._describe(),
                "catch_up_ms": self._config.get_auto_watermark_interval(),
            }
        step = Transformation(f"source:{kind}", name, make, schema, source_options=options)
        step.live = kind in _LIVE_SOURCES
        if not parallel:
            step.fixed_parallelism = 1
        self._record(step)
        stream = DataStream(self, step)
        return stream.assign_timestamps_and_watermarks(strategy) if assign_later and strategy is not None else stream

    def _graph(self, recorded: list[Transformation]) -> _core.Graph:
        if not recorded:
            raise ValueError("nothing to run: the program has no steps since the last execute()")
        max_parallelism = self.get_max_parallelism()
        return build_graph(recorded, self.get_parallelism(), max_parallelism if max_parallelism > 0 else 128)

    def _start_job(self, job_name: str | None, collected: _core.CollectBuffer | None = None) -> RunningJob:
        recorded, self._recorded = self._recorded, []
        graph = self._graph(recorded)
        name = job_name or f"job-{next(_unnamed_jobs)}"
        options = self._job_options(name)
        storage = self._job_storage(name, options)
        options.update(storage.options)
        if collected is not None:
            options["collect"] = collected
        scratch = None
        if options["state_backend"] != "hashmap":
            scratch = ScratchDirectory(local_directory(self.get_state_backend(), self._configuration))
            options["scratch_directory"] = str(scratch.path)
        job = _core.Job(graph, options)
        weakref.finalize(job, storage.release)
        job.start()
        return RunningJob(job, JobClient(job, self.get_default_savepoint_directory(), scratch, storage.remote))

    def _job_options(self, name: str) -> dict[str, Any]:
        get = self._configuration.get_string
        options: dict[str, Any] = {
            "name": name,
            "job_key": name,
            "buffer_timeout_ms": self.get_buffer_timeout(),
            "chaining": self.is_chaining_enabled(),
            "job_parameters": self._config.get_global_job_parameters(),
            **self._checkpoint_config._describe(),
            "allow_older": self._configuration.get_boolean("execution.state-recovery.allow-older", False),
            "allow_dropped_state": self._configuration.get_boolean(_DROP_STATE, False)
            or self._configuration.get_boolean(_FORMER_DROP_STATE, False),
            "state_backend": self.get_state_backend().type_name,
            "state_memory_budget_bytes": memory_budget_bytes(self.get_state_backend(), self._configuration),
            **storage_options(self._configuration),
            **encryption_options(self._configuration),
            "restart": (self._restart_strategy or restart_strategy_of(self._configuration))._describe(),
            "exactly_once_required": get("execution.checkpointing.mode") is not None
            and self.get_checkpointing_mode() == CheckpointingMode.EXACTLY_ONCE,
        }
        if options["checkpoint_interval_ms"] > 0 and not get(DIRECTORY):
            raise ValueError(
                f"checkpointing is on, but there is no directory for checkpoints: set {DIRECTORY!r} in the Configuration"
            )
        return options

    def _job_storage(self, name: str, options: dict[str, Any]) -> JobStorage:
        get = self._configuration.get_string
        directory = get(DIRECTORY) or ""
        restore_path = get(_RECOVERY_PATH) or get(_FORMER_RECOVERY_PATH) or ""
        return JobStorage(directory, restore_path, name, options["checkpoint_timeout_ms"], self._configuration)

    def _duration(self, key: str, default_ms: int) -> int:
        value = self._configuration.get_string(key)
        if value is None:
            return default_ms
        return to_milliseconds(int(value) if value.lstrip("-").isdigit() else value, key)


def _time_column(schema: _core.Schema, field: str | int) -> int:
    names = schema.names
    if isinstance(field, int):
        if not 0 <= field < len(names):
            raise ValueError(f"timestamp field: there is no column number {field}; the stream has {len(names)}")
        index = field
    elif field not in names:
        raise ValueError(f"timestamp field: there is no column {field!r}; the stream has {names}")
    else:
        index = names.index(field)
    if column_kind(schema, index) not in ("int64", "timestamp"):
        raise ValueError(
            f"timestamp field: column {names[index]!r} is of type {column_kind(schema, index)}; "
            "event time takes an int64 (milliseconds) or a timestamp"
        )
    return index
