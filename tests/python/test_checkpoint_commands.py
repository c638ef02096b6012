"""The command `headrace checkpoint`: list, show, verify, diff, export, copy."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest

import headrace
from headrace import KeyedProcessFunction, MapStateDescriptor, Types, ValueStateDescriptor
from headrace.checkpoints import copy_checkpoint, export_state, list_checkpoints
from headrace.command_line import main
from python.streams import checkpointed_env, file_sink

ROWS = 2000
KEYS = 50


class Keep(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.pairs = runtime_context.get_map_state(MapStateDescriptor("pairs", Types.STRING(), Types.OBJECT()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.pairs.put(str(value % 3), (value, f"text, {value}"))
        yield value


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The directory of a job that ended; its checkpoints keep their files."""
    root = tmp_path_factory.mktemp("commands")
    env = checkpointed_env(root / "chk", parallelism=2, interval="20 ms")
    numbers = env.from_collection(range(ROWS), rows_per_second=8000).uid("numbers")
    kept = numbers.key_by(lambda n: n % KEYS).process(Keep(), Types.LONG()).uid("keep")
    kept.map(str, Types.STRING()).sink_to(file_sink(root / "out")).uid("files")
    env.execute("commands")
    return next((root / "chk").iterdir())


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main(["checkpoint", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def damaged_copy(directory: Path, target: Path) -> Path:
    """A copy of the newest checkpoint in which every block of every data file is damaged."""
    copy_checkpoint(directory, target)
    for data in target.glob("*.hrs"):
        content = bytearray(data.read_bytes())
        for offset in range(48, len(content), 16):  # behind the header
            content[offset] ^= 1
        data.write_bytes(content)
    return target


def test_list_shows_every_checkpoint_of_a_directory(run, directory):
    code, out, err = run("list", directory)
    assert (code, err) == (0, "")
    manifests = sorted(path.name for path in directory.glob("*.manifest"))
    assert len(manifests) >= 2
    lines = out.splitlines()
    assert lines[0].split() == ["id", "job", "kind", "created", "state", "written", "stored", "files", "manifest"]
    assert sorted(line.split()[-1] for line in lines[1:]) == manifests
    assert "final checkpoint" in lines[-1]
    assert run("list", directory.parent)[1] == out


def test_listed_sizes_are_those_on_disk(directory):
    listed = list_checkpoints(directory)
    assert [one.id for one in listed] == sorted(one.id for one in listed)
    for one in listed:
        checkpoint = headrace.read_checkpoint(one.path)
        assert one.stored_bytes == sum((directory / name).stat().st_size for name in checkpoint.files)
        written = [name for name in checkpoint.files if name.split("-")[2] == str(one.id)]
        assert one.written_bytes == sum((directory / name).stat().st_size for name in written)
        assert one.state_bytes == checkpoint.state_bytes > 0


def test_show_names_states_offsets_and_commits(run, directory):
    code, out, _ = run("show", directory)
    assert code == 0
    for text in ["final checkpoint", "numbers", "keep", "map<string, object>", str(ROWS), "yes"]:
        assert text in out
    code, out, _ = run("show", directory, "keep")
    assert code == 0
    assert "tuple(f0: int, f1: str)" in out
    code, out, _ = run("show", directory, "keep", "count", "--rows", 7)
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["value", *[str(ROWS // KEYS)] * 7]


def test_show_names_the_files_that_a_checkpoint_commits(run, tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="1 h")  # the final checkpoint only
    env.from_collection(["a", "b"], Types.STRING()).sink_to(file_sink(tmp_path / "out")).uid("files")
    env.execute("commits")
    [commit] = headrace.read_checkpoint(tmp_path / "chk").pending_commits()
    assert Path(commit["final_path"]).read_text() == "a\nb\n"
    assert commit["size_bytes"] == 4
    assert commit["temporary_path"] != commit["final_path"]
    code, out, _ = run("show", tmp_path / "chk")
    assert code == 0
    assert Path(commit["final_path"]).name in out


def test_verify_counts_what_it_read(run, directory):
    code, out, err = run("verify", directory)
    assert (code, err) == (0, "")
    commits = headrace.read_checkpoint(directory).pending_commits()
    files = [path for path in directory.iterdir() if path.suffix in (".manifest", ".hrs")]
    files += [Path(one["final_path"]) for one in commits]
    size = sum(path.stat().st_size for path in files)
    assert f"{len(files)} files, {size} of {size} bytes read: no damage" in out


def test_damage_gives_an_exit_code_and_one_line_without_traceback(run, directory, tmp_path):
    copy = damaged_copy(directory, tmp_path / "copy")
    names = [path.name for path in copy.glob("*.hrs")]
    code, out, err = run("verify", copy)
    assert code == 1
    assert all(f"{name}, offset" in out for name in names)
    assert "newest whole checkpoint: none" in out
    for arguments in [
        ("export", copy, "keep", "pairs", tmp_path / "x.parquet"),
        ("copy", copy, tmp_path / "again"),
        ("diff", directory, copy),
    ]:
        code, out, err = run(*arguments)
        assert code == 1, arguments
        assert err.startswith("headrace: ")
        assert err.count("\n") == 1
        assert any(name in err for name in names)
    assert not (tmp_path / "x.parquet").exists()
    assert not list((tmp_path / "again").glob("*.manifest"))
    manifest = next(copy.glob("*.manifest"))
    manifest.write_bytes(manifest.read_bytes()[:-1])
    code, out, err = run("list", copy)
    assert code == 1
    assert f"cannot be used: file {manifest}, offset" in out


def test_wrong_names_are_one_line(run, directory, tmp_path):
    for arguments, text in [
        (("show", tmp_path / "nothing"), "there is no checkpoint at"),
        (("list", tmp_path), "holds no checkpoint"),
        (("show", "s3:///chk"), "names no bucket"),
        (("show", directory, "nobody"), "no operator 'nobody'"),
        (("export", directory, "keep", "nothing", tmp_path / "x.csv"), "no state 'nothing'; it has ['count', 'pairs']"),
        (("export", directory, "keep", "count", tmp_path / "x.txt"), "parquet, csv, arrow"),
    ]:
        code, out, err = run(*arguments)
        assert (code, out) == (1, ""), arguments
        assert text in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("end", ["parquet", "csv", "arrow"])
def test_export_writes_what_other_tools_read(run, directory, tmp_path, end):
    target = tmp_path / f"pairs.{end}"
    code, out, _ = run("export", directory, "keep", "pairs", target)
    assert (code, out) == (0, f"{KEYS * 3} rows in {target}\n")
    expected = {}
    for value in range(ROWS):
        expected[value % KEYS, str(value % 3)] = value
    if end == "parquet":
        rows = duckdb.sql(f"SELECT key, map_key, value.f0, value.f1 FROM '{target}'").fetchall()
        assert {(key, name): number for key, name, number, _ in rows} == expected
        assert all(text == f"text, {number}" for _, _, number, text in rows)
    elif end == "arrow":
        frame = pl.read_ipc(target)
        assert {(key, name): value["f0"] for key, _, name, value in frame.rows()} == expected
    else:
        table = pa.csv.read_csv(target, convert_options=pa.csv.ConvertOptions(column_types={"map_key": pa.string()}))
        rows = table.to_pylist()
        assert {(row["key"], row["map_key"]): row["value"] for row in rows} == {
            key: f'{{"f0": {number}, "f1": "text, {number}"}}' for key, number in expected.items()
        }
    assert list(tmp_path.iterdir()) == [target]


def test_copy_is_whole_and_can_be_restored_from(run, directory, tmp_path):
    code, out, _ = run("copy", directory, tmp_path / "new" / "place")
    assert code == 0
    manifest = Path(out.strip())
    assert manifest.parent == tmp_path / "new" / "place"
    original, copy = headrace.read_checkpoint(directory), headrace.read_checkpoint(manifest)
    assert sorted(path.name for path in manifest.parent.iterdir()) == sorted([manifest.name, *original.files])
    for name in original["keep"]:
        assert copy["keep"][name].to_arrow().equals(original["keep"][name].to_arrow())
    assert run("copy", directory, manifest.parent)[0] == 0  # what is there already stays
    (manifest.parent / original.files[0]).write_bytes(b"something else")
    code, _, err = run("copy", directory, manifest.parent)
    assert code == 1
    assert "exists and is not the file" in err


def test_copies_to_and_from_other_storage_go_through_it(run, directory, monkeypatch):
    calls = []

    class Copied:
        path = "s3://bucket/chk/chk-1.manifest"

    def copy(source, target):
        calls.append((source, target))
        return Copied

    monkeypatch.setattr(headrace.checkpoint_storage, "copy", copy)
    assert run("copy", directory, "s3://bucket/chk") == (0, Copied.path + "\n", "")
    assert calls == [(str(directory), "s3://bucket/chk")]


def test_the_command_is_installed(directory):
    [command] = [one for one in importlib.metadata.entry_points(group="console_scripts") if one.name == "headrace"]
    assert command.load() is main
    ran = subprocess.run(
        [sys.executable, "-m", "headrace", "checkpoint", "verify", directory / "nothing"],
        env={**os.environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == f"headrace: there is no checkpoint at {directory / 'nothing'}\n"


def test_export_of_an_unknown_format_is_refused(directory, tmp_path):
    state = headrace.read_checkpoint(directory)["keep"]["count"]
    with pytest.raises(headrace.InvalidArgumentError, match="parquet, csv, arrow"):
        export_state(state, tmp_path / "x", "json")
    assert export_state(state, tmp_path / "x", "csv") == KEYS
