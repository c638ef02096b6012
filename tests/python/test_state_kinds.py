"""Each kind of state in one run: against plain Python, and where it is used wrongly."""

import time
from typing import ClassVar

import pytest

from headrace import (
    AggregateFunction,
    AggregatingState,
    AggregatingStateDescriptor,
    BroadcastProcessFunction,
    CheckpointedFunction,
    FailedPreconditionError,
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    ListStateDescriptor,
    MapFunction,
    MapFunctionWithState,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    ReducingState,
    ReducingStateDescriptor,
    RestartStrategies,
    RichAggregateFunction,
    SinkFunction,
    SourceFunction,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
)  # fmt: skip
from python.state_functions import (
    A_DAY,
    KEYS,
    NUMBERS,
    RULES,
    WHEN,
    AllKinds,
    ApplyRules,
    ApplyRulesByKey,
    CountOfKey,
    CountsAndTotals,
    Longest,
    Mean,
    all_kinds_in_plain_python,
    descriptors,
)  # fmt: skip
from python.streams import checkpointed_env, collect, new_env


@pytest.mark.parametrize("ttl", [None, A_DAY])
def test_every_keyed_kind_does_what_plain_python_does(ttl):
    stream = new_env().from_collection(range(NUMBERS)).key_by(lambda n: n % KEYS).process(AllKinds(ttl))
    assert collect(stream) == all_kinds_in_plain_python(range(NUMBERS))


def test_handles_are_of_the_exported_classes_and_empty_ones_read_as_none():
    class Ask(KeyedProcessFunction):
        def open(self, runtime_context):
            self.states = [
                runtime_context.get_reducing_state(ReducingStateDescriptor("sum", lambda a, b: a + b, Types.LONG())),
                runtime_context.get_aggregating_state(AggregatingStateDescriptor("mean", Mean())),
            ]

        def process_element(self, value, ctx):
            reducing, aggregating = self.states
            assert isinstance(reducing, ReducingState)
            assert isinstance(aggregating, AggregatingState)
            before = [state.get() for state in self.states]
            for state in self.states:
                state.add(value)
            added = [state.get() for state in self.states]
            for state in self.states:
                state.add(None)
            yield (before, added, [state.get() for state in self.states])

    assert collect(new_env().from_collection([4]).key_by(lambda v: v).process(Ask())) == [
        ([None, None], [4, 4.0], [None, None])
    ]


def test_built_in_aggregates_fold_in_an_aggregating_state():
    class Total(KeyedProcessFunction):
        def open(self, runtime_context):
            self.total = runtime_context.get_aggregating_state(AggregatingStateDescriptor("total", Sum()))

        def process_element(self, value, ctx):
            self.total.add(value)
            yield self.total.get()

    assert collect(new_env().from_collection([1, 2, 3]).key_by(lambda v: 0).process(Total())) == [1, 3, 6]


def test_failing_function_of_a_state_names_the_record():
    class Add(KeyedProcessFunction):
        def open(self, runtime_context):
            self.sum = runtime_context.get_reducing_state(ReducingStateDescriptor("sum", lambda a, b: a / 0))

        def process_element(self, value, ctx):
            self.sum.add(value)

    with pytest.raises(Exception, match=r"division by zero.*, record 2"):
        collect(new_env().from_collection([1, 2]).key_by(lambda v: 0).process(Add()))


def test_reduce_function_that_gives_none_is_refused():
    class Add(KeyedProcessFunction):
        def open(self, runtime_context):
            self.sum = runtime_context.get_reducing_state(ReducingStateDescriptor("sum", lambda a, b: None))

        def process_element(self, value, ctx):
            self.sum.add(value)

    with pytest.raises(Exception, match=r"state 'sum'.*gave None"):
        collect(new_env().from_collection([1, 2]).key_by(lambda v: 0).process(Add()))


def test_descriptors_refuse_what_can_not_fold():
    with pytest.raises(TypeError, match=r"state 'x'.*ReduceFunction.*int"):
        ReducingStateDescriptor("x", 3, Types.LONG())
    with pytest.raises(TypeError, match=r"state 'x'.*AggregateFunction.*Longest"):
        AggregatingStateDescriptor("x", Longest(), Types.LONG())
    with pytest.raises(TypeError, match=r"state 'x'.*AggregateFunction.*Mean"):
        AggregatingStateDescriptor("x", Mean, Types.LONG())


