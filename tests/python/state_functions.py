"""Functions with every kind of state, and what the keyed ones give by plain Python."""

from collections import defaultdict

from headrace import (
    AggregateFunction,
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
    ReducingStateDescriptor,
    StateTtlConfig,
    Time,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from headrace.datastream.state import ListState

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


def descriptors(prefix=""):
    return {
        "last": ValueStateDescriptor(f"{prefix}last", Types.LONG()),
        "tail": ListStateDescriptor(f"{prefix}tail", Types.LONG()),
        "by_parity": MapStateDescriptor(f"{prefix}by_parity", Types.STRING(), Types.LONG()),
        "sum": ReducingStateDescriptor(f"{prefix}sum", lambda a, b: a + b, Types.LONG()),
        "longest": ReducingStateDescriptor(f"{prefix}longest", Longest()),
        "mean": AggregatingStateDescriptor(f"{prefix}mean", Mean()),
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
