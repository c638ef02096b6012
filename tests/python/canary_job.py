"""A job whose state of one key says whose it is: tests look for that text where it must not be."""

import time
from collections import Counter
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    HashMapStateBackend,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    SourceFunction,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
)
from python.streams import checkpointed_env

CANARY = "CANARY-7f3a"
ROWS = 6000
BACKENDS = ["hashmap", "disk", "rocksdb"]


def backend(name, tmp_path):
    """Those with a store have too little memory for the state."""
    if name == "disk":
        return DiskStateBackend(tmp_path / "disk", "3 mb")
    return EmbeddedRocksDBStateBackend(memory_budget="3 mb") if name == "rocksdb" else HashMapStateBackend()


class Remember(KeyedProcessFunction):
    """State of every kind, and timers; that of one key says whose it is."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.last = runtime_context.get_state(ValueStateDescriptor("last", Types.STRING()))
        self.all = runtime_context.get_list_state(ListStateDescriptor("all", Types.STRING()))
        self.by_digit = runtime_context.get_map_state(MapStateDescriptor("by-digit", Types.STRING(), Types.OBJECT()))

    def process_element(self, value, ctx):
        key = ctx.get_current_key()
        self.count.update((self.count.value() or 0) + 1)
        self.last.update(f"{key} was {value}")
        if self.count.value() % 5 == 0:
            self.all.clear()
        self.all.add(f"{key} is {value}")
        self.by_digit.put(f"{key}/{value % 10}", {key: value})
        ctx.timer_service().register_processing_time_timer(10**15 + value)
        yield (key, self.count.value())


class Stop(Exception):
    pass


class Feed(SourceFunction):
    """The numbers from 0, each once it is released. Has a position, so that a restart goes on from it."""

    released = ROWS
    fails = False
    next_number = 0
    cancelled = False

    def run(self, ctx):
        for number in range(self.next_number, ROWS):
            while number >= Feed.released:
                if self.cancelled:
                    return
                if Feed.fails:
                    raise Stop
                time.sleep(0.0005)
            self.next_number = number + 1
            ctx.collect(number)

    def cancel(self):
        self.cancelled = True

    def snapshot_state(self):
        return self.next_number

    def restore_state(self, value):
        self.next_number = value


def key_of(value, canary_until=ROWS):
    return CANARY if value % 40 == 7 and value < canary_until else f"user-{value % 700}"


def job(env, *, canary_until=ROWS, released=ROWS):
    Feed.released, Feed.fails = released, False
    items = env.add_source(Feed(), "items").uid("items")
    return items.key_by(lambda value: key_of(value, canary_until)).process(Remember()).uid("remember").name("memory")


def environment(directory, tmp_path, backend_name="hashmap", resume=False, **options):
    env = checkpointed_env(directory, interval="15 ms", resume=resume)
    settings = {"state.compression.codec": "none", "execution.checkpointing.num-retained": "3", **options}
    env.configure(Configuration.from_dict(settings))
    env.set_state_backend(backend(backend_name, tmp_path))
    return env


def interrupted(directory, tmp_path, backend_name="hashmap", **options):
    """A job that failed when it had read some rows and taken some checkpoints, which stay. Returns its directory."""
    env = environment(directory, tmp_path, backend_name, **options)
    job(env, released=300).map(str, Types.STRING()).add_sink(lambda line: None)
    client = env.execute_async("job")
    while (taken := sum(one["completed"] for one in client.checkpoints())) < 7:
        Feed.released = 300 * (taken + 1)  # each checkpoint with some rows of its own
        assert not client.status().is_terminal_state()
        time.sleep(0.002)
    Feed.fails = True
    with pytest.raises(UserFunctionError):
        client.result()
    return directory_of(directory)


def directory_of(directory):
    """The job's directory as a local one; None where it is in a real storage."""
    local = str(directory).removeprefix("local://")
    if "://" in local:
        return None
    (found,) = Path(local).iterdir()
    assert len(list(found.glob("chk-*.manifest"))) >= 3
    return found


def resumed(directory, tmp_path, backend_name="hashmap", **options):
    """The counts that the job emits when it goes on, the last of each key."""
    env = environment(directory, tmp_path, backend_name, resume=True, **options)
    with job(env).execute_and_collect("job") as records:
        return dict(records)


def files_with_canary(directory):
    return [path.name for path in Path(directory).rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def expected_counts():
    return Counter(key_of(value) for value in range(ROWS))
