"""Unknown fields, values of a wrong type and values that cannot be kept: each error names operator, cause and record."""

import threading

import pyarrow as pa
import pytest

from headrace import (
    FileSink,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    Row,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from headrace.aggregates import Avg, Count, StdDev, Sum
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

SECOND = TumblingEventTimeWindows.of(Time.seconds(1))
MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()
A_AND_B = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])


def typed():
    return new_env().from_arrow(pa.table({"a": [1, 2], "b": ["x", "y"], "ts": [1000, 2000]}))


def dicts():
    return new_env().from_collection([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])


def rows():
    return new_env().from_collection([Row(a=1, b="x"), Row(a=2, b="y")])


def pairs():
    return new_env().from_collection([("x", 1), ("y", 2)])


class Assigner(TimestampAssigner):
    def __init__(self, time):
        self.time = time

    def extract_timestamp(self, value, record_timestamp):
        return self.time


class Update(KeyedProcessFunction):
    """Puts what `make` gives into a ValueState."""

    def __init__(self, type_info, make):
        self.type_info = type_info
        self.make = make

    def open(self, runtime_context):
        self.state = runtime_context.get_state(ValueStateDescriptor("kept", self.type_info))

    def process_element(self, value, ctx):
        self.state.update(self.make())
        yield value


# ---- found when the program is put together

