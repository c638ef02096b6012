"""Partition size, codecs, and what checkpoints report of both: every byte on disk belongs to a state or a named overhead."""

import re
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    KeyedProcessFunction,
    MapStateDescriptor,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    _core,
)
from headrace.common.memory_size import to_bytes

OVERHEADS = [
    "manifest_bytes", "file_header_bytes", "block_header_bytes", "encryption_bytes", "superseded_bytes",
]  # fmt: skip


class Visits(KeyedProcessFunction):
    """A count, a Python object and a map for each key."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        seen = ValueStateDescriptor("seen")
        seen.set_compression("snappy")
        self.seen = runtime_context.get_state(seen)
        self.pages = runtime_context.get_map_state(MapStateDescriptor("pages", Types.STRING(), Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.seen.update({"last": value, "before": [value - 1, str(value)]})
        self.pages.put(f"page-{value % 3}", value)
        yield (ctx.get_current_key(), self.count.value())


def run(directory, items, *, resume=False, interval="10 s", **options):
    settings = {"execution.checkpointing.interval": interval, "execution.checkpointing.dir": str(directory), **options}
    if resume:
        settings["execution.state-recovery.path"] = "latest"
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.set_parallelism(2)
    stream = (
        env.from_collection(items)
        .uid("items")
        .key_by(lambda v: v % 5000)
        .process(Visits())
        .uid("visits")
        .name("visits")
    )
    stream.filter(lambda pair: False).print()
    return env.execute("sizes")


def newest(directory):
    return max(Path(directory).rglob("chk-*.manifest"), key=lambda path: int(path.stem.split("-")[1]))


def by_state(sizes):
    found = {}
    for state in sizes["states"]:
        line = found.setdefault(state["state"], {"live_bytes": 0, "codecs": {}, "partitions": 0})
        line["live_bytes"] += state["live_bytes"]
        line["partitions"] += state["partitions"]
        for codec, blocks in state["held"]["codecs"].items():
            line["codecs"][codec] = line["codecs"].get(codec, 0) + blocks["stored_bytes"]
    return found


def test_sizes_sum_up_to_the_bytes_on_disk(tmp_path):
    result = run(tmp_path, range(20_000))
    record = [c for c in result.checkpoints if c["completed"]][-1]
    path = newest(tmp_path)
    manifest = _core.load_manifest(str(path))
    sizes = manifest["sizes"]
    on_disk = path.stat().st_size + sum((path.parent / f["name"]).stat().st_size for f in manifest["files"])
    assert sizes["total_bytes"] == on_disk
    assert sum(s["held"]["stored_bytes"] for s in sizes["states"]) + sum(sizes[o] for o in OVERHEADS) == on_disk
    # S = sum of s_i, of all states and tasks.
    assert sizes["live_bytes"] == manifest["state_bytes"] == record["state_bytes"]
    assert sum(s["live_bytes"] for s in sizes["states"]) + sizes["operator_state_bytes"] == sizes["live_bytes"]
    # What the job told of its last checkpoint is what the manifest says, in which the states of both tasks are.
    assert record["sizes"] == sizes
    assert record["raw_bytes"] == sizes["written"]["raw_bytes"]
    assert {(s["operator_id"], s["subtask"]) for s in sizes["states"]} == {("visits", 0), ("visits", 1)}
    for state in sizes["states"]:
        written = state["written"]
        expected = written["raw_bytes"] / written["stored_bytes"] if written["blocks"] else None
        assert written["ratio"] == expected
    assert result.metrics["job.checkpoint_raw_bytes"] == sum(c["raw_bytes"] for c in result.checkpoints)
    assert result.metrics["visits.state.count.live_bytes"] == by_state(sizes)["count"]["live_bytes"] == 5000 * 8


def test_codec_of_state_is_that_of_configuration_then_descriptor_then_job(tmp_path):
    options = {"state.compression.codec": "lz4", "state.compression.codec.visits.count": "zstd:5"}
    run(tmp_path, range(20_000), **options)
    states = by_state(_core.load_manifest(str(newest(tmp_path)))["sizes"])
    assert list(states["count"]["codecs"]) == ["zstd"]
    assert list(states["seen"]["codecs"]) == ["snappy"]  # its descriptor's
    assert list(states["pages"]["codecs"]) == ["lz4"]
    assert list(states["keys"]["codecs"]) == ["lz4"]


@pytest.mark.parametrize(
    ("codec", "other"), [("none", "zstd"), ("lz4", "none"), ("snappy", "lz4"), ("zstd:9", "snappy")]
)
def test_state_written_with_one_codec_is_restored_and_goes_on_with_another(codec, other, tmp_path):
    class Fails(Exception):
        pass

    def stop(value):
        if value >= 12_000:
            raise Fails
        return value

    def build(env, check):
        items = env.from_collection(range(20_000), rows_per_second=50_000).uid("items").map(check)
        return items.key_by(lambda v: v % 3000).process(Visits()).uid("visits")

    settings = {"execution.checkpointing.interval": "10 ms", "execution.checkpointing.dir": str(tmp_path)}
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({**settings, "state.compression.codec": codec})
    )
    build(env, stop)
    with pytest.raises(_core.UserFunctionError):
        env.execute("codecs")
    first = newest(tmp_path)
    assert set(by_state(_core.load_manifest(str(first))["sizes"])["count"]["codecs"]) <= {
        codec.partition(":")[0],
        "none",
    }

    settings |= {"execution.state-recovery.path": "latest", "state.compression.codec": other}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    with build(env, lambda v: v).execute_and_collect("codecs") as records:
        counts = {}
        for key, count in records:
            counts[key] = max(counts.get(key, 0), count)
    expected = {key: len(range(key, 20_000, 3000)) for key in range(3000)}
    assert {key: count for key, count in counts.items() if count == expected[key]} == counts
    assert len(counts) == 3000


def test_partition_size_decides_how_many_partitions_there_are(tmp_path):
    found = {}
    for size in ("16 kb", "64 kb", "1 mb"):
        run(tmp_path / size, range(20_000), **{"state.partition-size": size})
        manifest = _core.load_manifest(str(newest(tmp_path / size)))
        found[size] = by_state(manifest["sizes"])
        (visits,) = [operator for operator in manifest["operators"] if operator["operator_id"] == "visits"]
        tables = [table for subtask in visits["subtasks"] for table in subtask["tables"]]
        assert {table["partition_bytes"] for table in tables} == {to_bytes(size, "")}
    live = found["64 kb"]["seen"]["live_bytes"]
    assert found["16 kb"]["seen"]["partitions"] >= 2.5 * found["64 kb"]["seen"]["partitions"]
    assert live / (64 << 10) <= found["64 kb"]["seen"]["partitions"] <= live / (64 << 10) * 1.3 + 2
    assert found["1 mb"]["seen"]["partitions"] == 2  # one a task


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"state.compression.codec": "lzma"},
            "state.compression.codec: unknown codec 'lzma'; use none, lz4, snappy or zstd",
        ),
        ({"state.compression.codec": "zstd:fast"}, "state.compression.codec: 'fast' is not the level of a codec"),
        ({"state.compression.codec.visits.count": "zip"}, "state.compression.codec.visits.count: unknown codec 'zip'"),
        ({"state.compression.codec.visit.count": "lz4"}, "state.compression.codec.visit.count: no operator has a uid"),
        ({"state.partition-size": "64"}, "state.partition-size: must be from 1 kb to 16 mb, got 64 bytes"),
        ({"state.partition-size": "17 mb"}, "state.partition-size: must be from 1 kb to 16 mb"),
        ({"state.partition-size": "large"}, "state.partition-size: 'large' is not a size"),
    ],
)
def test_bad_option_is_refused_by_name(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(tmp_path, range(10), **options)


def test_bad_codec_of_a_descriptor_is_refused():
    descriptor = ValueStateDescriptor("x")
    with pytest.raises(ValueError, match="unknown codec 'rar'"):
        descriptor.set_compression("rar")
    assert descriptor.compression is None


def test_sizes_in_bytes_are_read_as_flink_writes_them():
    assert [to_bytes(text, "k") for text in ("7", "64 kb", "64KB", "1 mb", "2g", "3 GiB", "10 bytes")] == [
        7, 64 << 10, 64 << 10, 1 << 20, 2 << 30, 3 << 30, 10,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=re.escape("k: '1.5 mb' is not a size")):
        to_bytes("1.5 mb", "k")
