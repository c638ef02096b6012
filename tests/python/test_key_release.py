"""Keys whose state was cleared leave the job; values that are alive in a cache do not suffer from it."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace import (
    FailedPreconditionError,
    KeyedProcessFunction,
    MapStateDescriptor,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
)  # fmt: skip
from python.streams import checkpointed_env, collect, new_env

CHURNING_KEYS = 5_000_000
GROWTH_BYTES_MAX = 24 << 20  # 5 M keys that stay take more than 300 MB


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class ClearAtOnce(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.seen = 0

    def process_element(self, value, ctx):
        assert self.count.value() is None
        self.count.update(1)
        self.count.clear()
        self.seen += 1
        if self.seen % 1_000_000 == 0:
            yield resident_bytes()


@pytest.mark.serial
@pytest.mark.parametrize("checkpoints", [False, True])
def test_memory_stays_flat_over_five_million_keys_that_are_cleared_after_use(tmp_path, checkpoints):
    numbers = pa.table({"key": pa.array(np.arange(CHURNING_KEYS, dtype=np.int64))})
    env = checkpointed_env(tmp_path, interval="200 ms") if checkpoints else new_env()
    stream = env.from_arrow(numbers).key_by("key").process(ClearAtOnce(), Types.LONG())
    resident = collect(stream)
    assert len(resident) == CHURNING_KEYS // 1_000_000
    assert max(resident) - resident[0] < GROWTH_BYTES_MAX, resident


LASTING_KEYS = 50
KEYS_BETWEEN = 20_000  # enough for keys to be released several times over


class AppendInPlace(KeyedProcessFunction):
    """Lasting keys append to a list that is only changed in place; the others clear theirs."""

    def open(self, runtime_context):
        self.items = runtime_context.get_state(ValueStateDescriptor("items"))

    def process_element(self, value, ctx):
        items = self.items.value()
        if value >= LASTING_KEYS:
            assert items is None, f"new key {value} found {items}"
            self.items.update([value])
            self.items.clear()
            return
        if items is None:
            items = []
            self.items.update(items)
        items.append(len(items))
        yield value, list(items)


@pytest.mark.parametrize("checkpoints", [False, True])
def test_lists_changed_in_place_survive_the_release_of_other_keys(tmp_path, checkpoints):
    records, rounds, fresh = [], 4, LASTING_KEYS
    for _ in range(rounds):
        records += range(LASTING_KEYS)
        records += range(fresh, fresh + KEYS_BETWEEN)
        fresh += KEYS_BETWEEN
    env = checkpointed_env(tmp_path, interval="20 ms") if checkpoints else new_env()
    got = collect(env.from_collection(records).key_by(lambda n: n).process(AppendInPlace()))
    assert got == [(key, list(range(n + 1))) for n in range(rounds) for key in range(LASTING_KEYS)]


class KeepsIterator(KeyedProcessFunction):
    def open(self, runtime_context):
        self.entries = runtime_context.get_map_state(MapStateDescriptor("entries", Types.LONG(), Types.LONG()))
        self.iterator = None

    def process_element(self, value, ctx):
        self.entries.put(value, value)
        if self.iterator is None:
            self.iterator = iter(self.entries.items())
        else:
            list(self.iterator)


def test_iterator_of_a_map_is_refused_at_another_key():
    with pytest.raises(UserFunctionError, match=r"iterator of state 'entries'.*list\(state\.items\(\)\)") as caught:
        collect(new_env().from_collection([1, 2]).key_by(lambda n: n).process(KeepsIterator()))
    assert isinstance(caught.value.__cause__, FailedPreconditionError)