REFUSED = {
    "key": (lambda: typed().key_by("x"), r"KeyBy: no field 'x'; the fields are 'a', 'b', 'ts'"),
    "key number": (lambda: typed().key_by(7), r"KeyBy: there is no field number 7; the stream is row<a: int64"),
    "agg": (lambda: typed().key_by("b").agg(n=Sum("x")), r"agg: n=Sum\('x'\): no field 'x'; the stream has \['a',"),
    "agg number": (lambda: typed().key_by("b").agg(n=Sum(8)), r"agg: n=Sum\(8\): no field number 8; the stream has"),
    "window agg": (lambda: typed().key_by("b").window(SECOND).agg(n=Count("x")), r"agg: n=Count\('x'\): no field 'x'"),
    "agg in Python": (lambda: typed().key_by("b").agg(n=StdDev("x")), r"agg: n=StdDev\('x'\): no field 'x'"),
    "sum": (lambda: typed().key_by("b").sum("x"), r"Sum: no field 'x'; the fields are"),
    "min_by": (lambda: typed().key_by("b").min_by("x"), r"min_by: no field 'x'; the fields are"),
    "project": (lambda: typed().project(0, 9), r"Projection: there is no field number 9"),
    "project of objects": (
        lambda: dicts().project(0),
        r"project: 'Collection' gives Python objects of no declared type",
    ),
    "time of the source": (lambda: new_env().from_arrow(pa.table({"a": [1]}), "x"), r"no column 'x'; .* has \['a'\]"),
    "time": (
        lambda: typed().assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("x")),
        r"Timestamps/Watermarks: no field 'x'; the fields are",
    ),
    "sum of text": (lambda: typed().key_by("a").sum("b"), r"Sum: .*sum of column 'b': not supported for string"),
    "agg of text": (lambda: typed().key_by("a").agg(n=Avg("b")), r"n=Avg\('b'\): field 'b' is of type string"),
    "window agg of text": (lambda: typed().key_by("a").window(SECOND).agg(n=Sum("b")), r"field 'b' is of type string"),
    "time from text": (
        lambda: typed().assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("b")),
        r"Timestamps/Watermarks: field 'b' of type string cannot be the event time: it takes int64 \(milliseconds\)",
    ),
    "source time from text": (
        lambda: new_env().from_arrow(pa.table({"b": ["x"]}), "b"),
        r"'b' is of type string; event",
    ),
    "tag": (lambda: typed().get_side_output("late"), r"get_side_output: expected an OutputTag, got str"),
    "encoder": (lambda: FileSink.for_row_format("out", 5), r"for_row_format: expected an Encoder, .* got int"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_field_is_refused_where_it_is_asked_for(case):
    build, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        build()


# ---- found when a record comes

FAILING = {
    "field of a Row": (lambda: typed().map(lambda r: r.x), "Map", r"Row has no field 'x'; it has \('a', 'b', 'ts'\).*record Row"),
    "item of a Row": (lambda: typed().map(lambda r: r["x"]), "Map", r"ValueError: Row has no field 'x'; it has \('a',"),
    "number of a Row": (lambda: typed().map(lambda r: r[9]), "Map", r"Row index 9 is out of range: it has 3 fields"),
    "key of dicts": (lambda: dicts().key_by("x"), "KeyBy", r"key_by\('x'\) .*; it has \['a', 'b'\].*record \{'a': 1, 'b'"),
    "key of Rows": (lambda: rows().key_by("x"), "KeyBy", r"key_by\('x'\) .*; it has \['a', 'b'\].*record Row\(a=1"),
    "key of tuples": (lambda: pairs().key_by(7), "KeyBy", r"key_by\(7\) raised IndexError: .*record \('x', 1\)"),
    "agg of dicts": (lambda: dicts().key_by("b").agg(n=Sum("x")), "Aggregate", r"no field 'x' in .*; it has \['a', 'b'\]"),
    "agg of text": (lambda: dicts().key_by("a").agg(n=Sum("b")), "Aggregate", r"cannot sum 'x' of type str: .*record \{'a': 1"),
    "sum of dicts": (lambda: dicts().key_by("b").sum("x"), "Sum", r"sum of field 'x' .*; it has \['a', 'b'\].*record \{'a': 1"),
    "sum of Rows": (lambda: rows().key_by("b").sum("x"), "Sum", r"sum of field 'x' .*; it has \['a', 'b'\].*record Row\(a=1"),
    "sum of tuples": (lambda: pairs().key_by(0).sum(5), "Sum", r"sum of field 5 .*no field number 5 .*it has 2 fields"),
    "max_by of dicts": (lambda: dicts().key_by("b").max_by("x"), "Max_by", r"no field 'x' in .*; it has \['a', 'b'\]"),
    "sum of text": (lambda: pairs().key_by(1).sum(0), "Sum", r"cannot sum 'x' of type str: sum needs numbers, record \('x', 1"),
    "key": (
        lambda: pairs().key_by(lambda _: threading.Lock()).map(str),
        "Map",
        r"key of record \('x', 1\): a value of type '_thread.lock' .*cannot be encoded; keys must be plain values",
    ),
    "time of dicts": (
        lambda: dicts().assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("x")),
        "Timestamps",
        r"no field 'x' in .*; it has \['a', 'b'\]",
    ),
    "time that is text": (
        lambda: dicts().assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_assigner(Assigner("now"))),
        "Timestamps",
        r"Assigner.extract_timestamp must return event time as an int \(ms\), got 'now' for record \{'a': 1",
    ),
    "no time": (lambda: dicts().key_by("a").window(SECOND).agg(n=Count()), "Window", r"no event time: call assign_timestamps"),
    "null time": (
        lambda: new_env().from_arrow(pa.table({"t": [1, None]}), "t"),
        "Arrow",
        r"event time field 't' is null in row 1",
    ),
    "element": (lambda: new_env().from_collection([1, "x"], Types.INT()), "Collection", r"element 1 .*'x' of type str is no int32"),
    "result": (lambda: dicts().map(lambda r: r["b"], Types.LONG()), "Map", r"for record \{'a': 1.*'x' of type str is no int64"),
    "missing field": (lambda: dicts().map(lambda r: {"a": 1}, A_AND_B), "Map", r"\{'a': 1\} has no field 'b'; .*row<a: int64, b"),
    "too many fields": (
        lambda: dicts().map(lambda r: (1, 2, 3), Types.TUPLE([Types.INT(), Types.INT()])),
        "Map",
        r"for record \{'a': 1.* has 2 fields, got 3: \(1, 2, 3\)",
    ),
    "typed key": (lambda: pairs().key_by(lambda p: p[0], Types.INT()), "KeyBy", r"key of record \('x', 1\): .*'x' .* is no int32"),
    "side output": (
        lambda: pairs().process(Sideways("no number")).get_side_output(OutputTag("side", Types.INT())),
        "Process",
        r"for record \('x', 1\): for OutputTag\('side'\): .*'no number' of type str is no int32",
    ),
    "side output of a map": (
        lambda: pairs().map(lambda p: (OutputTag("side"), p)),
        "Map",
        r"\(OutputTag\('side'\), .*is for a side output, which only process functions have: use process\(\)",
    ),
    "state type": (lambda: pairs().key_by(0).process(Update(Types.LONG(), str)), "KeyedProcess", r"'kept' holds int64 .*got '' of"),
    "state": (
        lambda: pairs().key_by(0).process(Update(None, threading.Lock)),
        "KeyedProcess",
        r"state 'kept': a value of type '_thread.lock' .*use plain values.*PICKLED_BYTE_ARRAY\(\).*record \('x', 1\)",
    ),
    "pickled state": (
        lambda: pairs().key_by(0).process(Update(Types.PICKLED_BYTE_ARRAY(), threading.Lock)),
        "KeyedProcess",
        r"state 'kept': .*cannot be pickled: TypeError: .*record \('x', 1\)",
    ),
    "key of an exchange": (
        lambda: pairs().key_by(lambda _: threading.Lock()).map(str).set_parallelism(2),
        "KeyBy",
        r"key of a record: a value of type '_thread.lock' .*cannot be encoded; keys must be plain values",
    ),
    "window": (
        lambda: (
            pairs()
            .map(lambda _: [threading.Lock()])
            .assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_assigner(Assigner(1)))
            .key_by(lambda _: 0)
            .window(SECOND)
            .apply(lambda key, window, records: [1])
        ),
        "Window",
        r"keeping record \[<unlocked _thread.lock .* in its window: a value of type '_thread.lock'",
    ),
    "value still in use": (
        lambda: pairs().map(lambda _, kept=[threading.Lock()]: kept),
        "Map",
        r"for record \('x', 1\): it can change later.*make a new object for each result: TypeError: cannot pickle",
    ),
}  # fmt: skip


