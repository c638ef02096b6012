"""Savepoints: asked for while a job runs, at its end, and resumed from at other parallelisms."""

import shutil
import threading
import time

import pytest

from headrace import (
    Configuration,
    Count,
    FailedPreconditionError,
    HeadraceError,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    ProcessWindowFunction,
    SourceFunction,
    StreamExecutionEnvironment,
    Sum,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
    verify_checkpoint,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of

ROWS = 3000
KEYS = 11


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value * 10


class AllStateKinds(KeyedProcessFunction):
    """A value, a list, a map and timers of event time, each of which shows in the output."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.last = runtime_context.get_list_state(ListStateDescriptor("last", Types.LONG()))
        self.waiting = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.STRING(), Types.LONG()))
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen"))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.last.update([*self.last.get(), value][-3:])
        self.waiting.put(str(value), self.count.value())
        self.seen.update((self.seen.value() or []) + [value % 2])
        ctx.timer_service().register_event_time_timer(value * 10 + 2_500)
        yield f"row {ctx.get_current_key()}:{self.count.value()}:{sum(self.last.get())}:{sum(self.seen.value())}"

    def on_timer(self, timestamp, ctx):
        # Not how many wait: that depends on how often watermarks come.
        value = str((timestamp - 2_500) // 10)
        yield f"timer {ctx.get_current_key()}@{timestamp}:{self.waiting.get(value)}"
        self.waiting.remove(value)


class WindowOfRows(ProcessWindowFunction):
    def process(self, key, context, elements):
        rows = sorted(elements)
        yield f"window {key}@{context.window().start}:{rows[0]}-{rows[-1]}"


def program(env, output, rows_per_second=0.0):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(EventTime())
    numbers = env.from_collection(range(ROWS), Types.LONG(), rows_per_second=rows_per_second).uid("numbers")
    keyed = numbers.assign_timestamps_and_watermarks(strategy).uid("times").key_by(lambda n: n % KEYS, Types.LONG())
    kinds = keyed.process(AllStateKinds(), Types.STRING()).uid("kinds")
    windows = TumblingEventTimeWindows.of(Time.seconds(3))
    general = keyed.window(windows).process(WindowOfRows(), Types.STRING()).uid("general")
    typed = numbers.map(lambda n: (n % KEYS, n), Types.TUPLE([Types.LONG(), Types.LONG()])).uid("pairs")
    timed = typed.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(PairTime())
    ).uid("pair times")
    sliced = timed.key_by(lambda pair: pair[0], Types.LONG()).window(windows).agg(n=Count(), total=Sum("f1"))
    kinds.union(general, sliced.uid("sliced").map(str, Types.STRING())).sink_to(file_sink(output)).uid("files")


class PairTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1] * 10


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted") / "out"
    env = StreamExecutionEnvironment.get_execution_environment()
    program(env, output)
    env.execute("uninterrupted")
    lines = lines_of(output)
    assert len(lines) == ROWS * 2 + 2 * 10 * KEYS
    return lines


def env_from(savepoint, checkpoints, parallelism=1, **options):
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.interval": "50 ms",
            "execution.checkpointing.dir": str(checkpoints),
            "execution.state-recovery.path": str(savepoint),
            **options,
        })
    )  # fmt: skip
    env.set_parallelism(parallelism)
    return env


def wait_for_rows(client, rows, seconds=30):
    deadline = time.monotonic() + seconds
    while client.metrics().get("Collection.rows_read", 0) < rows:
        assert time.monotonic() < deadline, client.metrics()
        time.sleep(0.002)


def test_a_job_stopped_with_savepoints_goes_on_at_other_parallelisms(tmp_path, expected):
    savepoint = ""
    for life, parallelism in enumerate((1, 3, 2)):
        env = env_from(savepoint, tmp_path / f"chk{life}", parallelism)
        last = life == 2
        program(env, tmp_path / "out", rows_per_second=0 if last else 2500)
        client = env.execute_async("rescaled")
        if last:
            client.result()
        else:
            wait_for_rows(client, 900)
            savepoint = client.stop_with_savepoint(tmp_path / "savepoints", drain=False).result()
            assert client.status().name == "FINISHED"
            shutil.rmtree(tmp_path / f"chk{life}")
    assert lines_of(tmp_path / "out") == expected


def test_latest_goes_on_where_a_stop_with_savepoint_ended(tmp_path, expected):
    env = checkpointed_env(tmp_path / "chk", 2, resume=True)
    program(env, tmp_path / "out", rows_per_second=4000)
    client = env.execute_async("suspended")
    wait_for_rows(client, 1000)
    client.stop_with_savepoint(False, str(tmp_path / "savepoints")).result()
    before = lines_of(tmp_path / "out")
    # All that was read up to the savepoint is there, and nothing waits under a temporary name.
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    read = client.metrics()["Collection.rows_read"]
    assert sum(line.startswith("row ") for line in before) == read < ROWS
    again = checkpointed_env(tmp_path / "chk", 2, resume=True)
    program(again, tmp_path / "out")
    result = again.execute("suspended")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert lines_of(tmp_path / "out") == expected


def test_a_triggered_savepoint_does_not_disturb_the_job(tmp_path, expected):
    env = checkpointed_env(tmp_path / "chk", 2)
    env.set_default_savepoint_directory(tmp_path / "savepoints")
    program(env, tmp_path / "out", rows_per_second=6000)
    client = env.execute_async("Job (1)")
    wait_for_rows(client, 500)
    futures = [client.trigger_savepoint(), client.trigger_savepoint()]
    paths = [future.result() for future in futures]
    assert all(future.done() for future in futures)
    result = client.result()
    assert lines_of(tmp_path / "out") == expected
    assert len(set(paths)) == 2
    for path in paths:
        assert path.startswith(str(tmp_path / "savepoints" / "savepoint-job"))
        manifest = _core.load_manifest(path)
        assert manifest["savepoint"]
        assert manifest["full"]
        assert not manifest["final"]
        assert not manifest["renames"]
        assert verify_checkpoint(path).ok
    assert {line["savepoint"] for line in result.checkpoints} - {""} <= set(paths)


def test_a_savepoint_resumes_into_an_empty_output(tmp_path, expected):
    env = checkpointed_env(tmp_path / "chk", 1)
    program(env, tmp_path / "out", rows_per_second=4000)
    client = env.execute_async("copied")
    wait_for_rows(client, 800)
    path = client.trigger_savepoint(tmp_path / "savepoints").result()
    client.cancel().result()
    at_savepoint = _core.load_manifest(path)["operators"]
    read = sum(split["rows_read"] for op in at_savepoint for split in op["splits"])
    shutil.rmtree(tmp_path / "chk")
    shutil.rmtree(tmp_path / "out")
    shutil.move(path, tmp_path / "moved")
    env = env_from(tmp_path / "moved", tmp_path / "chk2", 3)
    program(env, tmp_path / "out")
    env.execute("copied")
    lines = lines_of(tmp_path / "out")
    assert sum(line.startswith("row ") for line in lines) == ROWS - read
    assert set(lines) <= set(expected)


def test_draining_fires_all_windows_and_timers(tmp_path):
    env = checkpointed_env(tmp_path / "chk", 2)
    program(env, tmp_path / "out", rows_per_second=4000)
    client = env.execute_async("drained")
    wait_for_rows(client, 700)
    path = client.stop_with_savepoint(tmp_path / "savepoints", True).result()
    assert client.status().name == "FINISHED"
    read = client.metrics()["Collection.rows_read"]
    lines = lines_of(tmp_path / "out")
    assert read < ROWS
    assert sum(line.startswith("row ") for line in lines) == read
    assert sum(line.startswith("timer ") for line in lines) == read
    assert any(line.startswith(f"window {(read - 1) % KEYS}@{(read - 1) * 10 // 3000 * 3000}:") for line in lines)
    # Nothing is left to resume.
    again = env_from(path, tmp_path / "chk2")
    program(again, tmp_path / "out")
    assert any("nothing to do" in message for message in again.execute("drained").messages)
    assert lines_of(tmp_path / "out") == lines


class Ticks(SourceFunction):
    """Counts for ever, as fast as it may."""

    def __init__(self):
        self.position = 0
        self.running = True

    def run(self, ctx):
        while self.running:
            self.position += 1  # first: the position is taken with the record
            ctx.collect(self.position - 1)

    def cancel(self):
        self.running = False

    def snapshot_state(self):
        return self.position

    def restore_state(self, state):
        self.position = state


def test_an_endless_source_function_is_suspended_and_goes_on(tmp_path):
    last = -1
    savepoint = ""
    for life in range(2):
        env = env_from(savepoint, tmp_path / f"chk{life}")
        ticks = env.add_source(Ticks(), type_info=Types.LONG()).uid("ticks")
        ticks.map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out")).uid("files")
        client = env.execute_async("ticking")
        deadline = time.monotonic() + 20
        while client.metrics().get("Custom Source.rows_read", 0) < 2000:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        savepoint = client.stop_with_savepoint(tmp_path / "savepoints", life == 1).result()
        lines = sorted(int(line) for line in lines_of(tmp_path / "out"))
        assert lines == list(range(len(lines)))
        assert len(lines) > last + 2000 - 1
        last = len(lines)


class BlocksAfterFive(KeyedProcessFunction):
    opened = threading.Event()
    go_on = threading.Event()

    def process_element(self, value, ctx):
        if value == 5:
            BlocksAfterFive.opened.set()
            BlocksAfterFive.go_on.wait(20)
        yield value


def test_a_savepoint_that_fails_leaves_the_job_running(tmp_path, expected):
    target = tmp_path / "a file"
    target.write_text("no directory")
    env = checkpointed_env(tmp_path / "chk", 2)
    program(env, tmp_path / "out", rows_per_second=4000)
    client = env.execute_async("unharmed")
    wait_for_rows(client, 500)
    for future in (client.trigger_savepoint(target), client.stop_with_savepoint(target, False)):
        with pytest.raises(HeadraceError, match="a file"):
            future.result()
        assert client.status().name == "RUNNING"
    client.result()
    assert lines_of(tmp_path / "out") == expected


def test_a_job_that_fails_or_is_cancelled_first_fails_its_savepoint(tmp_path):
    BlocksAfterFive.opened.clear()
    BlocksAfterFive.go_on.clear()
    env = checkpointed_env(tmp_path / "chk")
    env.from_sequence(0, 10).key_by(lambda n: 0).process(BlocksAfterFive(), Types.LONG()).print()
    client = env.execute_async("blocked")
    assert BlocksAfterFive.opened.wait(20)
    future = client.trigger_savepoint(tmp_path / "savepoints")
    assert not future.done()
    BlocksAfterFive.go_on.set()
    client.cancel().result()
    with pytest.raises(HeadraceError, match="savepoint"):
        future.result()
    with pytest.raises(FailedPreconditionError, match="no savepoint: the job is CANCELED"):
        client.trigger_savepoint(tmp_path / "savepoints").result()


def test_savepoints_say_what_is_missing(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_sequence(0, 10**9, rows_per_second=1000).map(lambda n: n)
    client = env.execute_async("no directory")
    try:
        with pytest.raises(ValueError, match=r"execution\.checkpointing\.savepoint-dir"):
            client.trigger_savepoint()
        with pytest.raises(FailedPreconditionError, match=r"execution\.checkpointing\.dir"):
            client.trigger_savepoint(tmp_path).result()
        with pytest.raises(TypeError, match="one directory and one flag"):
            client.stop_with_savepoint(True, tmp_path, drain=False)
    finally:
        client.cancel().result()


def test_checkpoints_on_request_need_no_interval(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "chk")})
    )
    env.from_sequence(0, 10**9, rows_per_second=1000).map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out"))
    client = env.execute_async("on request")
    path = client.stop_with_savepoint(tmp_path / "savepoints", False).result()
    assert [line["savepoint"] for line in client.checkpoints()] == [path]


def test_state_without_an_operator_is_dropped_only_when_allowed(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    program(env, tmp_path / "out", rows_per_second=3000)
    client = env.execute_async("dropping")
    wait_for_rows(client, 300)
    path = client.stop_with_savepoint(tmp_path / "savepoints", False).result()

    def smaller(**options):
        env = env_from(path, tmp_path / "chk2", **options)
        numbers = env.from_collection(range(ROWS), Types.LONG()).uid("numbers")
        keyed = numbers.key_by(lambda n: n % KEYS, Types.LONG())
        keyed.process(AllStateKinds(), Types.STRING()).uid("renamed kinds").sink_to(file_sink(tmp_path / "out2")).uid(
            "files"
        )
        return env.execute("dropping")

    with pytest.raises(HeadraceError, match=r"uid (kinds|general|sliced|times|pair times)\).*ignore-unclaimed-state"):
        smaller()
    smaller(**{"execution.state-recovery.ignore-unclaimed-state": "true"})
    counts = [line.split(":")[1] for line in lines_of(tmp_path / "out2") if line.startswith("row 0:")]
    assert "1" in counts, "a renamed operator starts empty"
