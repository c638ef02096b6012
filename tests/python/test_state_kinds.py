"""Each kind of state against plain Python: in one run, and over two kills at parallelism 1, 3 and 2."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from headrace import (
    AggregateFunction,
    AggregatingState,
    AggregatingStateDescriptor,
    BroadcastProcessFunction,
    CheckpointedFunction,
    KeyedBroadcastProcessFunction,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapFunction,
    MapFunctionWithState,
    MapStateDescriptor,
    ReduceFunction,
    ReducingState,
    ReducingStateDescriptor,
    StateTtlConfig,
    Sum,
    Time,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from headrace.datastream.state import ListState
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

NUMBERS = 2400
KEYS = 7
A_DAY = StateTtlConfig.new_builder(Time.days(1)).update_ttl_on_read_and_write().build()


class Mean(AggregateFunction):
    """(sum, count) in an accumulator that is changed in place."""

    def create_accumulator(self):
        return [0, 0]

    def add(self, value, accumulator):
        accumulator[0] += value
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]


class Longest(ReduceFunction):
    def reduce(self, value1, value2):
        return max(value1, value2, key=lambda text: (len(text), text))


def descriptors():
    return {
        "last": ValueStateDescriptor("last", Types.LONG()),
        "tail": ListStateDescriptor("tail", Types.LONG()),
        "by_parity": MapStateDescriptor("by_parity", Types.STRING(), Types.LONG()),
        "sum": ReducingStateDescriptor("sum", lambda a, b: a + b, Types.LONG()),
        "longest": ReducingStateDescriptor("longest", Longest()),
        "mean": AggregatingStateDescriptor("mean", Mean()),
    }


class AllKinds(KeyedProcessFunction):
    """Every kind of keyed state at once, with or without a time to live."""

    def __init__(self, ttl=None):
        self.ttl = ttl

    def open(self, runtime_context):
        found = descriptors()
        if self.ttl:
            for descriptor in found.values():
                descriptor.enable_time_to_live(self.ttl)
        self.last = runtime_context.get_state(found["last"])
        self.tail = runtime_context.get_list_state(found["tail"])
        self.by_parity = runtime_context.get_map_state(found["by_parity"])
        self.sum = runtime_context.get_reducing_state(found["sum"])
        self.longest = runtime_context.get_reducing_state(found["longest"])
        self.mean = runtime_context.get_aggregating_state(found["mean"])

    def process_element(self, value, ctx):
        before = self.last.value()
        self.last.update(value)
        self.tail.add(value)
        if len(self.tail.get()) > 3:
            self.tail.update(list(self.tail.get())[1:])
        parity = "odd" if value % 2 else "even"
        self.by_parity[parity] = (self.by_parity.get(parity) or 0) + 1
        self.sum.add(value)
        self.longest.add("x" * (value % 11))
        self.mean.add(value)
        yield repr((
            value, before, list(self.tail), dict(self.by_parity.items()), self.sum.get(), self.longest.get(),
            self.mean.get(),
        ))  # fmt: skip
        if value % 97 == 0:
            for state in (self.last, self.tail, self.by_parity, self.sum, self.longest, self.mean):
                state.clear()


def all_kinds_in_plain_python(numbers):
    """What AllKinds gives, by dicts and lists."""
    fresh = lambda: {"last": None, "all": [], "parity": {}}  # noqa: E731
    keys = defaultdict(fresh)
    lines = []
    for value in numbers:
        key = keys[value % KEYS]
        key["all"].append(value)
        parity = "odd" if value % 2 else "even"
        key["parity"][parity] = key["parity"].get(parity, 0) + 1
        seen = key["all"]
        longest = max(("x" * (n % 11) for n in seen), key=len)
        by_parity = {name: key["parity"][name] for name in sorted(key["parity"], key=lambda n: (len(n), n))}
        lines.append(repr((value, key["last"], seen[-3:], by_parity, sum(seen), longest, sum(seen) / len(seen))))
        key["last"] = value
        if value % 97 == 0:
            keys[value % KEYS] = fresh()
    return lines


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


# ---- over two kills ----------------------------------------------------------------------------------------


class CountsAndTotals(CheckpointedFunction, MapFunction):
    """Operator state on a stream without keys: elements that are dealt out, and a union."""

    def open(self, runtime_context):
        self.where = (
            f"{runtime_context.get_number_of_parallel_subtasks()}:{runtime_context.get_index_of_this_subtask()}"
        )
        self.subtask = runtime_context.get_index_of_this_subtask()

    def initialize_state(self, context):
        store = context.get_operator_state_store()
        self.counts = store.get_list_state(ListStateDescriptor("counts", Types.LONG()))
        self.everyone = store.get_union_list_state(ListStateDescriptor("everyone"))
        assert store.get_registered_state_names() == {"counts", "everyone"}
        assert isinstance(self.counts, ListState)
        assert context.is_restored() == (context.get_restored_checkpoint_id() is not None)
        self.mine = sum(self.counts.get())
        self.restored_total = sum(count for _, count in self.everyone.get())

    def snapshot_state(self, context):
        assert context.get_checkpoint_id() > 0
        assert context.get_checkpoint_timestamp() > 0
        # In parts, so that they can be dealt out.
        self.counts.update([self.mine // 3, self.mine // 3, self.mine - 2 * (self.mine // 3)])
        self.everyone.update([(self.subtask, self.mine)])

    def map(self, value):
        self.mine += 1
        return f"{value} {self.where} {self.mine} {self.restored_total}"


RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
WHEN = MapStateDescriptor("when")


class ApplyRules(BroadcastProcessFunction):
    def open(self, runtime_context):
        self.where = (
            f"{runtime_context.get_number_of_parallel_subtasks()}:{runtime_context.get_index_of_this_subtask()}"
        )

    def process_element(self, value, ctx):
        rules = ctx.get_broadcast_state(RULES)
        assert not hasattr(rules, "put")
        yield f"{value} {self.where} {dict(rules.items())} {list(ctx.get_broadcast_state(WHEN))}"

    def process_broadcast_element(self, value, ctx):
        ctx.get_broadcast_state(RULES)[value[0]] = value[1]
        ctx.get_broadcast_state(WHEN).put((value[0], value[1]), None)


class ApplyRulesByKey(KeyedBroadcastProcessFunction):
    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def process_element(self, value, ctx):
        self.seen.update((self.seen.value() or 0) + 1)
        factor = ctx.get_broadcast_state(RULES).get("factor") or 0
        yield f"{value} {ctx.get_current_key()} {self.seen.value()} {factor}"

    def process_broadcast_element(self, value, ctx):
        ctx.get_broadcast_state(RULES).put_all(dict([value]))


class CountOfKey(MapFunctionWithState):
    state_descriptor = ValueStateDescriptor("count", Types.LONG())

    def process(self, value, context, state):
        state.update((state.value() or 0) + 1)
        return f"{value} {context.get_current_key()} {state.value()}"


class SeenBySubtask(MapFunctionWithState):
    state_descriptor = ListStateDescriptor("seen", Types.LONG())

    def process(self, value, context, state):
        state.add(value)
        return str(len(state.get()))


def run(checkpoints, output, parallelism, pace, resume):
    """One run of a job with every kind of state; also the body of the killed child."""
    env = checkpointed_env(Path(checkpoints), parallelism, resume=resume)
    out = Path(output)
    numbers = env.from_collection(range(NUMBERS), rows_per_second=pace).uid("numbers")
    keyed = numbers.key_by(lambda n: n % KEYS)
    # The source's records go to all subtasks.
    plain = numbers.rebalance()
    rules = env.from_collection([("factor", 2), ("limit", 9), ("factor", 3)]).uid("the-rules").broadcast(RULES, WHEN)
    branches = {
        "kinds": keyed.process(AllKinds(), Types.STRING()),
        "ttl": keyed.process(AllKinds(A_DAY), Types.STRING()),
        "lists": plain.map(CountsAndTotals(), Types.STRING()),
        "rules": plain.connect(rules).process(ApplyRules(), Types.STRING()),
        "keyed_rules": keyed.connect(rules).process(ApplyRulesByKey(), Types.STRING()),
        "with_state": keyed.map(CountOfKey(), Types.STRING()),
        "subtask_state": plain.flat_map(SeenBySubtask(), Types.STRING()),
    }
    for name, stream in branches.items():
        stream.uid(name).sink_to(file_sink(out / name)).uid(f"out-{name}")
    return env.execute("kinds")


def kill_after_a_checkpoint(arguments, checkpoints):
    """Runs `run(*arguments)` in a process of its own and kills that once it has taken two more checkpoints."""
    code = f"from python.test_state_kinds import run; run(*{arguments!r})"
    tests = Path(__file__).parent.parent
    before = max((int(p.stem.split("-")[1]) for p in checkpoints.rglob("chk-*.manifest")), default=0)
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tests)})
    deadline = time.monotonic() + 60
    newest = before
    while newest < before + 3:
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
        newest = max((int(p.stem.split("-")[1]) for p in checkpoints.rglob("chk-*.manifest")), default=before)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def rescaled(tmp_path_factory):
    """Output of a job killed at parallelism 1 and at 3, and finished at 2."""
    folder = tmp_path_factory.mktemp("rescaled")
    checkpoints, output = folder / "chk", folder / "out"
    for parallelism, resume in [(1, False), (3, True)]:
        kill_after_a_checkpoint((str(checkpoints), str(output), parallelism, 600, resume), checkpoints)
    result = run(checkpoints, output, 2, 0, True)
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert result.metrics["Collection.rows_read"] < NUMBERS
    return output


@pytest.mark.parametrize("name", ["kinds", "ttl"])
def test_keyed_kinds_survive_kills_and_rescaling(rescaled, name):
    assert lines_of(rescaled / name) == sorted(all_kinds_in_plain_python(range(NUMBERS)))


def test_operator_lists_survive_kills_and_rescaling(rescaled):
    lines = [line.split() for line in lines_of(rescaled / "lists")]
    assert sorted(int(number) for number, *_ in lines) == list(range(NUMBERS))
    by_parallelism = defaultdict(list)
    for _, where, mine, restored in lines:
        by_parallelism[int(where.split(":")[0])].append((where, int(mine), int(restored)))
    assert sorted(by_parallelism) == [1, 2, 3]
    done = 0
    for parallelism in (1, 3, 2):
        rows = by_parallelism[parallelism]
        # What a run began with is what those before it had finished, in the eyes of each subtask.
        assert {restored for _, _, restored in rows} == {done}
        done += len(rows)
    # The last counts of all subtasks are all records, whoever counted them first.
    last = {}
    for where, mine, _ in by_parallelism[2]:
        last[where] = max(mine, last.get(where, 0))
    assert sum(last.values()) == NUMBERS


def test_broadcast_state_survives_kills_and_rescaling(rescaled):
    lines = [line.split(" ", 2) for line in lines_of(rescaled / "rules")]
    assert sorted(int(number) for number, *_ in lines) == list(range(NUMBERS))
    whole = "{'limit': 9, 'factor': 3} [('limit', 9), ('factor', 2), ('factor', 3)]"
    seen = Counter()
    for _, where, state in lines:
        if not where.startswith("1:"):
            assert state == whole
            seen[where] += 1
    assert set(seen) == {f"{p}:{i}" for p in (2, 3) for i in range(p)}


def test_keyed_broadcast_functions_keep_both_kinds_of_state(rescaled):
    lines = [line.split() for line in lines_of(rescaled / "keyed_rules")]
    assert [line[:3] for line in sorted(lines, key=lambda line: int(line[0]))] == [
        [str(n), str(n % KEYS), str(n // KEYS + 1)] for n in range(NUMBERS)
    ]
    assert {line[3] for line in lines[len(lines) // 2 :]} <= {"0", "2", "3"}
    assert Counter(line[3] for line in lines)["3"] > NUMBERS / 2


def test_map_with_state_survives_kills_and_rescaling(rescaled):
    assert lines_of(rescaled / "with_state") == sorted(f"{n} {n % KEYS} {n // KEYS + 1}" for n in range(NUMBERS))
    counts = [int(line) for line in lines_of(rescaled / "subtask_state")]
    assert len(counts) == NUMBERS
    # Lists of 3 and of 2 subtasks go on where those before them ended: none starts anew.
    assert Counter(counts)[1] == 1
