"""What this version writes from Python is what it has always written, and old checkpoints are resumed.

With HEADRACE_WRITE_GOLDEN set the files are made anew: only for what did not exist before, as checkpoints that
are out there must stay readable.
"""

import datetime
import decimal
import enum
import os
import shutil
import time
import uuid
import zoneinfo
from collections import Counter, namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace import (
    AggregateFunction,
    Configuration,
    Count,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    Max,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
)  # fmt: skip
from headrace._core import Row, decode_value, encode_value

GOLDEN = Path(__file__).parent / "golden"
WRITES = bool(os.environ.get("HEADRACE_WRITE_GOLDEN"))

Point = namedtuple("Point", ["x", "y"])


class Color(enum.Enum):
    RED = 1


@dataclass
class Visit:
    page: str
    seconds: float


for registered in (Point, Color, Visit):
    # One name wherever this file is imported from.
    registered.__module__ = "golden"
    _core.register_class(registered)

EARLY = datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, fold=1)
VALUES = [
    None, False, True, 0, -1, 2**63 - 1, -(2**63), 2**63, -(2**200), 0.0, -0.0, 1.5, float("inf"), "", "日本", "\ud800",
    b"", b"\x00\xff", (), (1, "a"), [], [1, [None]], {}, {"b": 1, "a": []}, set(), {3, 1, 2}, frozenset({1}),
    datetime.date(1999, 12, 31), datetime.time(0, 16, 40), datetime.time(1, 2, 3, 4, tzinfo=datetime.timezone.utc),
    EARLY, EARLY.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
    EARLY.replace(tzinfo=zoneinfo.ZoneInfo("America/New_York")),
    datetime.timedelta(days=-1, seconds=10, microseconds=11), decimal.Decimal("1.50"), decimal.Decimal("-Infinity"),
    uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f"), Row(1, "x"), Row(a=1, b="x"), Point(1, 2), Visit("/", 0.5),
    np.int64(1), np.float32(0.5), np.bool_(True), bytearray(b"ab"), Color.RED,
]  # fmt: skip


def test_values_of_every_kind_are_the_golden_file():
    text = "".join(f"{encode_value(value).hex()}\t{value!a}\n" for value in VALUES)
    if WRITES:
        (GOLDEN / "values.txt").write_text(text)
    golden = (GOLDEN / "values.txt").read_text()
    assert text == golden
    lines = [line.split("\t")[0] for line in golden.splitlines()]
    read = [decode_value(bytes.fromhex(line)) for line in lines]
    assert read == VALUES
    assert [type(value) for value in read] == [type(value) for value in VALUES]
    # All tags but the pickle's, which only a state that asked for it holds.
    assert {int(line[:2], 16) for line in lines} == set(range(0x1B)) - {0x18}


# -------------------- A whole checkpoint

ROWS = 1200
KEYS = 7


