"""State that was stored with one type and is restored with another: rows that gained, lost or renamed fields."""

import pytest

from headrace import (
    Configuration,
    HeadraceError,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    Row,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    _core,
)  # fmt: skip
from python.streams import file_sink, lines_of

FORMER_ROW = Types.ROW_NAMED(["id", "town", "age"], [Types.INT(), Types.STRING(), Types.INT()])
NEW_ROW = Types.ROW_NAMED(
    ["city", "id", "score"], [Types.STRING(), Types.LONG(), Types.DOUBLE()]
).evolved(renamed={"city": "town"}, dropped=["age"], defaults={"score": 0.5})  # fmt: skip


class Remember(KeyedProcessFunction):
    """The program as it was."""

    row_type, count_type, share_type = FORMER_ROW, Types.INT(), Types.FLOAT()

    def open(self, runtime_context):
        self.last = runtime_context.get_state(ValueStateDescriptor("last", self.row_type))
        self.all = runtime_context.get_list_state(ListStateDescriptor("all", self.row_type))
        self.by_id = runtime_context.get_map_state(MapStateDescriptor("by id", Types.LONG(), self.row_type))
        self.count = runtime_context.get_state(ValueStateDescriptor("count", self.count_type))
        self.share = runtime_context.get_state(ValueStateDescriptor("share", self.share_type))

    def process_element(self, value, ctx):
        row = Row(id=value, town=f"town {value}", age=value % 50)
        self.last.update(row)
        self.all.add(row)
        self.by_id.put(value, row)
        self.count.update((self.count.value() or 0) + 1)
        self.share.update(value / 4)
        yield f"{ctx.get_current_key()}"


class Evolved(Remember):
    """The program as it is now; shows what it found."""

    row_type, count_type, share_type = NEW_ROW, Types.LONG(), Types.DOUBLE()

    def process_element(self, value, ctx):
        last = self.last.value()
        rows = sorted(self.all.get(), key=lambda row: row.id)
        by_id = [row for _, row in sorted(self.by_id.items())]
        assert rows == by_id, (rows, by_id)
        assert last == rows[-1]
        assert all(row.score == 0.5 and row.city == f"town {row.id}" and len(row) == 3 for row in rows)
        self.count.update((self.count.value() or 0) + 2**40)  # more than an INT takes
        yield f"{ctx.get_current_key()}:{self.count.value() - 2**40}:{len(rows)}:{self.share.value()}"


def env_of(directory, resume=None, parallelism=2):
    options = {"execution.checkpointing.dir": str(directory), "execution.checkpointing.interval": "20 ms"}
    if resume:
        options["execution.state-recovery.path"] = str(resume)
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_parallelism(parallelism)
    return env


def run(env, function, numbers, output):
    source = env.from_collection(numbers, Types.LONG()).uid(f"numbers of {type(function).__name__}")
    keyed = source.key_by(lambda n: n % 7, Types.LONG()).process(function, Types.STRING()).uid("memory")
    keyed.sink_to(file_sink(output)).uid(f"files {output}")
    return env.execute_async("evolving")


@pytest.fixture(scope="module")
def savepoint(tmp_path_factory):
    """State of the former program after the numbers 0 to 99."""
    folder = tmp_path_factory.mktemp("former")
    env = env_of(folder / "chk")
    endless = env.from_sequence(100, 10**9, rows_per_second=50).filter(lambda n: False).uid("more")
    numbers = env.from_collection(range(100), Types.LONG()).uid("numbers of Remember")
    keyed = numbers.union(endless).key_by(lambda n: n % 7, Types.LONG())
    keyed.process(Remember(), Types.STRING()).uid("memory").sink_to(file_sink(folder / "out")).uid("files")
    client = env.execute_async("evolving")
    while client.metrics().get("Collection.rows_read", 0) < 100:
        pass
    return client.stop_with_savepoint(folder / "savepoints", False).result()


