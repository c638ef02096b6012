"""State of every kind that was stored with one type goes on with another, on every backend, or is refused with both shown."""

import time

import pytest

from headrace import (
    AggregateFunction,
    AggregatingStateDescriptor,
    BroadcastProcessFunction,
    CheckpointedFunction,
    Configuration,
    Count,
    HeadraceError,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapFunction,
    MapStateDescriptor,
    ReducingStateDescriptor,
    Row,
    StateTtlConfig,
    StreamExecutionEnvironment,
    Sum,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import BACKENDS, NumbersUntilStopped, file_sink, lines_of

NUMBERS, KEYS = 60, 7
BIG = 2**40  # more than an INT takes
FORMER = Types.ROW_NAMED(["id", "town", "age"], [Types.INT(), Types.STRING(), Types.INT()])
NEW = Types.ROW_NAMED(["city", "id", "score"], [Types.STRING(), Types.LONG(), Types.DOUBLE()]).evolved(
    renamed={"city": "town"}, dropped=["age"], defaults={"score": 0.5}
)
OTHER = Types.ROW_NAMED(["id", "town", "age"], [Types.INT(), Types.STRING(), Types.STRING()])
A_DAY = StateTtlConfig.new_builder(Time.days(1)).build()


def former_row(n):
    return Row(id=n, town=f"town {n}", age=n % 50)


NEW_ROW = Row(city="big", id=BIG, score=1.5)


def text_of(row):
    return f"{row.city} {row.id} {row.score}"


class LastRow(AggregateFunction):
    """The accumulator is the row added last."""

    def create_accumulator(self):
        return Row()

    def add(self, value, accumulator):
        return value

    def get_result(self, accumulator):
        return accumulator


class RowKind:
    """A keyed state of rows: how to make, fill and show it. The types are those of the row."""

    former, new, other = FORMER, NEW, OTHER
    texts = "age: int32", "age: string"
    before, after = staticmethod(former_row), NEW_ROW

    def __init__(self, make, get, add, show):
        self.make, self.get, self.add, self.show = make, get, add, show

    def expected(self, numbers):
        return f"town {numbers[-1]} {numbers[-1]} 0.5"


class RowsKind(RowKind):
    """The same of all rows that were added."""

    def expected(self, numbers):
        return ", ".join(f"town {n} {n} 0.5" for n in numbers)


class NumberKind(RowKind):
    """The same of a number."""

    former, new, other = Types.INT(), Types.LONG(), Types.STRING()
    texts = "int32", "string"
    before, after = staticmethod(lambda n: n), BIG

    def expected(self, numbers):
        return str(numbers[-1])


class ShareKind(RowKind):
    """The same of a number with a fraction."""

    former, new, other = Types.FLOAT(), Types.DOUBLE(), Types.LONG()
    texts = "float32", "int64"
    before, after = staticmethod(lambda n: n / 4), 0.1

    def expected(self, numbers):
        return str(numbers[-1] / 4)


def put(state, row):
    state.put(row.id if row.id < BIG else BIG, row)


def rows_of_map(state):
    return ", ".join(text_of(row) for _, row in sorted(state.items()))


KEYED = {
    "value": RowKind(
        lambda t: ValueStateDescriptor("state", t), "get_state", lambda s, v: s.update(v), lambda s: text_of(s.value())
    ),
    "number": NumberKind(
        lambda t: ValueStateDescriptor("state", t), "get_state", lambda s, v: s.update(v), lambda s: str(s.value())
    ),
    "share": ShareKind(
        lambda t: ValueStateDescriptor("state", t), "get_state", lambda s, v: s.update(v), lambda s: str(s.value())
    ),
    "list": RowsKind(
        lambda t: ListStateDescriptor("state", t), "get_list_state", lambda s, v: s.add(v),
        lambda s: ", ".join(map(text_of, s.get())),
    ),
    "map": RowsKind(
        lambda t: MapStateDescriptor("state", Types.INT() if t is FORMER else Types.LONG(), t), "get_map_state", put,
        rows_of_map,
    ),
    "reducing": RowKind(
        lambda t: ReducingStateDescriptor("state", lambda a, b: b, t), "get_reducing_state", lambda s, v: s.add(v),
        lambda s: text_of(s.get()),
    ),
    "reducing number": NumberKind(
        lambda t: ReducingStateDescriptor("state", lambda a, b: b, t), "get_reducing_state", lambda s, v: s.add(v),
        lambda s: str(s.get()),
    ),
    "aggregating": RowKind(
        lambda t: AggregatingStateDescriptor("state", LastRow(), t), "get_aggregating_state", lambda s, v: s.add(v),
        lambda s: text_of(s.get()),
    ),
}  # fmt: skip
ALL_KEYED = [(kind, ttl) for kind in KEYED for ttl in (False, True)]


class Holds(KeyedProcessFunction):
    """One state of one kind."""

    def __init__(self, kind, ttl, types):
        self.kind, self.ttl, self.types = kind, ttl, types

    def open(self, runtime_context):
        kind = KEYED[self.kind]
        descriptor = kind.make(getattr(kind, self.types))
        if self.ttl:
            descriptor.enable_time_to_live(A_DAY)
        self.state = getattr(runtime_context, kind.get)(descriptor)

    def process_element(self, value, ctx):
        kind = KEYED[self.kind]
        if self.types == "former":
            kind.add(self.state, kind.before(value))
            return
        yield f"{ctx.get_current_key()}: {kind.show(self.state)}"
        kind.add(self.state, kind.after)
        after = text_of(NEW_ROW) if isinstance(kind.after, Row) else str(kind.after)
        assert kind.show(self.state).endswith(after)


class Lists(CheckpointedFunction, MapFunction):
    """A list of rows that is dealt out, and one that every subtask gets."""

    def __init__(self, types):
        self.types = types

    def initialize_state(self, context):
        row = getattr(RowKind, self.types)
        store = context.get_operator_state_store()
        self.dealt = store.get_list_state(ListStateDescriptor("dealt", row))
        self.everyone = store.get_union_list_state(ListStateDescriptor("everyone", row))
        self.rows = []

    def snapshot_state(self, context):
        self.dealt.update(self.rows)
        self.everyone.update(self.rows)

    def map(self, value):
        if self.types == "former":
            self.rows.append(former_row(value))
            return ""
        everyone = sorted(self.everyone.get(), key=lambda row: row.id)
        assert set(map(text_of, self.dealt.get())) <= set(map(text_of, everyone))
        return ", ".join(map(text_of, everyone))


def rules(types):
    return MapStateDescriptor("rules", Types.INT() if types == "former" else Types.LONG(), getattr(RowKind, types))


class Rules(BroadcastProcessFunction):
    """Broadcast state of rows."""

    def __init__(self, types):
        self.types = types

    def process_element(self, value, ctx):
        state = ctx.get_broadcast_state(rules(self.types))
        if self.types != "former":
            yield rows_of_map(state)

    def process_broadcast_element(self, value, ctx):
        ctx.get_broadcast_state(rules(self.types)).put(value, former_row(value))


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1] % 100


