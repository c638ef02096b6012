"""State with a time to live, as programs see it; what clocks and clean-up do is tested in ttl_rows_test.cc."""

import time

import pytest

from headrace import (
    AggregatingStateDescriptor,
    CheckpointedFunction,
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapFunction,
    MapStateDescriptor,
    ProcessWindowFunction,
    ReducingStateDescriptor,
    RestartStrategies,
    StateTtlConfig,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
)  # fmt: skip
from python.streams import checkpointed_env, collect, new_env

MOMENT_MS = 20
LONG = StateTtlConfig.new_builder(Time.days(1)).build()
MOMENT = StateTtlConfig.new_builder(Time.milliseconds(MOMENT_MS)).build()


def let_moments_pass():
    time.sleep(3 * MOMENT_MS / 1000)


def make_states(context, ttl):
    """One state of each kind as functions (add a number, show what is there)."""
    name = "long" if ttl is LONG else "moment"
    all_of_them = [
        ValueStateDescriptor(f"{name} number", Types.LONG()),
        ValueStateDescriptor(f"{name} value"),
        ListStateDescriptor(f"{name} list", Types.LONG()),
        MapStateDescriptor(f"{name} map", Types.LONG(), Types.LONG()),
        ReducingStateDescriptor(f"{name} reducing", lambda a, b: a + b, Types.LONG()),
        AggregatingStateDescriptor(f"{name} aggregating", Sum()),
    ]
    for descriptor in all_of_them:
        descriptor.enable_time_to_live(ttl)
    number, value = context.get_state(all_of_them[0]), context.get_state(all_of_them[1])
    listed, mapped = context.get_list_state(all_of_them[2]), context.get_map_state(all_of_them[3])
    reducing, aggregating = context.get_reducing_state(all_of_them[4]), context.get_aggregating_state(all_of_them[5])

    def add(n):
        number.update(n)
        value.update({"n": n})
        listed.add(n)
        mapped[n] = n
        reducing.add(n)
        aggregating.add(n)

    def show():
        contained = 1 in mapped
        assert contained == (1 in list(mapped)) == (mapped.get(1) is not None)
        assert mapped.is_empty() == (not list(mapped.items()))
        return (number.value(), value.value(), list(listed), dict(mapped.items()), reducing.get(), aggregating.get())

    return add, show


class Moments(KeyedProcessFunction):
    def open(self, runtime_context):
        self.long = make_states(runtime_context, LONG)
        self.moment = make_states(runtime_context, MOMENT)

    def process_element(self, value, ctx):
        for add, _ in (self.long, self.moment):
            add(value)
        let_moments_pass()
        yield self.long[1](), self.moment[1]()


def test_every_kind_ends_after_its_time_and_not_before():
    got = collect(new_env().from_collection([1, 2]).key_by(lambda n: 0).process(Moments()))
    none = (None, None, [], {}, None, None)
    assert got == [((1, {"n": 1}, [1], {1: 1}, 1, 1), none), ((2, {"n": 2}, [1, 2], {1: 1, 2: 2}, 3, 3), none)]


def test_state_of_windows_ends_too():
    class Windowed(ProcessWindowFunction):
        def process(self, key, context, elements):
            shown = []
            for states in (context.window_state(), context.global_state()):
                long, moment = make_states(states, LONG), make_states(states, MOMENT)
                for add, _ in (long, moment):
                    add(sum(elements))
                let_moments_pass()
                shown.append((long[1]()[0], moment[1]()[0]))
            yield shown

        def clear(self, context):
            pass

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v)
    stream = new_env().from_collection([1, 2]).assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0)
    got = collect(stream.window(TumblingEventTimeWindows.of(Time.milliseconds(10))).process(Windowed()))
    assert got == [[(3, None), (3, None)]]


def test_expired_state_is_shown_once_where_the_program_wants_it():
    ttl = StateTtlConfig.new_builder(Time.milliseconds(MOMENT_MS)).return_expired_if_not_cleaned_up()
    descriptor = ValueStateDescriptor("value", Types.LONG())
    descriptor.enable_time_to_live(ttl.disable_cleanup_in_background().build())

    class Look(KeyedProcessFunction):
        def open(self, runtime_context):
            self.value = runtime_context.get_state(descriptor)

        def process_element(self, value, ctx):
            self.value.update(value)
            let_moments_pass()
            yield self.value.value(), self.value.value()

    assert collect(new_env().from_collection([5]).key_by(lambda n: 0).process(Look())) == [(5, None)]


