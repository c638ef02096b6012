"""Document 004 by its names: partitions, compression, transfer. The examples restore in another process."""

import json
import os
import subprocess
import sys

import pytest

from headrace import _core, verify_checkpoint
from headrace.examples import doc004_compression, doc004_partition_logic, doc004_state_partition, doc004_transfer
from headrace.state_transfer import (
    ChangeRate,
    PartitionStorage,
    StatePartition,
    compress_data,
    decompress_data,
    estimate_transfer_interval,
    make_partitions,
    needs_transfer,
    partition_count,
    partition_logic,
    partition_of,
    restore_state,
    transfer_state,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def in_another_process(code):
    """What a new interpreter, with a hash seed of its own, prints as JSON."""
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return json.loads(run.stdout)


def test_partition_is_restored_in_another_process(tmp_path):
    doc004_state_partition.fill(StatePartition(3)).save(tmp_path)
    code = (
        "import json; from headrace.state_transfer import StatePartition\n"
        f"p = StatePartition(3); n = p.restore({str(tmp_path)!r}); print(json.dumps([n, repr(p.data), p.dirty]))"
    )
    assert in_another_process(code) == [3, repr(doc004_state_partition.ENTRIES), False]


def test_partition_file_is_a_checkpoint_without_pickle(tmp_path):
    StatePartition(0).save(tmp_path / "empty")
    partition = doc004_state_partition.fill(StatePartition(0, codec="none"))
    partition.save(tmp_path)
    manifest = _core.load_manifest(str(tmp_path / "partition-0"))
    (state,) = manifest["operators"]
    assert [table["name"] for table in state["subtasks"][0]["tables"]] == ["keys", "value"]
    assert verify_checkpoint(tmp_path / "partition-0").ok
    (data,) = tmp_path.glob("*.hrs")
    assert b"pickle" not in data.read_bytes()
    assert b"\x80\x04\x95" not in data.read_bytes()  # how pickle's protocols begin
    assert StatePartition(0).restore(tmp_path / "empty") == 0


def test_every_flipped_byte_of_a_partition_is_refused_by_file_and_offset(tmp_path):
    doc004_state_partition.fill(StatePartition(0)).save(tmp_path)
    kept = StatePartition(0)
    kept.add("mine", 1)
    for path in tmp_path.iterdir():
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
            with pytest.raises(_core.HeadraceError, match="offset"):
                kept.restore(tmp_path)
        path.write_bytes(good)
    assert kept.data == [("mine", 1)]
    assert kept.restore(tmp_path) == 3


def test_clear_drops_the_mark_and_restore_merges(tmp_path):
    partition = StatePartition(0)
    partition.add("a", 1)
    partition.add("b", 2)
    assert partition.dirty_bytes > 0
    partition.save(tmp_path)
    partition.clear()
    assert not partition.dirty
    assert partition.data == [("a", 1), ("b", 2)]
    partition.add("b", 2)
    assert not partition.dirty, "the same value is no change"
    other = StatePartition(0)
    other.add("b", "newer")
    other.add("c", 3)
    other.restore(tmp_path)
    assert dict(other.data) == {"a": 1, "b": "newer", "c": 3}
    other.save(tmp_path)
    partition.restore(tmp_path)
    assert dict(partition.data) == dict(other.data)
    partition.remove("a")
    assert partition.dirty
    assert len(partition) == 2
    assert partition.size_bytes == sum(
        len(_core.encode_key(key)) + len(_core.encode_value(value)) for key, value in partition.data
    )


def test_value_is_kept_as_it_was_when_it_was_added():
    value = [1]
    partition = StatePartition(0)
    partition.add("k", value)
    value.append(2)
    assert partition.get("k") == [1]
    with pytest.raises(Exception, match="object"):
        partition.add("k", object())
    assert partition.get("k") == [1]


def test_same_key_is_in_the_same_partition_in_every_process():
    placed = doc004_partition_logic.placed()
    assert len(set(placed.values())) == partition_count(sum(len(k) + 12 for k in placed), 4096)
    code = "import json; from headrace.examples.doc004_partition_logic import placed; print(json.dumps(placed()))"
    assert in_another_process(code) == placed
    assert partition_of("user-7", 5) == placed["user-7"] if len(set(placed.values())) == 5 else True


def test_partition_counts():
    assert [partition_count(size, 100) for size in (0, 1, 100, 101, 1000)] == [1, 1, 1, 2, 10]
    with pytest.raises(ValueError, match="partition_size"):
        partition_count(1, 0)
    with pytest.raises(ValueError, match="partitions: must be 1 to 32768"):
        partition_of("a", 0)


@pytest.mark.parametrize("codec", ["none", "lz4", "snappy", "zstd", "zstd:9", "lz4:9"])
def test_compression_gives_back_what_it_got(codec):
    for data in (b"", b"x", doc004_compression.sample(), os.urandom(10_000)):
        assert decompress_data(compress_data(data, codec)) == data


def test_damaged_and_foreign_data_is_not_decompressed():
    compressed = compress_data(doc004_compression.sample()[:500], "zstd")
    for at in range(len(compressed)):
        with pytest.raises(_core.CorruptionError):
            decompress_data(compressed[:at] + bytes([compressed[at] ^ 1]) + compressed[at + 1 :])
    for foreign in (b"", b"hello", compressed[:-1], compressed + b"x"):
        with pytest.raises(_core.CorruptionError):
            decompress_data(foreign)
    with pytest.raises(ValueError, match="unknown codec 'zip'"):
        compress_data(b"x", "zip")


def test_ratios_of_all_codecs_are_measured(capfd):
    sizes = doc004_compression.sizes(doc004_compression.sample())
    for before, after, ratio in sizes.values():
        assert ratio == before / after
    assert sizes["none"][2] < 1 < sizes["snappy"][2] < sizes["zstd"][2]
    doc004_compression.main()
    assert capfd.readouterr().out.count("\n") == 5


def test_transfer_loses_nothing_and_clean_partitions_cost_nothing(tmp_path):
    storage = [str(tmp_path / "one"), f"file://{tmp_path / 'two'}"]
    rounds = {name: rest for name, *rest in doc004_transfer.run(storage)}
    all_partitions = list(range(doc004_transfer.PARTITIONS))
    assert rounds["1000 keys added"][1] == all_partitions
    assert rounds["nothing changed"] == [0.0, [], 0]
    assert rounds["one key changed"][1] == [partition_of(7, len(all_partitions))]
    assert rounds["100 keys changed"][1] == all_partitions
    # More change, longer interval.
    intervals = [rounds[name][0] for name in ("one key changed", "100 keys changed", "1000 keys added")]
    assert intervals == sorted(set(intervals))
    assert len(list((tmp_path / "one").glob("*.manifest"))) == len(list((tmp_path / "two").glob("*.manifest"))) == 4
    # No older version is left behind.
    assert len(list(tmp_path.rglob("*.hrs"))) == 8

    expected = {number: f"first {number}" for number in range(1000)} | {7: "second"}
    expected |= {number: f"third {number}" for number in range(0, 1000, 10)}
    code = (
        "import json; from headrace.examples.doc004_transfer import restored\n"
        f"print(json.dumps([pair for p in restored({storage!r}).values() for pair in p.data]))"
    )
    assert {key: value for key, value in in_another_process(code)} == expected


def test_partition_waits_for_its_interval(tmp_path):
    clock = Clock()
    state = make_partitions(2, clock=clock)
    partition_logic("a", "x" * 1000, state)
    dirty = next(p for p in state.values() if p.dirty)
    assert needs_transfer(dirty, 10)  # never transferred
    first = transfer_state(state, tmp_path, bytes_per_second=100)
    assert first.transferred == [dirty.partition_id]
    assert first.interval == pytest.approx(dirty.size_bytes / 100)
    partition_logic("a", "y" * 1000, state)
    clock.now = 5
    assert not needs_transfer(dirty, first.interval)
    waiting = transfer_state(state, tmp_path, bytes_per_second=100)
    assert (waiting.transferred, waiting.sizes.file_bytes) == ([], 0)
    assert dirty.dirty
    clock.now = 11
    sent = transfer_state(state, tmp_path, bytes_per_second=100)
    assert sent.transferred == [dirty.partition_id]
    assert sent.sizes.requests == 2
    assert sent.sizes.raw_bytes > sent.sizes.stored_bytes > 0
    assert sent.sizes.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_interval_follows_the_change_and_keeps_its_bounds():
    state = make_partitions(4)
    intervals = [estimate_transfer_interval(state, 1000)]
    for number in range(1, 5):
        for key in range(100 * number):
            partition_logic(key, number, state)
        intervals.append(estimate_transfer_interval(state, 1000))
    assert intervals == sorted(set(intervals))
    assert intervals[-1] == sum(p.dirty_bytes for p in state.values()) / 1000
    assert estimate_transfer_interval(state, 1000, minimum=0, maximum=0.5) == 0.5
    assert estimate_transfer_interval(make_partitions(1), 1000, minimum=3) == 3
    with pytest.raises(ValueError, match="bytes_per_second"):
        estimate_transfer_interval(state, 0)
    with pytest.raises(ValueError, match="minimum and maximum"):
        estimate_transfer_interval(state, 1, minimum=2, maximum=1)


def test_rate_of_change_over_both_windows():
    clock = Clock()
    sliding, timed = ChangeRate(changes=10, clock=clock), ChangeRate(changes=None, seconds=5, clock=clock)
    for second in range(20):
        clock.now = float(second)
        for rate in (sliding, timed):
            rate.note(100)
    clock.now = 20.0
    assert sliding.bytes_per_second() == pytest.approx(100)
    assert timed.bytes_per_second() == pytest.approx(100)
    clock.now = 100.0
    assert timed.bytes_per_second() == 0
    assert 0 < sliding.bytes_per_second() < 20


def test_failed_transfer_leaves_the_partition_dirty_and_the_older_version_whole(tmp_path):
    partition = StatePartition(0)
    partition.add("a", 1)
    transfer_state([partition], tmp_path)
    partition.add("a", 2)
    (tmp_path / "partition-0.manifest.tmp").mkdir()
    (tmp_path / "partition-0.manifest.tmp/in the way").touch()
    with pytest.raises(OSError, match="partition-0"):
        transfer_state([partition], tmp_path)
    assert partition.dirty
    restored = StatePartition(0)
    restored.restore(tmp_path)
    assert restored.data == [("a", 1)]


def test_storage_by_other_schemes_goes_through_fsspec(tmp_path):
    storage = PartitionStorage("memory://transfer/a", str(tmp_path))
    state = make_partitions(4, codec="zstd")
    for key in range(50):
        partition_logic(key, key * key, state)
    report = transfer_state(state, storage)
    assert report.sizes.requests == 8
    assert len(list(tmp_path.glob("*.manifest"))) == 2
    partition_logic(1, "again", state)
    transfer_state(state, storage)
    found = make_partitions(4)
    assert restore_state(found, storage) == 50
    assert {key: value for p in found.values() for key, value in p.data} == {k: k * k for k in range(50)} | {1: "again"}


def test_storage_needs_a_place():
    with pytest.raises(ValueError, match="at least one path or URI"):
        PartitionStorage()


def test_examples_print(capfd):
    doc004_state_partition.main()
    doc004_partition_logic.main()
    doc004_transfer.main()
    out = capfd.readouterr().out
    assert "'b': 'newer'" in out
    assert "P = S / Z" in out
    assert "key 7 is 'second'" in out
