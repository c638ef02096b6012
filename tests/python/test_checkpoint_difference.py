"""diff_checkpoints against what plain Python says of the two ends."""

import pytest

import headrace
from headrace import KeyedProcessFunction, ListStateDescriptor, MapStateDescriptor, Types, ValueStateDescriptor, _core
from python.streams import checkpointed_env

FIRST = range(3000)
SECOND = range(2900, 3200)


class Keep(KeyedProcessFunction):
    """Keys n % 1000; a multiple of 7 clears its key."""

    def open(self, runtime_context):
        self.last = runtime_context.get_state(ValueStateDescriptor("last", Types.LONG()))
        self.items = runtime_context.get_list_state(ListStateDescriptor("items", Types.STRING()))
        self.pairs = runtime_context.get_map_state(MapStateDescriptor("pairs", Types.LONG(), Types.LONG()))

    def process_element(self, value, ctx):
        states = (self.last, self.items, self.pairs)
        if value % 7 == 0:
            for state in states:
                state.clear()
        else:
            self.last.update(value % 499)
            self.items.add("x" * (value % 30))
            self.pairs.put(value % 4, value // 4)
        yield value


def model(numbers):
    last, items, pairs = {}, {}, {}
    for value in numbers:
        key = value % 1000
        if value % 7 == 0:
            for state in (last, items, pairs):
                state.pop(key, None)
        else:
            last[key] = value % 499
            items.setdefault(key, []).append("x" * (value % 30))
            pairs.setdefault(key, {})[value % 4] = value // 4
    return {"last": last, "items": items, "pairs": pairs}


def checkpoint_of(directory, numbers, parallelism=2):
    env = checkpointed_env(directory, parallelism)
    keyed = env.from_collection(numbers).uid("numbers").key_by(lambda n: n % 1000)
    keyed.process(Keep(), Types.LONG()).uid("keep").add_sink(lambda value: None)
    env.execute("diff")
    return headrace.read_checkpoint(directory)


def changes_of(before, after):
    changed = {key: "removed" for key in before if key not in after}
    changed |= {key: "added" for key in after if key not in before}
    return changed | {key: "changed" for key in before if key in after and before[key] != after[key]}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("diff")
    before = checkpoint_of(root / "before", FIRST)
    # Another parallelism: other ids, other subtasks, other files.
    return before, checkpoint_of(root / "after", [*FIRST, *SECOND], parallelism=3)


def test_keys_added_changed_and_removed(checkpoints):
    difference = headrace.diff_checkpoints(*checkpoints)
    before, after = model(FIRST), model([*FIRST, *SECOND])
    summary = {row["state"]: row for row in difference.to_arrow().to_pylist() if row["operator"] == "keep"}
    assert set(summary) == {"last", "items", "pairs"}
    for state, row in summary.items():
        expected = changes_of(before[state], after[state])
        counts = {what: list(expected.values()).count(what) for what in ("added", "changed", "removed")}
        assert {what: row[f"keys_{what}"] for what in counts} == counts
        assert all(counts.values()), "the data must show all three"
        assert row["keys_unchanged"] == len(before[state].keys() & after[state].keys()) - counts["changed"]
        keys = difference.keys("keep", state).to_pylist()
        assert {one["key"]: one["change"] for one in keys} == expected
        assert len(keys) == len(expected)
        assert all((one["bytes_before"] == 0) == (one["change"] == "added") for one in keys)
        assert all((one["bytes_after"] == 0) == (one["change"] == "removed") for one in keys)
    assert summary["last"]["bytes_before"] == 8 * len(before["last"])
    assert summary["last"]["bytes_after"] == 8 * len(after["last"])


def test_a_checkpoint_does_not_differ_from_itself(checkpoints):
    for row in headrace.diff_checkpoints(checkpoints[0], checkpoints[0]).to_arrow().to_pylist():
        assert row["keys_added"] == row["keys_changed"] == row["keys_removed"] == 0
        assert row["bytes_before"] == row["bytes_after"]


def test_many_keys_are_compared_in_rounds_with_the_same_result(checkpoints):
    before, after = checkpoints
    whole = _core.diff_state(before._source.reader(), after._source.reader(), "keep", "items")
    rounds = _core.diff_state(before._source.reader(), after._source.reader(), "keep", "items", keys_at_a_time=37)
    for name in ("keys_added", "keys_changed", "keys_removed", "keys_unchanged", "bytes_before", "bytes_after"):
        assert rounds[name] == whole[name]


def test_an_operator_that_one_side_lacks_is_all_added_or_removed(checkpoints, tmp_path):
    env = checkpointed_env(tmp_path)
    env.from_collection(range(10)).uid("numbers").add_sink(lambda value: None)
    env.execute("other")
    difference = headrace.diff_checkpoints(tmp_path, checkpoints[0].directory)
    [row] = [row for row in difference.to_arrow().to_pylist() if row["state"] == "last"]
    assert row["keys_added"] == len(model(FIRST)["last"])
    assert row["bytes_before"] == 0
    with pytest.raises(KeyError, match="no state 'x'"):
        difference.keys("keep", "x")
    with pytest.raises(KeyError, match="no operator 'x'"):
        difference.keys("x", "last")
