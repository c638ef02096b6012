"""Every backend runs the same jobs and gives the same results, also where memory holds a part of the state only."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    FailedPreconditionError,
    FsStateBackend,
    HashMapStateBackend,
    InvalidArgumentError,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    MemoryStateBackend,
    ResourceExhaustedError,
    RestartStrategies,
    RocksDBStateBackend,
    StateBackend,
    StreamExecutionEnvironment,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from headrace.common import watermark_strategy
from headrace.datastream.state_backend import memory_budget_bytes
from python.programs import large_map
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

KEYS = 4000
ROWS = 20_000
# Less than the jobs below need, so that rows leave memory all the time.
SMALL_BUDGET = "3200 kb"


def make_backend(name, tmp_path):
    return {
        "hashmap": lambda: HashMapStateBackend(),
        "memory": lambda: MemoryStateBackend(),
        "fs": lambda: FsStateBackend(f"file://{tmp_path}/checkpoints"),
        "disk": lambda: DiskStateBackend(tmp_path / "disk", SMALL_BUDGET),
        "embedded-rocksdb": lambda: EmbeddedRocksDBStateBackend(memory_budget=SMALL_BUDGET),
        "rocksdb": lambda: RocksDBStateBackend(f"file://{tmp_path}/checkpoints", memory_budget=SMALL_BUDGET),
    }[name]()


BACKENDS = ["hashmap", "memory", "fs", "disk", "embedded-rocksdb", "rocksdb"]


@pytest.fixture(params=BACKENDS)
def env(request, tmp_path):
    env = checkpointed_env(tmp_path / "checkpoints")
    env.set_state_backend(make_backend(request.param, tmp_path))
    return env


def key_of(row):
    return f"key-{row * 7919 % KEYS}"


class AllKinds(KeyedProcessFunction):
    """A count, a list of the last rows and a map of remainders, for each key."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.object = runtime_context.get_state(ValueStateDescriptor("object"))
        self.rows = runtime_context.get_list_state(ListStateDescriptor("rows", Types.LONG()))
        self.map = runtime_context.get_map_state(MapStateDescriptor("map", Types.INT(), Types.STRING()))

    def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        largest = self.object.value() or {"largest": -1}
        largest["largest"] = max(largest["largest"], value)
        self.object.update(largest)
        self.rows.add(value)
        self.map.put(value % 5, "v" * (value % 50) + str(value))
        if count % 4 == 0:
            self.map.remove((value + 1) % 5)
        if count % 3 == 0:
            self.rows.clear()
        items = sorted(self.map.items())
        yield f"{ctx.get_current_key()} {count} {largest['largest']} {list(self.rows.get())} {items}"


def expected_of_all_kinds(rows):
    state = defaultdict(lambda: [0, -1, [], {}])
    lines = []
    for row in rows:
        entry = state[key_of(row)]
        entry[0] += 1
        entry[1] = max(entry[1], row)
        entry[2].append(row)
        entry[3][row % 5] = "v" * (row % 50) + str(row)
        if entry[0] % 4 == 0:
            entry[3].pop((row + 1) % 5, None)
        if entry[0] % 3 == 0:
            entry[2] = []
        lines.append(f"{key_of(row)} {entry[0]} {entry[1]} {entry[2]} {sorted(entry[3].items())}")
    return sorted(lines)


def all_kinds_job(env, output, fails_when=lambda: False, rows_per_second=0):
    failed = {"done": False}

    def maybe_fail(value):
        if not failed["done"] and value % 256 == 255 and fails_when():
            failed["done"] = True
            raise RuntimeError("planned failure")
        return value

    numbers = env.from_collection(range(ROWS), rows_per_second=rows_per_second).uid("numbers")
    kinds = numbers.map(maybe_fail).key_by(key_of).process(AllKinds(), Types.STRING()).uid("kinds")
    kinds.sink_to(file_sink(output)).uid("files")


def newest_checkpoint(directory):
    return max((int(path.stem.removeprefix("chk-")) for path in directory.rglob("chk-*.manifest")), default=0)