class Sideways(ProcessFunction):
    def __init__(self, result):
        self.result = result

    def process_element(self, value, ctx):
        yield OutputTag("side", Types.INT()), self.result


@pytest.mark.parametrize("case", FAILING)
def test_wrong_record_fails_the_job_naming_operator_record_and_cause(case):
    build, operator, message = FAILING[case]
    with pytest.raises(RuntimeError, match=rf"operator '{operator}' \(subtask \d/\d\): .*{message}"):
        collect(build())


def test_uncopiable_record_of_two_consumers_names_record_and_cause():
    locks = pairs().map(lambda _: [threading.Lock()])
    locks.print()
    with pytest.raises(
        RuntimeError, match=r"operator 'Map' .*record \[<unlocked.*several consumers.*TypeError: cannot pickle"
    ):
        collect(locks.map(len))


class Untold:
    def __str__(self):
        raise ValueError("no text")


def test_record_without_text_fails_a_file_sink_by_name(tmp_path):
    env = new_env()
    env.from_elements(1).map(lambda _: Untold()).sink_to(file_sink(tmp_path / "out"))
    with pytest.raises(RuntimeError, match=r"operator 'Encode' .*ValueError: no text .*record <.*Untold object"):
        env.execute()


def test_encoder_writes_its_text_and_must_give_text(tmp_path):
    env = new_env()
    env.from_elements(1, 2).sink_to(FileSink.for_row_format(tmp_path / "good", lambda n: f"<{n}>").build())
    env.execute()
    assert lines_of(tmp_path / "good") == ["<1>", "<2>"]
    env.from_elements(1).sink_to(FileSink.for_row_format(tmp_path / "bad", lambda n: n).build())
    with pytest.raises(ValueError, match=r"operator 'Encode' .*must return str or bytes, got 1 for record 1"):
        env.execute()


def test_function_that_cannot_be_copied_names_its_attribute():
    class Holder(ProcessFunction):
        def __init__(self):
            self.lock = threading.Lock()

        def process_element(self, value, ctx):
            yield value

    with pytest.raises(
        ValueError, match=r"Holder, which cannot be copied: attribute 'lock': .*make such things in open\(\)"
    ):
        pairs().process(Holder())


def test_source_function_that_cannot_be_copied_names_its_attribute():
    class Locked:
        def __init__(self):
            self.lock = threading.Lock()

        def run(self, ctx):
            ctx.collect(1)

    with pytest.raises(ValueError, match=r"Locked, which cannot be copied: attribute 'lock'"):
        new_env().add_source(Locked())


def test_committed_output_stays_when_a_later_record_is_wrong(tmp_path):
    # Several checkpoints commit lines before the record of a wrong type comes.
    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    numbers = env.from_collection([*range(600), "x"], rows_per_second=1500)
    numbers.map(lambda n: n, Types.LONG()).sink_to(file_sink(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"for record 'x': .*'x' of type str is no int64"):
        env.execute()
    committed = sorted(map(int, lines_of(tmp_path / "out")))
    assert committed == list(range(len(committed)))
    assert len(committed) > 100
