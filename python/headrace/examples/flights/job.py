"""The job: hourly and daily windows per carrier and origin, delay alerts per plane, late flights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from headrace import (
    Avg,
    Configuration,
    Count,
    Encoder,
    FileSink,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapFunction,
    Max,
    OutputFileConfig,
    OutputTag,
    Row,
    RuntimeContext,
    StreamExecutionEnvironment,
    Time,
    TumblingEventTimeWindows,
    Types,
    WatermarkStrategy,
)  # fmt: skip
from headrace.datastream import DataStream

JOB_NAME = "New York flights 2013"
WATERMARK_BOUND = "2 h"
LATE_FOR_THE_HOUR = OutputTag("late for the hour")
LATE_FOR_THE_DAY = OutputTag("late for the day")
ALERT_DELAY_MINUTES = 60
ALERT_COUNT = 3
ALERT_SPAN_MS = 24 * 3_600_000


@dataclass(frozen=True)
class Directories:
    """Where a run writes."""

    output: Path
    checkpoints: Path | None = None


class WithAirlineName(MapFunction[Row, str]):
    """A line of text for each window, the carrier's code replaced by its name."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def map(self, value: Row) -> str:
        """See `MapFunction`."""
        mean = "" if value.mean_delay is None else f"{value.mean_delay:.6f}"
        longest = "" if value.max_delay is None else value.max_delay
        name = self._names[value.carrier]
        return f"{value.window_start},{value.window_end},{name},{value.origin},{value.flights},{mean},{longest}"


class DelayAlert(KeyedProcessFunction[str, Row, str]):
    """Alerts on a plane's third delay of an hour or more within 24 h of event time; then counts anew.

    A timer 24 h after each delay forgets it, so that planes that behave well keep no state.
    """

    def __init__(self) -> None:
        self._delays = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handle."""
        self._delays = runtime_context.get_list_state(ListStateDescriptor("delays", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[str]:
        """See `KeyedProcessFunction`."""
        at = value.scheduled_ms
        recent = sorted([*(seen for seen in self._delays.get() if abs(at - seen) < ALERT_SPAN_MS), at])
        if len(recent) >= ALERT_COUNT:
            self._delays.clear()
            yield f"{value.tailnum},{at},{value.carrier},{value.flight},{recent[0]}"
        else:
            self._delays.update(recent)
            ctx.timer_service().register_event_time_timer(at + ALERT_SPAN_MS)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> None:
        """Forgets the delays that are 24 h old."""
        kept = [seen for seen in self._delays.get() if seen + ALERT_SPAN_MS > timestamp]
        if kept:
            self._delays.update(kept)
        else:
            self._delays.clear()


def build(
    flights: pa.Table,
    airlines: dict[str, str],
    directories: Directories,
    configuration: Configuration,
    rows_per_second: float = 0,
) -> StreamExecutionEnvironment:
    """Records the job; `execute(JOB_NAME)` of the result runs it."""
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(WATERMARK_BOUND)
    stream = (
        env.from_arrow(flights, timestamp="scheduled_ms", watermark_strategy=strategy, rows_per_second=rows_per_second)
        .name("flights")
        .uid("flights")
    )

    by_carrier = stream.key_by(["carrier", "origin"])
    for name, size, late in [("hourly", Time.hours(1), LATE_FOR_THE_HOUR), ("daily", Time.days(1), LATE_FOR_THE_DAY)]:
        windows = (
            by_carrier.window(TumblingEventTimeWindows.of(size))
            .side_output_late_data(late)
            .agg(flights=Count(), mean_delay=Avg("dep_delay"), max_delay=Max("dep_delay"))
            .name(f"{name} windows").uid(f"{name}-windows")
        )  # fmt: skip
        lines = windows.map(WithAirlineName(airlines), Types.STRING()).name(f"{name} airline names")
        _write(lines, directories.output / name)
        late_rows = windows.get_side_output(late).name(f"{name} late flights")
        _write(late_rows.map(_late_line, Types.STRING()), directories.output / f"{name}-late")

    delayed = stream.filter(_is_long_delay).name("long delays")
    alerts = delayed.key_by("tailnum").process(DelayAlert(), Types.STRING()).name("delay alerts").uid("delay-alerts")
    _write(alerts, directories.output / "alerts")
    return env


def _is_long_delay(row: Row) -> bool:
    return row.dep_delay is not None and row.dep_delay >= ALERT_DELAY_MINUTES and row.tailnum is not None


def _late_line(row: Row) -> str:
    return f"{row.scheduled_ms},{row.carrier},{row.flight},{row.origin},{row.dep_delay}"


def _write(lines: DataStream, directory: Path) -> None:
    names = OutputFileConfig.builder().with_part_suffix(".csv").build()
    sink = FileSink.for_row_format(directory, Encoder.simple_string_encoder()).with_output_file_config(names).build()
    lines.sink_to(sink).name(f"{directory.name} file").uid(f"{directory.name}-file")


def configuration(directories: Directories, resume: bool = False, interval: str = "1 s") -> Configuration:
    """Checkpoints into the run's directory; `resume` goes on from the newest one."""
    options = Configuration()
    if directories.checkpoints is not None:
        options.set_string("execution.checkpointing.interval", interval)
        options.set_string("execution.checkpointing.dir", str(directories.checkpoints))
    if resume:
        options.set_string("execution.state-recovery.path", "latest")
    return options


def read_output(directory: Path) -> dict[str, list[str]]:
    """All committed lines of each output, sorted."""
    outputs = {}
    for output in sorted(p for p in directory.iterdir() if p.is_dir()):
        parts = [p for p in output.iterdir() if not p.name.startswith(".")]
        outputs[output.name] = sorted(line for part in parts for line in part.read_text().splitlines())
    return outputs