def test_disabled_time_to_live_is_none():
    ttl = StateTtlConfig.new_builder(Time.milliseconds(1)).set_update_type(StateTtlConfig.UpdateType.Disabled).build()
    assert not ttl.is_enabled()
    descriptor = ValueStateDescriptor("value", Types.LONG())
    descriptor.enable_time_to_live(ttl)

    class Look(KeyedProcessFunction):
        def open(self, runtime_context):
            self.value = runtime_context.get_state(descriptor)

        def process_element(self, value, ctx):
            self.value.update(value)
            let_moments_pass()
            yield self.value.value()

    assert collect(new_env().from_collection([5]).key_by(lambda n: 0).process(Look())) == [5]


def test_expired_state_does_not_come_back_by_a_restart(tmp_path):
    attempts = []

    class FailsOnce(KeyedProcessFunction):
        def open(self, runtime_context):
            attempts.append(None)
            self.long = make_states(runtime_context, LONG)
            self.moment = make_states(runtime_context, MOMENT)

        def process_element(self, value, ctx):
            if value == 0:
                for add, _ in (self.long, self.moment):
                    add(1)
            elif value == 400:
                if len(attempts) == 1:
                    raise RuntimeError("planned failure")
                let_moments_pass()
                yield self.long[1](), self.moment[1]()

    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, "0 ms"))
    numbers = env.from_collection(range(401), rows_per_second=1000)
    (got,) = collect(numbers.key_by(lambda n: 0).process(FailsOnce()))
    assert len(attempts) == 2
    assert got == ((1, {"n": 1}, [1], {1: 1}, 1, 1), (None, None, [], {}, None, None))


class LastOfKey(KeyedProcessFunction):
    def __init__(self, ttl):
        self.ttl = ttl

    def open(self, runtime_context):
        descriptor = ValueStateDescriptor("last", Types.LONG())
        if self.ttl:
            descriptor.enable_time_to_live(self.ttl)
        self.last = runtime_context.get_state(descriptor)

    def process_element(self, value, ctx):
        self.last.update(value)


@pytest.mark.parametrize(("before", "after"), [(None, LONG), (LONG, None)])
def test_time_to_live_switched_on_or_off_is_refused_with_both_types(before, after, tmp_path):
    def job(ttl, resume):
        env = checkpointed_env(tmp_path / "chk", interval="20 ms", resume=resume)
        numbers = env.from_collection(range(100_000), rows_per_second=1000).uid("numbers")
        numbers.key_by(lambda n: n % 5).process(LastOfKey(ttl)).uid("last")
        return env.execute_async("switched")

    client = job(before, resume=False)
    while client.metrics()["job.checkpoints_completed"] < 1:
        time.sleep(0.005)
    client.cancel().result()
    with pytest.raises(UserFunctionError) as caught:
        job(after, resume=True).result()
    text = str(caught.value)
    assert "state 'last' is stored as" in text
    assert "ttl<value<int64>>" in text
    assert " value<int64>" in text


def test_incremental_clean_up_lets_go_of_keys_that_are_over(tmp_path):
    ttl = StateTtlConfig.new_builder(Time.milliseconds(1)).cleanup_incrementally(10, True).build()
    env = checkpointed_env(tmp_path / "chk")
    env.from_collection(range(50_000)).key_by(lambda n: n).process(LastOfKey(ttl)).uid("last")
    env.execute("cleaned")
    manifest = _core.load_manifest(str(max((tmp_path / "chk").rglob("chk-*.manifest"))))
    registry = {line["name"]: line for op in manifest["operators"] for line in op["registry"]}
    assert registry["last"]["fingerprint"] == "ttl<value<int64>>"
    # A key lives about one batch: that is what is left of 50,000.
    assert registry["last"]["rows"] < 25_000


def test_operator_state_has_no_time_to_live():
    class Counting(CheckpointedFunction, MapFunction):
        def initialize_state(self, context):
            descriptor = ListStateDescriptor("counts", Types.LONG())
            descriptor.enable_time_to_live(LONG)
            context.get_operator_state_store().get_list_state(descriptor)

        def snapshot_state(self, context):
            pass

        def map(self, value):
            return value

    with pytest.raises(Exception, match=r"Counting\.initialize_state.*operator state 'counts'.*time to live"):
        collect(new_env().from_collection([1]).map(Counting()))