class Everything(KeyedProcessFunction):
    """Every kind of state and timer; what it gives depends on all of them."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.ratio = runtime_context.get_state(ValueStateDescriptor("ratio", Types.DOUBLE()))
        self.last = runtime_context.get_state(ValueStateDescriptor("last"))
        self.pickled = runtime_context.get_state(ValueStateDescriptor("pickled", Types.PICKLED_BYTE_ARRAY()))
        self.seen = runtime_context.get_list_state(ListStateDescriptor("seen", Types.LONG()))
        self.residues = runtime_context.get_map_state(MapStateDescriptor("residues", Types.STRING(), Types.LONG()))

    def process_element(self, value, ctx):
        n = value.n
        self.count.update((self.count.value() or 0) + 1)
        self.ratio.update((self.ratio.value() or 0.0) + 0.5)
        last = self.last.value() or {"numbers": []}
        last["numbers"] = [*last["numbers"][-2:], n]
        self.last.update(last)
        self.pickled.update(complex(n, (self.pickled.value() or 0j).imag + 1))
        self.seen.add(n)
        residue = f"r{n % 5}"
        self.residues.put(residue, (self.residues.get(residue) or 0) + 1)
        ctx.timer_service().register_event_time_timer(value.ts + 250)
        yield (
            f"state {ctx.get_current_key()} {self.count.value()} {self.ratio.value()} {last['numbers']} "
            f"{self.pickled.value()} {sum(self.seen.get())} {sorted(self.residues.items())}"
        )

    def on_timer(self, timestamp, ctx):
        yield f"timer {ctx.get_current_key()} {timestamp} {self.count.value() >= 1}"


class Spread(AggregateFunction):
    def create_accumulator(self):
        return (None, None)

    def add(self, value, accumulator):
        low, high = accumulator
        return (value.n if low is None else min(low, value.n), value.n if high is None else max(high, value.n))

    def get_result(self, accumulator):
        return f"spread {accumulator[0]} {accumulator[1]}"


class Listing(ProcessWindowFunction):
    def process(self, key, context, elements):
        numbers = [element.n for element in elements]
        yield f"window {key} {context.window().start} {len(numbers)} {sum(numbers)}"


def job(env, rows_per_second=0):
    """A stream of lines from all that has state; the same rows at each call."""
    numbers = list(range(ROWS))
    table = pa.table({
        "n": pa.array(numbers, pa.int64()),
        "key": pa.array([n % KEYS for n in numbers], pa.int64()),
        "ts": pa.array([n * 10 - n % 3 * 15 for n in numbers], pa.int64()),
    })  # fmt: skip
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(30)
    rows = env.from_arrow(table, timestamp="ts", watermark_strategy=strategy, rows_per_second=rows_per_second)
    keyed = rows.uid("rows").key_by("key")
    second = TumblingEventTimeWindows.of(Time.seconds(1))
    states = keyed.process(Everything(), Types.STRING()).uid("states")
    native = keyed.window(second).agg(n=Count(), total=Sum("n"), top=Max("n")).uid("native")
    spreads = keyed.window(second).aggregate(Spread(), output_type=Types.STRING()).uid("spreads")
    listings = keyed.window(second).process(Listing(), Types.STRING()).uid("listings")
    firsts = keyed.max("n").uid("firsts")
    return states.union(
        native.map(lambda r: f"native {r.key} {r.window_start} {r.n} {r.total} {r.top}", Types.STRING()),
        spreads,
        listings,
        firsts.map(lambda r: f"first {r.key} {r.n} {r.ts}", Types.STRING()),
    ).uid("all")


def run(configuration, rows_per_second=0):
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(configuration))
    env.set_parallelism(1)
    with job(env, rows_per_second).execute_and_collect("golden") as lines:
        return sorted(lines)


def write_checkpoint(directory, scratch):
    """Leaves a checkpoint of the job, taken in the middle of it, and what is left to come after it."""
    options = {"execution.checkpointing.interval": "100 ms", "execution.checkpointing.dir": str(scratch)}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_parallelism(1)
    job(env, rows_per_second=800).print()
    client = env.execute_async("golden")
    while sum(checkpoint["completed"] for checkpoint in client.checkpoints()) < 8:
        time.sleep(0.01)
    client.cancel().result()
    shutil.rmtree(directory, ignore_errors=True)
    manifest = max(scratch.rglob("chk-*.manifest"), key=lambda path: _core.load_manifest(str(path))["id"])
    directory.mkdir(parents=True)
    shutil.copy(manifest, directory)
    for file in _core.load_manifest(str(manifest))["files"]:
        shutil.copy(manifest.parent / file["name"], directory)
    lines = run({"execution.state-recovery.path": str(directory)})
    (directory / "expected.txt").write_text("".join(f"{line}\n" for line in lines))


def test_checkpoint_of_version_1_is_resumed(tmp_path):
    golden = GOLDEN / "checkpoint_v1"
    if WRITES:
        write_checkpoint(golden, tmp_path / "scratch")
    shutil.copytree(golden, tmp_path / "checkpoint")
    expected = (golden / "expected.txt").read_text().splitlines()
    assert run({"execution.state-recovery.path": str(tmp_path / "checkpoint")}) == expected

    # The expectation itself: a part of what a run without interruption gives, its end included.
    whole = Counter(run({}))
    assert not Counter(expected) - whole
    assert 0.2 * whole.total() < len(expected) < 0.9 * whole.total()
    for kind in ("state", "timer", "native", "spread", "window", "first"):
        assert any(line.startswith(f"{kind} ") for line in expected), kind
    for key in range(KEYS):
        count = ROWS // KEYS + (key < ROWS % KEYS)
        assert any(line.startswith(f"state {key} {count} {count / 2} ") for line in expected)
