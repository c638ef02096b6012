"""Looking at checkpoints by URI, with fsspec's local files for a server: the same as by path, through temporary files."""

import gc
import re
import shutil
import tempfile
from pathlib import Path

import polars as pl
import pytest

from headrace import (
    CorruptionError,
    InvalidArgumentError,
    KeyedProcessFunction,
    MapStateDescriptor,
    StorageError,
    Types,
    ValueStateDescriptor,
    read_checkpoint,
    verify_checkpoint,
)
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoints import diff_checkpoints, fetching, list_checkpoints
from headrace.command_line import main
from python.streams import checkpointed_env, file_sink

ROWS = 2000


class Keep(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.pairs = runtime_context.get_map_state(MapStateDescriptor("pairs", Types.STRING(), Types.OBJECT()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.pairs.put(str(value % 3), (value, f"text, {value}"))
        ctx.timer_service().register_processing_time_timer(10**15 + value)
        yield value


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The directory, seen as a local one, of a job that took its checkpoints to a URI and was then given more rows."""
    root = tmp_path_factory.mktemp("remote")
    for rows in (ROWS // 2, ROWS):
        env = checkpointed_env(f"local://{root}/chk", parallelism=2, interval="20 ms", resume=rows == ROWS)
        env.get_checkpoint_config().set_num_retained_checkpoints(1000)
        numbers = env.from_collection(range(rows), rows_per_second=8000).uid("numbers")
        kept = numbers.key_by(lambda n: n % 50).process(Keep(), Types.LONG()).uid("keep")
        kept.map(str, Types.STRING()).sink_to(file_sink(root / "out")).uid("files")
        env.execute("remote")
    return next((root / "chk").iterdir())


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary files go; nothing may stay there."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    gc.collect()
    assert list(place.iterdir()) == []


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main(["checkpoint", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, re.sub(r" +", " ", captured.out), captured.err

    return call


@pytest.fixture
def downloaded(monkeypatch):
    """Names of the files that are brought here."""
    names = []
    download = CheckpointTransport.download

    def noted(self, wanted, to):
        names.extend(wanted)
        download(self, wanted, to)

    monkeypatch.setattr(CheckpointTransport, "download", noted)
    return names


def manifests(directory):
    return sorted(directory.glob("chk-*.manifest"), key=lambda path: int(path.stem[4:]))


def rows_of(state):
    table = pl.from_arrow(state.to_arrow())
    return sorted(map(repr, table.rows()))


@pytest.mark.parametrize("name", ["", "/chk", "/chk.manifest"], ids=["directory", "checkpoint", "manifest"])
def test_a_uri_reads_as_the_path_does(directory, name):
    path = str(directory) + name.replace("chk", manifests(directory)[-1].stem)
    by_path, by_uri = read_checkpoint(path), read_checkpoint(f"local://{path}")
    assert by_uri.directory == f"local://{str(directory).lstrip('/')}" or by_uri.directory == f"local://{directory}"
    assert (by_uri.id, by_uri.files, by_uri.stored_bytes) == (by_path.id, by_path.files, by_path.stored_bytes)
    assert by_uri.source_offsets() == by_path.source_offsets()
    assert by_uri.pending_commits() == by_path.pending_commits()
    seen = 0
    for uid, operator in by_path.items():
        assert by_uri[uid].operator_state() == operator.operator_state()
        for state in operator:
            assert rows_of(by_uri[uid][state]) == rows_of(operator[state])
            seen += 1
    assert seen == 2
    assert rows_of(by_uri["keep"].timers()) == rows_of(by_path["keep"].timers())
    assert rows_of(by_uri["keep"].key_dictionary()) == rows_of(by_path["keep"].key_dictionary())


def test_list_verify_and_diff_are_those_of_the_path(directory):
    listed = list_checkpoints(f"local://{directory}")
    assert [Path(one.path).name for one in listed] == [path.name for path in manifests(directory)]
    assert all(one.path.startswith("local://") and one.problem is None for one in listed)
    for one, local in zip(listed, list_checkpoints(directory), strict=True):
        assert (one.id, one.created, one.stored_bytes, one.files) == (
            local.id, local.created, local.stored_bytes, local.files,
        )  # fmt: skip
    report, local = verify_checkpoint(f"local://{directory}"), verify_checkpoint(directory)
    assert report.ok
    assert (report.files, report.bytes_on_disk, report.bytes_read) == (
        local.files, local.bytes_on_disk, local.bytes_read,
    )  # fmt: skip
    assert report.newest_whole.endswith(manifests(directory)[-1].name)
    first, last = manifests(directory)[0], manifests(directory)[-1]
    difference = diff_checkpoints(f"local://{first}", f"local://{last}").to_arrow()
    assert difference == diff_checkpoints(first, last).to_arrow()
    # The first may have been taken before the first row.
    added, changed = (difference.column(name).to_pylist() for name in ("keys_added", "keys_changed"))
    assert [a + c for a, c in zip(added, changed, strict=True)] == [50, 50]


def test_commands_take_a_uri(run, directory, tmp_path):
    uri = f"local://{directory}"
    before, after = manifests(directory)[0], manifests(directory)[-1]
    for command in (
        ["list", directory],
        ["show", directory],
        ["show", directory, "keep"],
        ["show", directory, "keep", "count"],
        ["verify", directory],
        ["diff", before, after],
        ["diff", before, after, "keep", "count"],
    ):
        by_path = run(*command)
        by_uri = run(*[f"local://{one}" if isinstance(one, Path) else one for one in command])
        assert by_uri[0] == by_path[0] == 0, by_uri
        assert by_uri[1].replace("local://", "").split() == by_path[1].split()
    assert run("export", uri, "keep", "pairs", tmp_path / "pairs.parquet")[0] == 0
    assert pl.read_parquet(tmp_path / "pairs.parquet").height == 150


def test_only_what_is_needed_is_brought(run, directory, downloaded):
    names = [path.name for path in manifests(directory)]
    run("list", f"local://{directory}")
    assert sorted(downloaded) == sorted(names)
    downloaded.clear()
    newest = read_checkpoint(f"local://{manifests(directory)[-1]}")
    assert downloaded == [names[-1]]
    newest["keep"]["count"].to_arrow()
    newest["keep"]["pairs"].to_arrow()
    assert sorted(downloaded) == sorted([names[-1], *newest.files])


def test_damage_and_missing_files_are_named_by_uri(run, directory, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(directory, copied)
    data = copied / read_checkpoint(directory).files[0]
    content = bytearray(data.read_bytes())
    for offset in range(48, len(content), 16):  # behind the header
        content[offset] ^= 1
    data.write_bytes(content)
    code, out, _ = run("verify", f"local://{copied}")
    assert code == 1
    assert f"{str(copied).lstrip('/')}/{data.name}, offset" in out
    assert "headrace-staging" not in out
    opened = read_checkpoint(f"local://{copied}")
    with pytest.raises(CorruptionError, match=data.name) as damaged:
        [state.to_arrow() for state in opened["keep"].values()]
    assert "headrace-staging" not in str(damaged.value)
    data.unlink()
    code, out, _ = run("list", f"local://{copied}")
    assert code == 1
    assert "cannot be used: " in out
    assert "headrace-staging" not in out
    del opened, damaged


def test_what_is_no_checkpoint_and_what_finds_no_room_is_refused(directory, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for uri in (f"local://{tmp_path}/empty", f"local://{directory}/chk-999999", f"local://{directory}/no.manifest"):
        with pytest.raises(InvalidArgumentError, match="there is no checkpoint at local://"):
            read_checkpoint(uri)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(StorageError, match=r"takes [0-9]+ bytes of temporary files and .* has 10 free"):
        verify_checkpoint(f"local://{directory}")