def test_every_kind_is_there_for_each_window_and_for_all_of_a_key():
    class Fill(ProcessWindowFunction):
        def process(self, key, context, elements):
            shown = []
            for store, prefix in ((context.window_state(), "window's "), (context.global_state(), "key's ")):
                found = descriptors(prefix)
                last, tail = store.get_state(found["last"]), store.get_list_state(found["tail"])
                by_parity, total = store.get_map_state(found["by_parity"]), store.get_reducing_state(found["sum"])
                mean = store.get_aggregating_state(found["mean"])
                for element in elements:
                    last.update(element)
                    tail.add(element)
                    by_parity["odd" if element % 2 else "even"] = element
                    total.add(element)
                    mean.add(element)
                shown.append((last.value(), list(tail), dict(by_parity), total.get(), mean.get()))
            yield context.window().start, shown

        def clear(self, context):
            store, found = context.window_state(), descriptors("window's ")
            states = [store.get_list_state(found["tail"]), store.get_map_state(found["by_parity"])]
            assert all(list(state) for state in states)
            states.append(store.get_aggregating_state(found["mean"]))
            for state in states:
                state.clear()
            assert [list(states[0]), list(states[1]), states[2].get()] == [[], [], None]

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v)
    stream = new_env().from_collection(range(20)).assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0)
    got = dict(collect(stream.window(TumblingEventTimeWindows.of(Time.milliseconds(10))).process(Fill())))

    def shown(numbers):
        odd, even = numbers[-1], numbers[-2]
        return (numbers[-1], numbers, {"odd": odd, "even": even}, sum(numbers), sum(numbers) / len(numbers))

    first, second = list(range(10)), list(range(10, 20))
    assert got == {0: [shown(first), shown(first)], 10: [shown(second), shown(first + second)]}


def test_operator_states_are_in_the_registry_by_name(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2)
    numbers = env.from_collection(range(100))
    rules = env.from_collection([("factor", 2)]).broadcast(RULES, WHEN)
    numbers.rebalance().map(CountsAndTotals()).uid("lists")
    numbers.key_by(lambda n: n % KEYS).connect(rules).process(ApplyRulesByKey()).uid("rules")
    client = env.execute_async("registered")
    client.result()
    manifest = _core.load_manifest(str(max((tmp_path / "chk").rglob("chk-*.manifest"))))
    registry = {op["operator_id"]: op["registry"] for op in manifest["operators"]}
    lists = {line["name"]: line for line in registry["lists"]}
    assert {name: (line["kind"], line["fingerprint"]) for name, line in lists.items()} == {
        "counts": ("operator", "list<int64>"),
        "everyone": ("operator", "union-list<object>"),
    }
    assert lists["counts"]["rows"] == 6  # three parts of each subtask
    assert lists["everyone"]["bytes"] > 0
    rules_lines = {line["name"]: (line["kind"], line["fingerprint"]) for line in registry["rules"]}
    assert rules_lines["rules"] == ("operator", "broadcast<string, int64>")
    assert rules_lines["when"] == ("operator", "broadcast<object, object>")
    assert rules_lines["seen"] == ("fixed", "value<int64>")


def test_operator_state_of_another_type_is_refused_with_both_types(tmp_path):
    class Keep(CheckpointedFunction, MapFunction):
        def __init__(self, info):
            self.info = info

        def initialize_state(self, context):
            context.get_operator_state_store().get_list_state(ListStateDescriptor("kept", self.info)).add(1)

        def snapshot_state(self, context):
            pass

        def map(self, value):
            return value

    def job(info, resume):
        env = checkpointed_env(tmp_path / "chk", interval="20 ms", resume=resume)
        env.from_collection(range(100_000), rows_per_second=1000).uid("numbers").map(Keep(info)).uid("keep")
        return env.execute_async("typed")

    client = job(Types.LONG(), resume=False)
    while client.metrics()["job.checkpoints_completed"] < 1:
        time.sleep(0.005)
    client.cancel().result()
    with pytest.raises(
        UserFunctionError, match=r"Keep\.initialize_state.*'kept' is stored as list<int64> .* list<object>"
    ):
        job(None, resume=True).result()


