"""Two connected streams: against plain Python, keyed and not, killed and at other parallelisms."""

import pytest

from headrace import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
    OutputTag,
    RestartStrategies,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

ORDERS = [(n % 13, n, f"order {n}") for n in range(2000)]
PAYMENTS = [(n % 13, n * 3) for n in range(1000)]


class Kind(CoMapFunction):
    def map1(self, value):
        return f"order {value[1]}"

    def map2(self, value):
        return f"payment {value[1]}"


@pytest.mark.parametrize("parallelism", [1, 3])
def test_streams_of_two_types_go_through_their_own_method(parallelism):
    env = new_env(parallelism)
    orders = env.from_collection(ORDERS, Types.TUPLE([Types.LONG(), Types.LONG(), Types.STRING()]))
    got = collect(orders.rebalance().connect(env.from_collection(PAYMENTS).rebalance()).map(Kind(), Types.STRING()))
    assert sorted(got) == sorted([f"order {n}" for _, n, _ in ORDERS] + [f"payment {n}" for _, n in PAYMENTS])


def test_co_map_gives_what_it_is_given_and_flat_map_any_number():
    class Lists(CoMapFunction):
        def map1(self, value):
            return [value]

        def map2(self, value):
            return None

    class Some(CoFlatMapFunction):
        def flat_map1(self, value):
            return [value] * value

        def flat_map2(self, value):
            return None

    env = new_env()
    lists = env.from_collection([1, 2]).connect(env.from_collection([3])).map(Lists())
    assert sorted(collect(lists), key=str) == [None, [1], [2]]
    env = new_env()
    assert collect(env.from_collection([1, 2]).connect(env.from_collection([3])).flat_map(Some())) == [1, 2, 2]


class Balance(KeyedCoProcessFunction):
    """Both inputs work on one balance of a key."""

    def open(self, runtime_context):
        self.balance = runtime_context.get_state(ValueStateDescriptor("balance", Types.LONG()))

    def change(self, amount):
        self.balance.update((self.balance.value() or 0) + amount)

    def process_element1(self, value, ctx):
        assert ctx.get_current_key() == value[0]
        self.change(value[1])
        ctx.timer_service().register_event_time_timer(10**9)

    def process_element2(self, value, ctx):
        assert ctx.get_current_key() == value[0]
        self.change(-value[1])

    def on_timer(self, timestamp, ctx):
        yield f"{ctx.get_current_key()} {self.balance.value()}"


def balances():
    totals = {}
    for key, amount, _ in ORDERS:
        totals[key] = totals.get(key, 0) + amount
    for key, amount in PAYMENTS:
        totals[key] = totals.get(key, 0) - amount
    return sorted(f"{key} {total}" for key, total in totals.items())


def timed(stream):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v[1])
    return stream.assign_timestamps_and_watermarks(strategy)


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("keyed_first", [True, False])
def test_both_inputs_share_the_state_and_timers_of_a_key(parallelism, keyed_first):
    env = new_env(parallelism)
    orders, payments = timed(env.from_collection(ORDERS)), timed(env.from_collection(PAYMENTS))
    if keyed_first:
        connected = orders.key_by(lambda o: o[0]).connect(payments.key_by(lambda p: p[0]))
    else:
        connected = orders.connect(payments).key_by(lambda o: o[0], lambda p: p[0])
    assert sorted(collect(connected.process(Balance()))) == balances()


def test_keyed_state_of_both_inputs_survives_a_restart(tmp_path):
    failed = []

    def fail_once(value):
        if value[1] == 1999 and not failed:
            failed.append(value)
            raise RuntimeError("planned failure")
        return value

    env = checkpointed_env(tmp_path / "chk", parallelism=2, interval="20 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, "0 ms"))
    orders = timed(env.from_collection(ORDERS, rows_per_second=8000).map(fail_once))
    payments = timed(env.from_collection(PAYMENTS, rows_per_second=4000))
    connected = orders.connect(payments).key_by(lambda o: o[0], lambda p: p[0])
    connected.process(Balance(), Types.STRING()).sink_to(file_sink(tmp_path / "out"))
    assert len(env.execute().recoveries) == 1
    assert lines_of(tmp_path / "out") == balances()


def test_co_process_functions_have_timestamps_and_side_outputs():
    tag = OutputTag("second", Types.LONG())

    class Both(CoProcessFunction):
        def process_element1(self, value, ctx):
            yield ctx.timestamp()

        def process_element2(self, value, ctx):
            yield tag, value[1]

    env = new_env()
    both = timed(env.from_collection([(0, 5)])).connect(env.from_collection([(0, 7)])).process(Both(), Types.LONG())
    assert collect(both) == [5]
    assert collect(both.get_side_output(tag)) == [7]


def test_streams_that_do_not_fit_are_refused():
    env = new_env()
    numbers = env.from_collection([1])
    with pytest.raises(TypeError, match="only one is keyed"):
        numbers.connect(numbers.key_by(lambda n: n)).map(Kind())
    with pytest.raises(TypeError, match="expected a CoProcessFunction, got Kind"):
        numbers.connect(numbers).process(Kind())
    with pytest.raises(ValueError, match="different environments"):
        numbers.connect(new_env().from_collection([1]))