def program(env, numbers, output, types, only=None):
    """Each branch has a state of its own kind; those of numbers in columns have no type but that of their input."""
    keyed = numbers.key_by(lambda n: n % KEYS, Types.LONG())
    branches = {
        f"{kind}{' ttl' * ttl}": lambda kind=kind, ttl=ttl: keyed.process(Holds(kind, ttl, types), Types.STRING())
        for kind, ttl in ALL_KEYED
    }
    if types != "other":
        number = Types.INT() if types == "former" else Types.LONG()
        more = 0 if types == "former" else BIG
        pairs = numbers.map(lambda n: (n % KEYS, n + more), Types.TUPLE([Types.LONG(), number])).uid("pairs")
        by_key = pairs.key_by(lambda pair: pair[0], Types.LONG())
        timed = pairs.assign_timestamps_and_watermarks(
            WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(EventTime())
        ).uid("times")
        windows = timed.key_by(lambda pair: pair[0], Types.LONG()).window(
            TumblingEventTimeWindows.of(Time.milliseconds(100))
        )
        rule_numbers = env.from_collection([1, 2] if types == "former" else [], Types.LONG()).uid(f"{types} rules")
        branches |= {
            "sum": lambda: by_key.sum(1),
            "max": lambda: by_key.max(1),
            "slices": lambda: windows.agg(n=Count(), total=Sum("f1")),
            "reduce": lambda: numbers.map(lambda n: n + more, number).uid("wide")
            .key_by(lambda n: n % BIG % KEYS, Types.LONG()).reduce(lambda a, b: a + b),
            "lists": lambda: numbers.map(Lists(types), Types.STRING()),
            "rules": lambda: numbers.connect(rule_numbers.name("Rules").broadcast(rules(types)))
            .process(Rules(types), Types.STRING()),
        }  # fmt: skip
    for name, make in branches.items():
        if only in (None, name):
            stream = make().uid(name).map(str, Types.STRING()).uid(f"text of {name}")
            stream.sink_to(file_sink(output / name)).uid(f"files of {name} {types}")


