"""headrace.read_checkpoint: states of checkpoints as Arrow streams, compared with what plain Python computes."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import shutil
import uuid

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import headrace
from headrace import (
    Count,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    Row,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import TotalsOfPairs, checkpointed_env

ROWS = 20_000
KEYS = 700


class KeepAll(KeyedProcessFunction):
    """One state of each kind; some keys are cleared again, so that deltas hold tombstones."""

    def open(self, runtime_context):
        get = runtime_context.get_state
        self.count = get(ValueStateDescriptor("count", Types.LONG()))
        self.small = get(ValueStateDescriptor("small", Types.SHORT()))
        self.single = get(ValueStateDescriptor("single", Types.FLOAT()))
        self.double = get(ValueStateDescriptor("double", Types.DOUBLE()))
        self.flag = get(ValueStateDescriptor("flag", Types.BOOLEAN()))
        self.text = get(ValueStateDescriptor("text", Types.STRING()))
        self.any = get(ValueStateDescriptor("any"))
        self.mixed = get(ValueStateDescriptor("mixed"))
        self.items = runtime_context.get_list_state(ListStateDescriptor("items", Types.LONG()))
        self.pairs = runtime_context.get_map_state(MapStateDescriptor("pairs", Types.STRING(), Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.small.update(value)
        self.single.update(value / 2)
        self.double.update(value / 3)
        self.flag.update(value % 2 == 0)
        self.text.update(f"text {value} é")
        self.any.update({"last": [value, None], "empty": []})
        self.mixed.update(value if value % 2 else str(value))
        self.items.add(value)
        self.pairs.put(str(value % 5), value)
        ctx.timer_service().register_event_time_timer(1_000 + value % 3)
        if value % 101 == 0:
            for state in (self.text, self.items, self.pairs):
                state.clear()
        yield value


class Expected:
    """The same in plain Python."""

    def __init__(self):
        self.last, self.count = {}, collections.Counter()
        self.text, self.items, self.pairs = {}, collections.defaultdict(list), collections.defaultdict(dict)
        for value in range(ROWS):
            key = value % KEYS
            self.last[key] = value
            self.count[key] += 1
            self.text[key] = f"text {value} é"
            self.items[key].append(value)
            self.pairs[key][str(value % 5)] = value
            if value % 101 == 0:
                self.text.pop(key)
                self.items.pop(key)
                self.pairs.pop(key)


EXPECTED = Expected()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("read")
    env = checkpointed_env(directory / "chk", parallelism=2, interval="20 ms")
    numbers = env.from_collection(range(ROWS), rows_per_second=40_000).uid("numbers")
    kept = numbers.key_by(lambda n: n % KEYS).process(KeepAll(), Types.LONG()).uid("keep")
    kept.add_sink(lambda value: None).uid("sink")
    result = env.execute("read")
    assert sum(one["completed"] for one in result.checkpoints) >= 2
    return headrace.read_checkpoint(directory / "chk")


def by_key(state):
    table = state.to_arrow()
    assert table["namespace"].null_count == len(table)
    return dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))


@pytest.mark.parametrize(("name", "arrow_type", "value_of"), [
    ("count", pa.int64(), lambda key, last: EXPECTED.count[key]),
    ("small", pa.int16(), lambda key, last: last),
    ("single", pa.float32(), lambda key, last: last / 2),
    ("double", pa.float64(), lambda key, last: last / 3),
    ("flag", pa.bool_(), lambda key, last: last % 2 == 0),
    ("any", pa.map_(pa.string(), pa.list_(pa.int64())), lambda key, last: [("last", [last, None]), ("empty", [])]),
    ("mixed", pa.string(), lambda key, last: str(last) if last % 2 else repr(str(last))),
])  # fmt: skip
def test_value_states_of_every_type(checkpoint, name, arrow_type, value_of):
    state = checkpoint["keep"][name]
    assert state.kind == "value"
    assert state.schema.field("value").type == arrow_type
    assert by_key(state) == {key: value_of(key, last) for key, last in EXPECTED.last.items()}


def test_values_that_were_cleared_are_gone(checkpoint):
    assert len(EXPECTED.text) < KEYS
    assert by_key(checkpoint["keep"]["text"]) == EXPECTED.text


def test_list_states_have_a_row_an_element(checkpoint):
    rows = checkpoint["keep"]["items"].to_arrow().sort_by([("key", "ascending"), ("index", "ascending")]).to_pylist()
    assert [(row["key"], row["index"], row["value"]) for row in rows] == [
        (key, index, value) for key, items in sorted(EXPECTED.items.items()) for index, value in enumerate(items)
    ]


def test_map_states_have_a_row_an_entry(checkpoint):
    rows = checkpoint["keep"]["pairs"].to_arrow().to_pylist()
    assert {(row["key"], row["map_key"]): row["value"] for row in rows} == {
        (key, name): value for key, pairs in EXPECTED.pairs.items() for name, value in pairs.items()
    }
    assert len(rows) == sum(map(len, EXPECTED.pairs.values()))


def test_types_say_what_the_values_were(checkpoint):
    states = checkpoint["keep"].states()
    assert states["mixed"].types["value"] == "int or str, as text"
    assert states["any"].types == {"key": "int", "namespace": "window", "value": "dict of str to list of int"}
    assert states["any"].schema.field("value").metadata == {b"headrace.type": b"dict of str to list of int"}
    assert states["pairs"].declared == "map<string, int64>"


def test_duckdb_polars_and_pandas_query_states(checkpoint):
    items = checkpoint["keep"]["items"]
    counts = checkpoint["keep"]["count"]
    expected = {key: (len(values), sum(values)) for key, values in EXPECTED.items.items()}
    rows = duckdb.sql("SELECT key, count(*), sum(value) FROM items GROUP BY key").fetchall()
    assert {key: (n, total) for key, n, total in rows} == expected
    joined = duckdb.sql("SELECT count(*) FROM items JOIN counts USING (key) WHERE counts.value > 1").fetchall()
    assert joined == [(sum(len(values) for key, values in EXPECTED.items.items() if EXPECTED.count[key] > 1),)]
    frame = pl.DataFrame(items).group_by("key").agg(pl.len(), pl.col("value").sum())
    assert {key: (n, total) for key, n, total in frame.rows()} == expected
    assert counts.to_polars().height == KEYS
    pandas = items.to_pandas().groupby("key")["value"].agg(["size", "sum"])
    assert {key: (row["size"], row["sum"]) for key, row in pandas.iterrows()} == expected


def test_streams_can_be_read_again_and_piece_by_piece(checkpoint):
    items = checkpoint["keep"]["items"]
    with items.to_batches() as reader:
        first = reader.read_next_batch()
        assert 0 < first.num_rows <= items.to_arrow().num_rows
    assert items.to_arrow().equals(items.to_arrow())
    assert pa.table(items).num_rows == pa.RecordBatchReader.from_stream(items).read_all().num_rows


def test_key_dictionary_and_timers(checkpoint):
    keys = checkpoint["keep"].key_dictionary().to_arrow().to_pylist()
    assert sorted(row["key"] for row in keys) == list(range(KEYS))
    assert all(row["key_group"] == headrace.key_group(row["key"]) for row in keys)
    assert all(row["subtask"] == headrace.task_of(row["key"], 2) for row in keys)
    for subtask in range(2):
        ids = [row["id"] for row in keys if row["subtask"] == subtask]
        assert sorted(ids) == list(range(len(ids)))
    assert checkpoint["keep"].timers().to_arrow().num_rows == 0  # all fired when the input ended


def test_operators_and_offsets(checkpoint):
    assert [uid for uid in checkpoint.operators() if len(uid) != 16] == ["numbers", "keep", "sink"]
    assert checkpoint["keep"].keyed
    assert checkpoint["keep"].parallelism == 2
    assert len(checkpoint["keep"].state_bytes) == 2
    assert sum(sum(op.state_bytes) for op in checkpoint.operators().values()) == checkpoint.state_bytes
    assert checkpoint.kind == "final checkpoint"
    [split] = checkpoint.source_offsets()
    assert (split["operator"], split["rows_read"], split["finished"]) == ("numbers", ROWS, True)


def test_timers_and_windows_of_a_checkpoint_in_the_middle(tmp_path):
    class Wait(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(10**9 + value)
            ctx.timer_service().register_processing_time_timer(10**15 + value)
            yield value

    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda value, _: value)
    numbers = env.from_collection(range(3000), rows_per_second=1500).uid("n")
    timed = numbers.assign_timestamps_and_watermarks(strategy)
    timed.key_by(lambda n: n % 10).process(Wait(), Types.LONG()).uid("wait").add_sink(lambda value: None)
    pairs = timed.map(lambda n: (n % 7, n), Types.TUPLE([Types.LONG(), Types.LONG()]))
    windowed = pairs.key_by(lambda pair: pair[0]).window(TumblingEventTimeWindows.of(Time.milliseconds(100_000)))
    windowed.aggregate(TotalsOfPairs()).uid("custom").add_sink(lambda value: None)
    native = pairs.key_by(0).window(TumblingEventTimeWindows.of(Time.milliseconds(100_000)))
    native.agg(total=Sum("f1"), n=Count()).uid("native").add_sink(lambda value: None)
    client = env.execute_async("middle")
    while client.metrics().get("Collection.rows_read", 0) < 100:
        assert not client.status().is_terminal_state()
    before = len(client.checkpoints())
    while sum(one["completed"] for one in client.checkpoints()[before + 1 :]) == 0:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    stored = headrace.read_checkpoint(tmp_path / "chk")
    read = stored.source_offsets()[0]["rows_read"]
    assert 0 < read < 3000
    timers = stored["wait"].timers().to_arrow().to_pylist()
    assert {(t["key"], t["domain"], t["time"]) for t in timers} == {
        (n % 10, domain, base + n)
        for n in range(read)
        for domain, base in [("event time", 10**9), ("processing time", 10**15)]
    }
    totals = {key: [sum(range(key, read, 7)), len(range(key, read, 7))] for key in range(min(read, 7))}
    window = {"window_start": 0, "window_end": 100_000}
    [contents] = [state for name, state in stored["custom"].items()]
    assert [row["namespace"] for row in contents.to_arrow().to_pylist()] == [window] * len(totals)
    assert {row["key"]: row["value"] for row in contents.to_arrow().to_pylist()} == totals
    [slices] = stored["native"].values()
    assert slices.kind == "aggregates"
    assert [row["namespace"] for row in slices.to_arrow().to_pylist()] == [window] * len(totals)
    assert {row["key"]: [row["sum"], row["count"]] for row in slices.to_arrow().to_pylist()} == totals


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: float


Pair = collections.namedtuple("Pair", "left right")
UTC = dt.timezone.utc
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

KINDS = {
    "None": ([None, None], pa.null(), None),
    "int": ([1, None, -(2**63)], pa.int64(), None),
    "int and float": ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
    "int that no double holds": ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
    "large int": ([2**70, 1], pa.string(), [str(2**70), "1"]),
    "bool and int": ([True, 1], pa.string(), ["True", "1"]),
    "str": (["a", "é😀", ""], pa.string(), None),
    "surrogates": (["\ud800", "a"], pa.string(), [repr("\ud800"), "'a'"]),
    "bytes": ([b"\x00\xff", b""], pa.binary(), None),
    "bytes and bytearray": ([b"a", bytearray(b"b")], pa.string(), ["b'a'", "bytearray(b'b')"]),
    "tuple": ([(1, "a"), (2, None)], pa.struct({"f0": pa.int64(), "f1": pa.string()}),
              [{"f0": 1, "f1": "a"}, {"f0": 2, "f1": None}]),
    "tuples of two lengths": ([(1,), (1, 2)], pa.string(), ["(1,)", "(1, 2)"]),
    "empty tuple": ([()], pa.string(), ["()"]),
    "list": ([[1, 2], [], None], pa.list_(pa.int64()), None),
    "list of anything": ([[1, "a"]], pa.list_(pa.string()), [["1", "'a'"]]),
    "set": ([{3}, set()], pa.list_(pa.int64()), [[3], []]),
    "list and set": ([[1], {1}], pa.string(), ["[1]", "{1}"]),
    "dict": ([{"a": 1}, {}], pa.map_(pa.string(), pa.int64()), [[("a", 1)], []]),
    "dict of records": ([{"n": 1, "s": "a"}, {"n": None, "s": "b"}],
                        pa.struct({"n": pa.int64(), "s": pa.string()}), None),
    "dict with None": ([{None: 1}], pa.string(), ["{None: 1}"]),
    "date": ([dt.date(1, 1, 1), dt.date(9999, 12, 31)], pa.date32(), None),
    "datetime": ([dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.datetime(1, 1, 1)], pa.timestamp("us"), None),
    "datetime of UTC": ([dt.datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"), None),
    "datetime at an offset": ([dt.datetime(2024, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=5)))],
                              pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 1, tzinfo=UTC)]),
    "naive and aware": ([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)], pa.string(),
                        ["datetime.datetime(2024, 1, 1, 0, 0)",
                         "datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"]),
    "time": ([dt.time(1, 2, 3, 4)], pa.time64("us"), None),
    "timedelta": ([dt.timedelta(-1, 2, 3), dt.timedelta(0)], pa.duration("us"), None),
    "Decimal": ([decimal.Decimal("1.50"), decimal.Decimal("-2E+3"), decimal.Decimal("0")], pa.decimal128(38, 2), None),
    "Decimal NaN": ([decimal.Decimal("NaN")], pa.string(), ["Decimal('NaN')"]),
    "UUID": ([ID], pa.string(), [str(ID)]),
    "enum": ([Color.RED, Color.BLUE], pa.string(), ["RED", "BLUE"]),
    "Row": ([Row(a=1, b="x"), Row(a=2, b="y")], pa.struct({"a": pa.int64(), "b": pa.string()}),
            [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "Row without names": ([Row(1, 2)], pa.struct({"f0": pa.int64(), "f1": pa.int64()}), [{"f0": 1, "f1": 2}]),
    "dataclass": ([Point(1, 2.5)], pa.struct({"x": pa.int64(), "y": pa.float64()}), [{"x": 1, "y": 2.5}]),
    "named tuple": ([Pair(1, 2)], pa.struct({"f0": pa.int64(), "f1": pa.int64()}), [{"f0": 1, "f1": 2}]),
    "numpy": ([np.int32(7), np.float32(0.5), np.uint8(255)], pa.float64(), [7.0, 0.5, 255.0]),
    "nested": ([[{"a": (1, [Point(1, 2.0)])}]],
               pa.list_(pa.map_(pa.string(), pa.struct({
                   "f0": pa.int64(), "f1": pa.list_(pa.struct({"x": pa.int64(), "y": pa.float64()}))}))),
               [[[("a", {"f0": 1, "f1": [{"x": 1, "y": 2.0}]})]]]),
}  # fmt: skip


def test_python_values_without_a_declared_type(tmp_path):
    class Keep(KeyedProcessFunction):
        def open(self, runtime_context):
            self.states = {
                name: runtime_context.get_map_state(MapStateDescriptor(name, Types.LONG(), None)) for name in KINDS
            }

        def process_element(self, value, ctx):
            for name, (values, _, _) in KINDS.items():
                for index, one in enumerate(values):
                    self.states[name].put(index, one)
            yield value

    env = checkpointed_env(tmp_path / "chk")
    env.from_elements("k").key_by(str).process(Keep(), Types.STRING()).uid("keep").add_sink(lambda value: None)
    env.execute("kinds")
    states = headrace.read_checkpoint(tmp_path / "chk")["keep"]
    for name, (values, arrow_type, shown) in KINDS.items():
        rows = states[name].to_arrow().sort_by("map_key")
        assert rows["value"].type == arrow_type, name
        assert rows["value"].to_pylist() == (values if shown is None else shown), name
        there = len(values) - values.count(None)
        assert duckdb.sql("SELECT count(value) FROM rows").fetchall() == [(there,)], name


def test_keys_of_several_kinds_stay_apart(tmp_path):
    class Keep(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            yield str(value)

    env = checkpointed_env(tmp_path / "chk")
    keyed = env.from_elements(1, 1.0, True, "1", 1).key_by(lambda value: value)
    keyed.process(Keep(), Types.STRING()).uid("keep").add_sink(lambda value: None)
    env.execute("keys")
    table = headrace.read_checkpoint(tmp_path / "chk")["keep"]["count"].to_arrow()
    rows = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert rows == {"1": 2, "1.0": 1, "True": 1, "'1'": 1}


def test_every_way_to_name_a_checkpoint(tmp_path):
    for job in ("first", "second"):
        env = checkpointed_env(tmp_path / "chk", interval="1 h")  # the final checkpoint only
        env.from_collection(range(10)).uid("n").add_sink(lambda value: None)
        env.execute(job)
    [manifest] = (tmp_path / "chk").glob("first*/*.manifest")
    directory = manifest.parent
    for path in [directory, str(directory), f"file://{directory}", manifest, manifest.with_suffix("")]:
        assert headrace.read_checkpoint(path).job == "first"
    with pytest.raises(headrace.InvalidArgumentError, match=r"several jobs.*first.*second"):
        headrace.read_checkpoint(tmp_path / "chk")
    with pytest.raises(headrace.InvalidArgumentError, match="no checkpoint at"):
        headrace.read_checkpoint(tmp_path / "nothing")
    with pytest.raises(headrace.InvalidArgumentError, match="holds no checkpoint"):
        headrace.read_checkpoint(tmp_path)
    with pytest.raises(KeyError, match=r"no operator 'x'.*'n'"):
        headrace.read_checkpoint(manifest)["x"]
    with pytest.raises(KeyError, match="no state 'x'"):
        headrace.read_checkpoint(manifest)["n"]["x"]


def test_damage_is_named_by_file(checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint.directory, copy)
    for data in copy.glob("*.hrs"):
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    damaged = headrace.read_checkpoint(copy)
    with pytest.raises(headrace.CorruptionError, match=r"table 'items'.*\.hrs.*offset"):
        damaged["keep"]["items"].to_arrow()