def test_handles_of_operator_state_refuse_work_after_their_attempt():
    kept = []

    class Keep(CheckpointedFunction, MapFunction):
        def initialize_state(self, context):
            kept.append(context.get_operator_state_store())
            kept.append(kept[0].get_list_state(ListStateDescriptor("kept")))
            kept.append(kept[0].get_broadcast_state(RULES))

        def snapshot_state(self, context):
            pass

        def map(self, value):
            return value

    collect(new_env().from_collection([1]).map(Keep()))
    store, listed, mapped = kept
    for use in (
        lambda: store.get_list_state(ListStateDescriptor("more")), listed.get, lambda: listed.add(1), mapped.is_empty,
        lambda: mapped.get("a"), lambda: list(mapped),
    ):  # fmt: skip
        with pytest.raises(FailedPreconditionError, match="was used after the task"):
            use()


def test_broadcast_state_that_was_not_given_to_broadcast_is_refused():
    class Wrong(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            ctx.get_broadcast_state(WHEN)

        def process_broadcast_element(self, value, ctx):
            pass

    env = new_env()
    numbers = env.from_collection([1])
    with pytest.raises(UserFunctionError, match=r"broadcast state 'when' is not among .* broadcast\(\): 'rules'"):
        collect(numbers.connect(numbers.broadcast(RULES)).process(Wrong()))


def test_connect_and_process_refuse_what_does_not_fit():
    env = new_env()
    numbers = env.from_collection([1])
    keyed = numbers.key_by(lambda n: n)
    rules = numbers.broadcast(RULES)
    with pytest.raises(TypeError, match=r"connect: expected a BroadcastStream.*DataStream"):
        numbers.connect(numbers)
    with pytest.raises(ValueError, match="different environments"):
        new_env().from_collection([1]).connect(rules)
    with pytest.raises(TypeError, match="expected a BroadcastProcessFunction, got ApplyRulesByKey"):
        numbers.connect(rules).process(ApplyRulesByKey())
    with pytest.raises(TypeError, match="expected a KeyedBroadcastProcessFunction, got ApplyRules"):
        keyed.connect(rules).process(ApplyRules())
    with pytest.raises(TypeError, match="expected MapStateDescriptors, got ValueStateDescriptor"):
        numbers.broadcast(ValueStateDescriptor("x"))
    wrong = CountOfKey()
    wrong.state_descriptor = RULES
    with pytest.raises(TypeError, match=r"CountOfKey.*value or a list.*MapStateDescriptor"):
        numbers.map(wrong)


def test_source_cannot_be_a_checkpointed_function():
    class Numbers(CheckpointedFunction, SourceFunction):
        def initialize_state(self, context):
            pass

        def snapshot_state(self, context):
            pass

    with pytest.raises(TypeError, match=r"Numbers is a CheckpointedFunction.*restore_state\(value\)"):
        new_env().add_source(Numbers())


def test_keyed_state_is_out_of_reach_of_broadcast_records():
    class Reach(ApplyRulesByKey):
        def process_broadcast_element(self, value, ctx):
            self.seen.update(1)

    env = new_env()
    numbers = env.from_collection([1])
    with pytest.raises(UserFunctionError, match=r"state 'seen' was used while no record and no timer"):
        collect(numbers.key_by(lambda n: n).connect(numbers.broadcast(RULES)).process(Reach()))


def test_results_of_map_with_state():
    class Show(MapFunctionWithState):
        def process(self, value, context, state):
            before = state.value()
            state.update(value)
            return {"none": None, "list": [1, 2], "tuple": (1, before), "text": "ab"}.get(value, value)

    values = ["none", "list", "tuple", "text", 5]
    assert collect(new_env().from_collection(values).map(Show())) == [None, [1, 2], (1, "list"), "ab", 5]
    assert collect(new_env().from_collection(values).flat_map(Show())) == [1, 2, (1, "list"), "ab", 5]
    # Per key each value is the first.
    keyed = new_env().from_collection(values).key_by(lambda v: v)
    assert collect(keyed.flat_map(Show())) == [1, 2, (1, None), "ab", 5]


def test_map_with_state_makes_one_record_of_a_scalar_as_in_document_003():
    class Lengths(MapFunctionWithState):
        def process(self, value, context, state):
            state.update(value)
            return len(state.value())

    assert collect(new_env().from_collection(["a", "bcd", ""]).flat_map(Lengths(), Types.INT())) == [1, 3, 0]


class CountingCalls(CheckpointedFunction):
    """Any function's part in checkpoints: what it put into its list it has again after a restart."""

    def initialize_state(self, context):
        self.calls = context.get_operator_state_store().get_list_state(ListStateDescriptor("calls"))
        Calls.restored.append(list(self.calls))

    def snapshot_state(self, context):
        self.calls.add(context.get_checkpoint_id())
        Calls.snapshots += 1


class Calls:
    restored: ClassVar[list] = []
    snapshots = 0
    failed = False


def until_failed():
    number = 0
    while number < 20 or not Calls.failed:
        yield number
        number += 1
        time.sleep(0.0005)


def fail_once(value):
    # With the second checkpoint under way the first is complete.
    if Calls.snapshots > 1 and not Calls.failed:
        Calls.failed = True
        raise RuntimeError("planned failure")
    return value


def a_function_of(base, **methods):
    """A CheckpointedFunction of a kind; lists, dicts and the like of each method's result are given by functions."""
    return type(f"Checkpointed{base.__name__}", (CountingCalls, base), methods)()


def in_windows(stream):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v)
    keyed = stream.assign_timestamps_and_watermarks(strategy).key_by(lambda n: n % KEYS)
    return keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(50)))


