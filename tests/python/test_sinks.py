"""Where streams end: print, add_sink and sink_to."""

import threading
from collections import Counter as Tally

import pytest

from headrace import FileSink, Row, SinkFunction, Types, UserFunctionError, WatermarkStrategy
from python.streams import checkpointed_env, file_sink, lines_of, new_env


def printed(capfd, env):
    env.execute()
    return capfd.readouterr().out.splitlines()


@pytest.mark.parametrize(("parallelism", "identifier", "prefixes"), [
    (1, None, {""}),
    (1, "id", {"id> "}),
    (2, None, {"1> ", "2> "}),
    (2, "id", {"id:1> ", "id:2> "}),
])  # fmt: skip
def test_print_prefixes_lines_as_flink_does(capfd, parallelism, identifier, prefixes):
    env = new_env(parallelism)
    env.from_sequence(0, 9999).print(identifier)
    lines = printed(capfd, env)
    assert sorted(int(line.rsplit(" ", 1)[-1]) for line in lines) == list(range(10_000))
    assert {line[: len(line) - len(line.rsplit(" ", 1)[-1])] for line in lines} == prefixes


def test_print_keeps_to_the_parallelism_it_is_given(capfd):
    env = new_env(3)
    env.from_sequence(0, 99).print().set_parallelism(1)
    assert sorted(map(int, printed(capfd, env))) == list(range(100))


def test_print_shows_each_type_as_python_does(capfd):
    env = new_env()
    env.from_elements("text", 7, 1.5, None, [1, "a"], ("t", 2), {"k": "v"}, Row(a=1, b="x")).print()
    assert printed(capfd, env) == ["text", "7", "1.5", "None", "[1, 'a']", "('t', 2)", "{'k': 'v'}", "Row(a=1, b='x')"]
    env = new_env()
    row_type = Types.ROW_NAMED(["name", "n"], [Types.STRING(), Types.LONG()])
    env.from_collection([("a", 1), Row(name="ü", n=None)], row_type).print()
    assert printed(capfd, env) == ["Row(name='a', n=1)", "Row(name='ü', n=None)"]


def test_print_goes_to_what_sys_stdout_is_then(capsys):
    env = new_env()
    env.from_elements("captured").print()
    env.execute()
    assert capsys.readouterr().out == "captured\n"


class Shared:
    """What sinks on other threads leave for the test."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows, self.subtasks, self.calls = [], [], Tally()

    def note(self, row):
        with self.lock:
            self.rows.append(row)

    def __deepcopy__(self, memo):
        return self


class Collecting(SinkFunction):
    def __init__(self, shared):
        self.shared = shared
        self.seen = 0

    def open(self, runtime_context):
        self.shared.subtasks.append(runtime_context.get_index_of_this_subtask())

    def invoke(self, value):
        self.seen += 1
        self.shared.note(value)

    def close(self):
        self.shared.calls["closed"] += 1
        self.shared.calls["rows"] += self.seen


@pytest.mark.parametrize("parallelism", [1, 3])
def test_sink_function_has_one_copy_a_subtask(parallelism):
    shared = Shared()
    env = new_env(parallelism)
    env.from_sequence(1, 5000).map(lambda v: v * 2, Types.LONG()).add_sink(Collecting(shared))
    env.execute()
    assert sorted(shared.rows) == list(range(2, 10_001, 2))
    assert sorted(shared.subtasks) == list(range(parallelism))
    assert shared.calls == {"closed": parallelism, "rows": 5000}


class WithContext:
    """Not a SinkFunction by class, but by its method."""

    def __init__(self, shared):
        self.shared = shared

    def invoke(self, value, context):
        self.shared.note((value, context.timestamp()))


def test_any_object_with_invoke_is_a_sink():
    shared = Shared()
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v * 10)
    env = new_env()
    env.from_collection([1, 2]).assign_timestamps_and_watermarks(strategy).add_sink(WithContext(shared))
    env.execute()
    assert shared.rows == [(1, 10), (2, 20)]


def test_function_is_a_sink():
    seen = []
    env = new_env()
    env.from_collection(range(5)).add_sink(seen.append)
    env.from_collection("ab").add_sink(lambda value: seen.append(value))
    env.execute()
    assert sorted(map(str, seen)) == ["0", "1", "2", "3", "4", "a", "b"]


def test_failure_of_a_sink_names_it_and_the_record():
    def fail(value):
        raise OSError("disk gone")

    env = new_env()
    env.from_collection([{"id": 7}]).add_sink(fail).name("to the disk")
    with pytest.raises(UserFunctionError, match=r"operator 'to the disk'.*disk gone.*\{'id': 7\}") as caught:
        env.execute()
    assert isinstance(caught.value.__cause__, OSError)


def test_python_sinks_say_that_they_are_at_least_once():
    env = new_env()
    stream = env.from_collection([1])
    stream.add_sink(lambda v: None)
    stream.print()
    lines = env.explain().splitlines()
    assert sum("at least once" in line for line in lines) == 2


@pytest.mark.parametrize("type_info", [None, Types.STRING()])
@pytest.mark.parametrize("method", ["sink_to", "add_sink"])
def test_file_sink_writes_a_line_a_record(tmp_path, type_info, method):
    env = new_env(2)
    stream = env.from_collection([f"line {i}" for i in range(3000)], type_info)
    getattr(stream, method)(file_sink(tmp_path / "out"))
    env.execute()
    assert lines_of(tmp_path / "out") == sorted(f"line {i}" for i in range(3000))


def test_file_sink_with_checkpoints_shows_each_line_once(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2, interval="20 ms")
    stream = env.from_sequence(0, 2999, rows_per_second=15_000).map(lambda v: v + 1, Types.LONG())
    stream.sink_to(file_sink(tmp_path / "out")).set_parallelism(3).name("files").uid("files")
    result = env.execute("filed")
    assert sum(c["completed"] for c in result.checkpoints) >= 2
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(1, 3001))
    assert result.metrics["files.rows_in"] == 3000


def test_what_is_no_sink_is_refused_where_it_is_written(tmp_path):
    stream = new_env().from_elements(1)
    with pytest.raises(
        TypeError, match=r"add_sink: expected a SinkFunction, an object with invoke\(value\), or a func"
    ):
        stream.add_sink(7)
    with pytest.raises(TypeError, match="sink_to: expected a FileSink, got function"):
        stream.sink_to(lambda v: None)
    with pytest.raises(ValueError, match="only local directories"):
        FileSink.for_row_format("s3://bucket/path")


def test_one_stream_may_end_in_several_sinks(tmp_path, capfd):
    seen = []
    env = new_env()
    stream = env.from_collection([1, 2, 3]).map(lambda v: v * 2)
    stream.print()
    stream.add_sink(seen.append)
    stream.sink_to(file_sink(tmp_path))
    assert printed(capfd, env) == ["2", "4", "6"]
    assert seen == [2, 4, 6]
    assert lines_of(tmp_path) == ["2", "4", "6"]