def env_of(backend, folder, **options):
    settings = {"execution.checkpointing.dir": str(folder / "chk"), **options}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.set_parallelism(2)
    env.set_state_backend(BACKENDS[backend](folder))
    return env


@pytest.fixture(scope="module", params=BACKENDS)
def stored(request, tmp_path_factory):
    """Backend, and a savepoint of the former program after all numbers."""
    folder = tmp_path_factory.mktemp("former")
    env = env_of(request.param, folder)
    numbers = env.add_source(NumbersUntilStopped(NUMBERS + 1, NUMBERS), "Numbers", Types.LONG()).uid("numbers")
    program(env, numbers, folder / "out", "former")
    client = env.execute_async("evolving")
    deadline = time.monotonic() + 60
    while client.metrics().get("Numbers.rows_read", 0) < NUMBERS or client.metrics().get("Rules.rows_read", 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return request.param, client.stop_with_savepoint(folder / "savepoints", False).result()


def evolved_env(stored, folder):
    backend, savepoint = stored
    ignore = "execution.state-recovery.ignore-unclaimed-state"  # sources and sinks are others
    return env_of(backend, folder, **{"execution.state-recovery.path": savepoint, ignore: "true"})


@pytest.fixture(scope="module")
def evolved(stored, tmp_path_factory):
    """Folder with the output of the new program: one number of each key, after the savepoint."""
    folder = tmp_path_factory.mktemp("evolved")
    env = evolved_env(stored, folder)
    numbers = env.from_collection(range(KEYS), Types.LONG()).uid("new numbers")
    program(env, numbers, folder / "out", "new")
    env.execute("evolving")
    return folder / "out"


def numbers_of(key):
    return list(range(key, NUMBERS, KEYS))


@pytest.mark.parametrize(("kind", "ttl"), ALL_KEYED)
def test_keyed_state_goes_on_with_its_new_type(evolved, kind, ttl):
    expected = [f"{key}: {KEYED[kind].expected(numbers_of(key))}" for key in range(KEYS)]
    assert lines_of(evolved / f"{kind}{' ttl' * ttl}") == sorted(expected)


def test_accumulators_and_columns_of_numbers_become_wider(evolved):
    sums = {key: sum(numbers_of(key)) for key in range(KEYS)}
    assert lines_of(evolved / "sum") == sorted(str((key, sums[key] + key + BIG)) for key in range(KEYS))
    assert lines_of(evolved / "max") == sorted(str((key, key + BIG)) for key in range(KEYS))
    assert lines_of(evolved / "reduce") == sorted(str(sums[key] + key + BIG) for key in range(KEYS))
    rows = [
        f"Row(key={key}, window_start=0, window_end=100, n={len(numbers_of(key)) + 1}, total={sums[key] + key + BIG})"
        for key in range(KEYS)
    ]
    assert lines_of(evolved / "slices") == sorted(rows)


def test_operator_state_goes_on_with_its_new_type(evolved):
    assert lines_of(evolved / "lists") == [", ".join(f"town {n} {n} 0.5" for n in range(NUMBERS))] * KEYS
    assert set(lines_of(evolved / "rules")) == {"town 1 1 0.5, town 2 2 0.5"}


@pytest.mark.parametrize(("kind", "ttl"), ALL_KEYED)
def test_what_cannot_become_the_new_type_is_refused_with_both_shown(stored, tmp_path, kind, ttl):
    env = evolved_env(stored, tmp_path)
    numbers = env.from_collection(range(KEYS), Types.LONG()).uid("new numbers")
    name = f"{kind}{' ttl' * ttl}"
    program(env, numbers, tmp_path / "out", "other", only=name)
    client = env.execute_async("evolving")
    with pytest.raises(HeadraceError) as refused:
        client.result()
    shown = str(refused.value)
    assert "state 'state' is stored as " in shown
    stored_as, declared_as = shown.split(" is stored as ", 1)[1].split(" and declared as ", 1)
    former, other = KEYED[kind].texts
    assert stored_as.startswith("ttl<") == declared_as.startswith("ttl<") == ttl
    assert former in stored_as
    assert f"{other}>" in declared_as
    assert not client.metrics().get("Collection.rows_read", 0)