def test_builder_has_flinks_defaults_and_getters():
    config = StateTtlConfig.new_builder(Time.seconds(3)).build()
    assert config.get_ttl() == Time.seconds(3)
    assert config.get_update_type() == StateTtlConfig.UpdateType.OnCreateAndWrite
    assert config.get_state_visibility() == StateTtlConfig.StateVisibility.NeverReturnExpired
    assert config.get_ttl_time_characteristic() == StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
    assert config.is_enabled()
    strategies = config.get_cleanup_strategies()
    assert strategies.is_cleanup_in_background()
    assert not strategies.in_full_snapshot()
    assert strategies.get_incremental_cleanup_strategy().get_cleanup_size() == 5
    assert strategies.in_rocksdb_compact_filter()
    assert strategies.get_rocksdb_compact_filter_cleanup_strategy().get_query_time_after_num_entries() == 1000
    assert strategies.get_rocksdb_compact_filter_cleanup_strategy().get_periodic_compaction_time() == Time.days(30)


def test_builder_takes_every_setting_of_flinks():
    config = (
        StateTtlConfig.new_builder(Time.seconds(3))
        .set_ttl(Time.seconds(5))
        .update_ttl_on_create_and_write()
        .update_ttl_on_read_and_write()
        .set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)
        .never_return_expired()
        .return_expired_if_not_cleaned_up()
        .set_state_visibility(StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp)
        .use_processing_time()
        .set_ttl_time_characteristic(StateTtlConfig.TtlTimeCharacteristic.ProcessingTime)
        .cleanup_full_snapshot()
        .cleanup_incrementally(7, True)
        .cleanup_in_rocksdb_compact_filter(500, Time.days(1))
        .disable_cleanup_in_background()
        .build()
    )
    strategies = config.get_cleanup_strategies()
    assert config.get_ttl() == Time.seconds(5)
    assert config._describe() == (5000, True, True, 7, True, True)
    assert not strategies.is_cleanup_in_background()
    assert strategies.in_full_snapshot()
    assert strategies.get_incremental_cleanup_strategy().run_cleanup_for_every_record()
    assert strategies.get_rocksdb_compact_filter_cleanup_strategy().get_query_time_after_num_entries() == 500


class RemembersForAMoment(KeyedProcessFunction):
    """A text of each key that lives for a moment; key -1 has none and comes for ever."""

    def open(self, runtime_context):
        text = ValueStateDescriptor("text", Types.STRING())
        text.enable_time_to_live(StateTtlConfig.new_builder(Time.milliseconds(500)).build())
        self.text = runtime_context.get_state(text)

    def process_element(self, value, ctx):
        if ctx.get_current_key() >= 0:
            self.text.update(f"{value} " * 60)
        else:
            assert self.text.value() is None
        return ()


@pytest.mark.parametrize("backend", ["disk", "rocksdb"])
def test_what_is_over_goes_although_it_is_not_in_memory_and_never_used_again(tmp_path, backend):
    keys, budget = 20_000, "3 mb"  # the keys' texts take more
    env = checkpointed_env(tmp_path / "checkpoints")
    env.set_state_backend(
        DiskStateBackend(tmp_path / "rows", budget)
        if backend == "disk"
        else EmbeddedRocksDBStateBackend(memory_budget=budget)
    )
    numbers = env.from_sequence(0, 10**9, rows_per_second=200_000)
    numbers.key_by(lambda n: n if n < keys else -1, Types.LONG()).process(RemembersForAMoment(), Types.LONG()).uid(
        "text"
    )
    client = env.execute_async("moments")

    def rows():
        return [line["rows"] for line in client.state_registry().states("text") if line["name"] == "text"]

    most = 0
    deadline = time.monotonic() + 60
    while not (most > 0 and rows() == [0]):
        most = max(most, *rows(), 0)
        assert not client.status().is_terminal_state()
        assert time.monotonic() < deadline, (most, rows())
        time.sleep(0.01)
    client.cancel().result()
    assert most > 1000


def test_without_background_clean_up_only_reading_finds_what_is_over():
    off = StateTtlConfig.new_builder(Time.seconds(3)).disable_cleanup_in_background()
    assert off.build().get_cleanup_strategies().get_incremental_cleanup_strategy() is None
    assert off.build()._describe()[3] == 0
    # The option for RocksDB turns on what headrace has in its place.
    assert off.cleanup_in_rocksdb_compact_filter(1000).build()._describe()[3] == 5


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="ttl: must be positive"):
        StateTtlConfig.new_builder(Time.milliseconds(0))
    with pytest.raises(ValueError, match="cleanup_size"):
        StateTtlConfig.new_builder(Time.seconds(1)).cleanup_incrementally(0, False)
    with pytest.raises(TypeError, match=r"state 'x'.*StateTtlConfig.*Builder"):
        ValueStateDescriptor("x").enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(1)))