def fold(**more):
    return {"create_accumulator": lambda self: 0, "get_result": lambda self, accumulator: accumulator, **more}


PLACES = {
    "map": lambda s: s.map(a_function_of(MapFunction, map=lambda self, v: v)),
    "flat_map": lambda s: s.flat_map(a_function_of(FlatMapFunction, flat_map=lambda self, v: [v])),
    "filter": lambda s: s.filter(a_function_of(FilterFunction, filter=lambda self, v: True)),
    "key": lambda s: s.key_by(a_function_of(KeySelector, get_key=lambda self, v: v)).map(str),
    "process": lambda s: s.process(a_function_of(ProcessFunction, process_element=lambda self, v, ctx: [v])),
    "keyed process": lambda s: s.key_by(lambda v: v).process(
        a_function_of(KeyedProcessFunction, process_element=lambda self, v, ctx: [v])
    ),
    "reduce": lambda s: s.key_by(lambda v: 0).reduce(a_function_of(ReduceFunction, reduce=lambda self, a, b: a + b)),
    "windows": lambda s: in_windows(s).process(
        a_function_of(ProcessWindowFunction, process=lambda self, key, context, elements: elements)
    ),
    "aggregate": lambda s: in_windows(s).aggregate(
        a_function_of(AggregateFunction, **fold(add=lambda self, value, accumulator: accumulator + value))
    ),
    "rich aggregate": lambda s: in_windows(s).aggregate(
        a_function_of(RichAggregateFunction, **fold(accumulate=lambda self, value, accumulator: None))
    ),
    "broadcast": lambda s: s.connect(s.broadcast(RULES)).process(
        a_function_of(
            BroadcastProcessFunction, process_element=lambda self, v, ctx: [v],
            process_broadcast_element=lambda self, v, ctx: None,
        )
    ),
    "map with state": lambda s: s.map(a_function_of(MapFunctionWithState, process=lambda self, v, ctx, state: v)),
    "sink": lambda s: s.add_sink(a_function_of(SinkFunction, invoke=lambda self, v: None)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_functions_of_every_operator_take_part_in_checkpoints(place, tmp_path):
    Calls.restored.clear()
    Calls.snapshots, Calls.failed = 0, False
    env = checkpointed_env(tmp_path / "chk", interval="10 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, "0 ms"))
    PLACES[place](env.add_source(until_failed).map(fail_once))
    result = env.execute("checkpointed")
    first, second = Calls.restored
    assert first == []
    # Each checkpoint up to the one that was restored.
    assert second == list(range(1, len(second) + 1))
    assert len(second) > 0
    assert result.metrics["job.checkpoints_completed"] >= len(second)


def test_broadcast_functions_have_side_outputs():
    tag = OutputTag("odd", Types.LONG())

    class Split(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield (tag, value) if value % 2 else value

        def process_broadcast_element(self, value, ctx):
            yield tag, -value

    env = new_env()
    numbers = env.from_collection([1, 2, 3])
    even = numbers.connect(env.from_collection([5]).broadcast(RULES)).process(Split())
    assert sorted(collect(even.get_side_output(tag))) == [-5, 1, 3]