def checkpointed_twice(directory):
    return lambda: newest_checkpoint(directory) >= 2


def test_value_list_and_map_state(env, tmp_path):
    all_kinds_job(env, tmp_path / "out")
    result = env.execute("kinds")
    assert lines_of(tmp_path / "out") == expected_of_all_kinds(range(ROWS))
    written = [rows for name, rows in result.metrics.items() if name.endswith(".state_store.rows_written")]
    has_store = env.get_state_backend().type_name != "hashmap"
    assert [rows > 0 for rows in written] == [True] * has_store, "no row left memory"


def test_restart_within_the_process(env, tmp_path):
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(2, "10 ms"))
    failing = checkpointed_twice(tmp_path / "checkpoints")
    all_kinds_job(env, tmp_path / "out", failing, rows_per_second=10_000)
    result = env.execute("kinds")
    assert len(result.recoveries) == 1
    assert lines_of(tmp_path / "out") == expected_of_all_kinds(range(ROWS))


class RemindsLater(KeyedProcessFunction):
    """Emits each key's sum when event time has passed its last row by 100 ms."""

    def open(self, runtime_context):
        self.sum = runtime_context.get_state(ValueStateDescriptor("sum", Types.LONG()))
        self.due = runtime_context.get_state(ValueStateDescriptor("due", Types.LONG()))

    def process_element(self, value, ctx):
        self.sum.update((self.sum.value() or 0) + value)
        if self.due.value() is not None:
            ctx.timer_service().delete_event_time_timer(self.due.value())
        self.due.update(value + 100)
        ctx.timer_service().register_event_time_timer(value + 100)

    def on_timer(self, timestamp, ctx):
        yield ctx.get_current_key(), timestamp, self.sum.value()
        self.sum.clear()
        self.due.clear()


