"""Kinds of state beyond value, list and map in open checkpoints: folding states, time to live, state without keys."""

import time

import pyarrow as pa
import pytest

import headrace
from headrace import (
    AggregatingStateDescriptor,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    Sum,
    Time,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from python.state_functions import RULES, WHEN, ApplyRules, CountsAndTotals
from python.streams import checkpointed_env

ROWS = 3000
KEYS = 7
DAY = StateTtlConfig.new_builder(Time.days(1)).build()


def by_key(state):
    table = state.to_arrow()
    return dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))


class Folding(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_reducing_state(
            ReducingStateDescriptor("total", lambda a, b: a + b, Types.LONG())
        )
        self.longest = runtime_context.get_reducing_state(ReducingStateDescriptor("longest", max, Types.STRING()))
        self.sum = runtime_context.get_aggregating_state(AggregatingStateDescriptor("sum", Sum()))

    def process_element(self, value, ctx):
        self.total.add(value)
        self.longest.add(f"{value:05}")
        self.sum.add(value)
        yield value


def test_folding_states(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=2)
    keyed = env.from_collection(range(ROWS)).key_by(lambda n: n % KEYS)
    keyed.process(Folding(), Types.LONG()).uid("fold").add_sink(lambda value: None)
    client = env.execute_async("fold")
    client.result()
    states = headrace.read_checkpoint(tmp_path)["fold"]
    numbers = {key: list(range(key, ROWS, KEYS)) for key in range(KEYS)}
    assert states["total"].schema.field("value").type == pa.int64()
    assert by_key(states["total"]) == {key: sum(values) for key, values in numbers.items()}
    assert by_key(states["longest"]) == {key: f"{values[-1]:05}" for key, values in numbers.items()}
    assert client.state("fold", "total")[3] == sum(numbers[3])
    assert states["sum"].to_arrow().num_rows == KEYS


class Lasting(KeyedProcessFunction):
    def open(self, runtime_context):
        descriptors = [
            ValueStateDescriptor("number", Types.LONG()), ValueStateDescriptor("any"),
            ListStateDescriptor("items", Types.LONG()), MapStateDescriptor("pairs", Types.STRING(), Types.LONG()),
        ]  # fmt: skip
        for descriptor in descriptors:
            descriptor.enable_time_to_live(DAY)
        self.number, self.any = map(runtime_context.get_state, descriptors[:2])
        self.items = runtime_context.get_list_state(descriptors[2])
        self.pairs = runtime_context.get_map_state(descriptors[3])

    def process_element(self, value, ctx):
        self.number.update(value)
        self.any.update((value, str(value)))
        self.items.add(value)
        self.pairs.put(str(value % 3), value)
        yield value


def test_state_with_a_time_to_live_says_when_it_was_used(tmp_path):
    began = time.time_ns() // 1_000_000
    env = checkpointed_env(tmp_path, parallelism=2)
    keyed = env.from_collection(range(ROWS)).key_by(lambda n: n % KEYS)
    keyed.process(Lasting(), Types.LONG()).uid("last").add_sink(lambda value: None)
    client = env.execute_async("last")
    client.result()
    ended = time.time_ns() // 1_000_000
    states = headrace.read_checkpoint(tmp_path)["last"]
    numbers = {key: list(range(key, ROWS, KEYS)) for key in range(KEYS)}
    assert by_key(states["number"]) == {key: values[-1] for key, values in numbers.items()}
    assert by_key(states["any"]) == {key: {"f0": v[-1], "f1": str(v[-1])} for key, v in numbers.items()}
    rows = states["items"].to_arrow().sort_by([("key", "ascending"), ("index", "ascending")]).to_pylist()
    assert [(row["key"], row["value"]) for row in rows] == [(key, v) for key in numbers for v in numbers[key]]
    assert [row["index"] for row in rows if row["key"] == 1] == list(range(len(numbers[1])))
    pairs = {(row["key"], row["map_key"]): row["value"] for row in states["pairs"].to_arrow().to_pylist()}
    assert pairs == {(n % KEYS, str(n % 3)): n for n in range(ROWS)}
    for state in states.values():
        times = state.to_arrow()["last_used"].to_pylist()
        assert all(began <= one <= ended for one in times), state
    assert client.state("last", "number")[2] == numbers[2][-1]
    assert client.state("last", "any")[2] == (numbers[2][-1], str(numbers[2][-1]))
    assert client.state("last", "items")[2] == numbers[2]
    assert client.state("last", "pairs")[2] == {str(n % 3): n for n in numbers[2]}


def test_lists_of_functions_without_keys(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=3)
    numbers = env.from_collection(range(ROWS)).uid("numbers").rebalance()
    numbers.map(CountsAndTotals(), Types.STRING()).uid("count").add_sink(lambda value: None)
    env.execute("lists")
    states = headrace.read_checkpoint(tmp_path)["count"]
    assert set(states) == {"counts", "everyone"}
    counts = states["counts"].to_arrow().to_pylist()
    assert states["counts"].kind == "operator list"
    assert [(row["subtask"], row["index"]) for row in counts] == [(task, i) for task in range(3) for i in range(3)]
    assert sum(row["value"] for row in counts) == ROWS
    everyone = states["everyone"].to_arrow().to_pylist()
    assert sum(row["value"]["f1"] for row in everyone) == ROWS
    assert states["counts"].types["value"] == "int"


def test_broadcast_state(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=3)
    rules = env.from_elements(("factor", 2), ("limit", 9)).uid("rules").broadcast(RULES, WHEN)
    numbers = env.from_collection(range(10)).uid("numbers").rebalance()
    numbers.connect(rules).process(ApplyRules(), Types.STRING()).uid("apply").add_sink(lambda value: None)
    client = env.execute_async("rules")
    client.result()
    states = headrace.read_checkpoint(tmp_path)["apply"]
    assert states["rules"].kind == "broadcast"
    rows = states["rules"].to_arrow().to_pylist()
    assert {row["map_key"]: row["value"] for row in rows} == {"factor": 2, "limit": 9}
    assert len(rows) == 2, "once, not once a subtask"
    assert states["when"].types["map_key"] == "tuple(f0: str, f1: int)"
    assert client.state("apply", "rules").to_arrow().equals(states["rules"].to_arrow())
    with pytest.raises(headrace.InvalidArgumentError, match="no keys"):
        client.state("apply", "rules")["factor"]