def evolve(tmp_path, savepoint, function, parallelism=2):
    env = env_of(tmp_path / "chk", savepoint, parallelism)
    env._configuration.set_string("execution.state-recovery.ignore-unclaimed-state", "true")
    return run(env, function, list(range(7)), tmp_path / "out")


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_rows_gain_lose_and_rename_fields_and_numbers_widen(tmp_path, savepoint, parallelism):
    evolve(tmp_path, savepoint, Evolved(), parallelism).result()
    counts = {key: len(range(key, 100, 7)) for key in range(7)}
    last = {key: max(range(key, 100, 7)) for key in range(7)}
    expected = [f"{key}:{counts[key]}:{counts[key]}:{last[key] / 4}" for key in range(7)]
    assert lines_of(tmp_path / "out") == expected
    manifest = _core.load_manifest(str(max((tmp_path / "chk").rglob("chk-*.manifest"))))
    registry = next(op["registry"] for op in manifest["operators"] if op["operator_id"] == "memory")
    now = {state["name"]: state["fingerprint"] for state in registry}
    assert now["count"] == "value<int64>"
    assert now["share"] == "value<float64>"
    assert now["last"] == "value<struct<city: string, id: int64, score: float64>>"


def test_what_evolved_is_stored_in_its_new_form_and_evolves_no_more(tmp_path, savepoint):
    env = env_of(tmp_path / "chk", savepoint)
    env._configuration.set_string("execution.state-recovery.ignore-unclaimed-state", "true")
    endless = env.from_sequence(0, 10**9, rows_per_second=50).filter(lambda n: False).uid("more again")
    endless.key_by(lambda n: n % 7, Types.LONG()).process(Evolved(), Types.STRING()).uid("memory").print()
    client = env.execute_async("evolving")
    second = client.stop_with_savepoint(tmp_path / "savepoints", False).result()
    (tmp_path / "after").mkdir()
    evolve(tmp_path / "after", second, Evolved()).result()
    assert len(lines_of(tmp_path / "after" / "out")) == 7


class LosesAField(Evolved):
    row_type = Types.ROW_NAMED(["id", "town"], [Types.INT(), Types.STRING()])


class Narrows(Evolved):
    row_type, count_type = FORMER_ROW, Types.SHORT()


class ChangesAType(Evolved):
    row_type = Types.ROW_NAMED(["id", "town", "age"], [Types.INT(), Types.STRING(), Types.STRING()])


class ChangesTheKind(Evolved):
    def open(self, runtime_context):
        runtime_context.get_list_state(ListStateDescriptor("last", NEW_ROW))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (LosesAField, r"stored as value<struct<id: int32, town: string, age: int32>> and declared as "
                      r"value<struct<id: int32, town: string>>: field 'age' is stored and not declared"),
        (Narrows, r"'count' is stored as value<int32> and declared as value<int16>: int32 does not become int16"),
        (ChangesAType, r"'age': int32 does not become string"),
        (ChangesTheKind, r"stored as value<struct<id: int32.*cannot be used as list<struct<city"),
    ],
)  # fmt: skip
def test_what_cannot_become_the_new_type_is_refused_before_any_record(tmp_path, savepoint, function, says):
    client = evolve(tmp_path, savepoint, function())
    with pytest.raises(HeadraceError, match=says):
        client.result()
    assert not client.metrics().get("Collection.rows_read", 0)


def test_a_history_names_fields_that_exist():
    row = Types.ROW_NAMED(["a"], [Types.INT()])
    with pytest.raises(ValueError, match=r"no field 'b'; the row has \['a'\]"):
        row.evolved(renamed={"b": "a"})
    with pytest.raises(ValueError, match="no field 'c'"):
        row.evolved(defaults={"c": 1})
    assert row.evolved(dropped=["x"]) == row
    nested = Types.LIST(Types.ROW_NAMED(["in"], [row.evolved(dropped=["x"])]))
    assert set(nested._history()) == {"[].in"}