class RowTime(watermark_strategy.TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value


def timed(env):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(RowTime())
    return env.from_collection(range(ROWS)).assign_timestamps_and_watermarks(strategy)


def test_timers(env):
    fired = collect(timed(env).key_by(key_of).process(RemindsLater()))
    # A key's rows are KEYS apart, so each row fires by itself.
    assert sorted(fired) == sorted((key_of(row), row + 100, row) for row in range(ROWS))


def test_window_with_a_python_function(env):
    totals = collect(
        timed(env)
        .map(lambda n: (key_of(n), n))
        .key_by(lambda pair: pair[0])
        .window(TumblingEventTimeWindows.of(Time.milliseconds(ROWS // 2)))
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    expected = defaultdict(int)
    for row in range(ROWS):
        expected[key_of(row), row // (ROWS // 2)] += row
    assert sorted(totals) == sorted((key, total) for (key, _), total in expected.items())


def test_native_running_aggregate(env):
    totals = collect(env.from_collection(range(ROWS)).map(lambda n: (n % KEYS, n)).key_by(lambda p: p[0]).sum(1))
    sums, expected = defaultdict(int), []
    for row in range(ROWS):
        sums[row % KEYS] += row
        expected.append((row % KEYS, sums[row % KEYS]))
    assert sorted(totals) == sorted(expected)


def test_killed_process_resumes(env, request, tmp_path):
    name = request.node.callspec.params["env"]
    script = (
        "import sys; from pathlib import Path\n"
        "from python.streams import checkpointed_env\n"
        "from python.test_state_backends import all_kinds_job, make_backend\n"
        "path = Path(sys.argv[1])\n"
        "env = checkpointed_env(path / 'checkpoints', parallelism=2)\n"
        f"env.set_state_backend(make_backend({name!r}, path))\n"
        "all_kinds_job(env, path / 'out', rows_per_second=5000)\n"
        "env.execute('killed')\n"
    )
    tests = Path(__file__).parent.parent
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path], env={**os.environ, "PYTHONPATH": str(tests)})
    deadline = time.monotonic() + 60
    while newest_checkpoint(tmp_path / "checkpoints") < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "the job was faster than its checkpoints"
    process.send_signal(signal.SIGKILL)
    process.wait()
    env.set_parallelism(3)
    env._configuration.set_string("execution.state-recovery.path", "latest")
    all_kinds_job(env, tmp_path / "out")
    result = env.execute("killed")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert lines_of(tmp_path / "out") == expected_of_all_kinds(range(ROWS))


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(["hashmap", "disk", "rocksdb"], 2)))
def test_checkpoint_of_one_backend_is_resumed_on_another(tmp_path, first, second):
    def run(backend, resume, **options):
        env = checkpointed_env(tmp_path / "checkpoints", resume=resume)
        env.set_state_backend(make_backend(backend, tmp_path))
        all_kinds_job(env, tmp_path / "out", **options)
        return env.execute("moves")

    with pytest.raises(Exception, match="planned failure"):
        run(first, False, fails_when=checkpointed_twice(tmp_path / "checkpoints"), rows_per_second=10_000)
    result = run(second, True)
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert lines_of(tmp_path / "out") == expected_of_all_kinds(range(ROWS))


# ---- state used by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
def test_states_are_created_queried_updated_and_restored_by_hand(tmp_path, name):
    env = checkpointed_env(tmp_path / "checkpoints")
    all_kinds_job(env, tmp_path / "out")
    env.execute("kinds")
    backend = make_backend(name, tmp_path)
    backend.initialize()
    backend.create("total", Types.LONG())
    for number in range(2 * KEYS):
        backend.update("total", f"key-{number % KEYS}", number)
    assert backend.query("total", "key-7") == KEYS + 7
    assert backend.query("total", "key-without-a-value") is None
    backend.update("total", "key-7", None)
    assert backend.query("total", "key-7") is None
    with pytest.raises(InvalidArgumentError, match="create"):
        backend.query("other", 1)
    backend.dispose()

    backend.initialize()
    backend.restore(next((tmp_path / "checkpoints").iterdir()), "kinds")
    backend.create("count", Types.LONG())
    backend.create("object")
    for row in range(KEYS):
        assert backend.query("count", key_of(row)) == ROWS // KEYS
    assert backend.query("object", key_of(ROWS - 1)) == {"largest": ROWS - 1}
    backend.dispose()
    with pytest.raises(FailedPreconditionError, match="initialize"):
        backend.query("count", 1)


# ---- state larger than memory -----------------------------------------------------------------------------------------

BUDGET = 24 << 20
VALUE_BYTES = 4096
MANY_KEYS = 10 * BUDGET // VALUE_BYTES


def run_child(program, *arguments):
    """What a program printed whose memory is measured."""
    program = subprocess.run(
        [sys.executable, "-m", f"python.programs.{program}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert program.returncode == 0, program.stderr
    return json.loads(program.stdout)


@pytest.mark.serial
@pytest.mark.parametrize("backend", ["disk", "rocksdb"])
def test_state_of_ten_times_the_budget_takes_the_budget_and_200_mb(tmp_path, backend):
    ran = run_child("large_state", backend, tmp_path, MANY_KEYS, VALUE_BYTES, BUDGET)
    assert lines_of(tmp_path / "out") == ["same"] * MANY_KEYS
    assert ran["resident_max"] < BUDGET + (200 << 20)
    assert ran["metrics"]["kept.state_store.disk_bytes"] >= 5 * BUDGET
    assert ran["metrics"]["kept.state_store.block_reads"] > 0
    assert ran["librocksdb"] == (backend == "rocksdb")


@pytest.mark.parametrize(("backend", "entries"), [("disk", 200_000), ("rocksdb", 10_000_000)])
def test_map_of_one_key_outgrows_memory(tmp_path, backend, entries):
    ran = run_child("large_map", backend, tmp_path, entries, BUDGET)
    looked_up = len(range(0, entries, 1009))
    [line] = lines_of(tmp_path / "out")
    total = sum(entry ^ large_map.value_of(entry) for entry in range(entries))
    assert json.loads(line) == [looked_up, looked_up, entries, total]
    assert ran["resident_max"] < BUDGET + (200 << 20)
    assert ran["metrics"]["kept.state_store.rows_written"] > entries / 2


# ---- which backend a job gets -----------------------------------------------------------------------------------------


def backend_of(**options):
    return new_env(**options).get_state_backend()


def test_configuration_chooses_the_backend():
    assert isinstance(backend_of(), HashMapStateBackend)
    assert isinstance(backend_of(state__backend__type="hashmap"), HashMapStateBackend)
    assert isinstance(backend_of(state__backend__type="disk"), DiskStateBackend)
    assert isinstance(backend_of(state__backend__type="rocksdb"), EmbeddedRocksDBStateBackend)
    assert isinstance(backend_of(state__backend="rocksdb"), EmbeddedRocksDBStateBackend)


def test_new_key_holds_over_the_old_one_and_an_object_over_both():
    env = new_env(**{"state__backend__type": "disk", "state__backend": "rocksdb"})
    assert isinstance(env.get_state_backend(), DiskStateBackend)
    backend = HashMapStateBackend()
    assert env.set_state_backend(backend).get_state_backend() is backend


def test_unknown_backend_is_refused_by_name():
    with pytest.raises(ValueError, match=r"state\.backend\.type: 'forst' is unknown; use hashmap, disk or rocksdb"):
        backend_of(state__backend__type="forst")


@pytest.mark.parametrize("size", ["much", "-1 mb", "1 parsec"])
def test_budget_that_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="memory_budget"):
        DiskStateBackend(memory_budget=size)


def test_budget_is_written_as_every_size():
    assert memory_budget_bytes(DiskStateBackend(memory_budget="1 tb"), Configuration()) == 1 << 40
    configured = Configuration.from_dict({"state.memory-budget": "512 MiB"})
    assert memory_budget_bytes(HashMapStateBackend(), configured) == 512 << 20


def test_budget_of_the_object_holds_over_the_configured_one(tmp_path):
    env = checkpointed_env(tmp_path / "checkpoints")
    env._configuration.set_string("state.memory-budget", "1 gb")
    env.set_state_backend(HashMapStateBackend(memory_budget=100_000))
    all_kinds_job(env, tmp_path / "out")
    with pytest.raises(ResourceExhaustedError, match=r"state\.memory-budget"):
        env.execute()


def test_plain_path_of_the_disk_backend_is_local_and_a_uri_is_for_checkpoints(tmp_path):
    env = new_env()
    env.set_state_backend(DiskStateBackend("file:///somewhere/checkpoints"))
    assert env._configuration.get_string("execution.checkpointing.dir") == "file:///somewhere/checkpoints"
    env = new_env()
    env.set_state_backend(DiskStateBackend(str(tmp_path)))
    assert env._configuration.get_string("execution.checkpointing.dir") is None


@pytest.mark.parametrize("name", ["disk", "rocksdb"])
def test_files_of_state_are_where_configured_and_gone_after_the_job(tmp_path, name):
    local = tmp_path / "local"
    env = new_env(**{"state__backend__type": name, f"state__backend__{name}__localdir": str(local)})
    seen = []

    def look(value):
        seen.append(any(local.iterdir()))
        return value

    rows = collect(env.from_collection(range(100)).key_by(lambda n: n % 3).map(look))
    assert len(rows) == 100
    assert all(seen)
    del env
    assert list(local.iterdir()) == []


def test_files_that_a_killed_job_left_go_with_the_next_one(tmp_path):
    left = tmp_path / "headrace-state-0"
    left.mkdir()
    (left / "garbage").write_text("left by a process that was killed")
    env = new_env(state__backend__type="disk", state__backend__disk__localdir=str(tmp_path))
    assert len(collect(env.from_collection(range(10)).key_by(lambda n: n).map(lambda n: n))) == 10
    assert list(tmp_path.iterdir()) == []


def test_full_checkpoints_are_refused():
    with pytest.raises(ValueError, match="incremental"):
        EmbeddedRocksDBStateBackend(enable_incremental_checkpointing=False)


def test_state_backend_is_an_abstract_base():
    with pytest.raises(TypeError, match="abstract"):
        StateBackend()
    assert isinstance(Configuration(), Configuration)
    assert StreamExecutionEnvironment.get_execution_environment().get_state_backend().type_name == "hashmap"
