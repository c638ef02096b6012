"""Checkpoints at a URI, without a server: fsspec's local files stand in for one."""

import _thread
import importlib
import os
import threading
import time
from pathlib import Path

import pytest

import headrace
from headrace import Configuration, CorruptionError, FailedPreconditionError, StorageError, command_line
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.fsspec_directory import FsspecDirectory
from headrace.checkpoint_storage.location import is_remote, parse_location
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.parallel_calls import ParallelCalls
from headrace.checkpoint_storage.staging_directory import StagingDirectory
from python.programs.remote_job import expected_lines
from python.streams import checkpointed_env, collect, file_sink, lines_of
from services.job_life import JobLife
from services.staged_file import staged

ROWS = 4000


def configuration(uri, **more):
    return {
        "execution.checkpointing.interval": "50 ms",
        "execution.checkpointing.dir": uri,
        "execution.state-recovery.path": "latest",
        "execution.checkpointing.tolerable-failed-checkpoints": 1000,
        **more,
    }


def remote(tmp_path):
    return f"local://{tmp_path}/remote"


def job_directory(tmp_path):
    (found,) = (tmp_path / "remote").iterdir()
    return found


def run(uri, output, rows=300, **options):
    env = checkpointed_env(uri, resume=True)
    env.configure(Configuration.from_dict(options))
    sums = env.from_sequence(0, rows - 1).key_by(lambda n: n % 3).reduce(lambda a, b: a + b)
    sums.map(str, headrace.Types.STRING()).sink_to(file_sink(output))
    return env.execute("small")


# ---------------------------------------------------------------- a job


def test_a_killed_job_resumes_from_its_remote_checkpoint(tmp_path):
    life = (configuration(remote(tmp_path)), tmp_path / "out", ROWS)
    with JobLife(*life, rate=2000.0) as first:
        first.wait_for("checkpoint", count=4)
        first.kill()
    names = {path.name for path in job_directory(tmp_path).iterdir()}
    assert not [name for name in names if not name.startswith(("chk-", "data-", "run-"))]
    with JobLife(*life, parallelism=2) as second:
        lines, _ = second.end()
    assert any(line.startswith("message resumed from checkpoint") for line in lines), lines
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)


def test_nothing_stays_in_staging_when_the_job_has_ended(tmp_path):
    staging = tmp_path / "staging"
    run(remote(tmp_path), tmp_path / "out", **{"execution.checkpointing.staging-dir": str(staging)})
    assert list(staging.iterdir()) == []
    assert list(job_directory(tmp_path).glob("chk-*.manifest"))


def test_staging_of_a_killed_process_is_removed_by_the_next(tmp_path):
    life = (configuration(remote(tmp_path), **{"execution.checkpointing.staging-dir": str(tmp_path / "s")}),)
    with JobLife(*life, tmp_path / "out", ROWS, rate=2000.0) as first:
        first.wait_for("checkpoint")
        first.kill()
    (left,) = (tmp_path / "s").iterdir()
    staging = StagingDirectory(str(tmp_path / "s"))
    assert not left.exists()
    another = StagingDirectory(str(tmp_path / "s"))
    assert staging.path.exists()
    assert another.path != staging.path


def test_a_second_process_takes_over_and_the_first_fails(tmp_path):
    options = configuration(remote(tmp_path))
    with JobLife(options, tmp_path / "out", ROWS, rate=200.0) as first:
        first.wait_for("checkpoint", count=2)
        with JobLife(options, tmp_path / "out", ROWS) as second:
            lines, _ = second.end()
        ended, _ = first.end()
    assert lines[-1] == "finished 0"
    assert ended[-1].startswith("error FailedPreconditionError"), ended[-3:]
    assert "was succeeded by run 2" in ended[-1]
    # In spite of a thousand tolerable failures.
    assert sum(line.startswith("failed") for line in ended) == 1
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)


def test_only_what_is_retained_stays(tmp_path):
    with JobLife(configuration(remote(tmp_path)), tmp_path / "out", ROWS, rate=4000.0) as job:
        lines, _ = job.end()
    assert sum(line.startswith("checkpoint") for line in lines) > 4
    manifests = sorted(path.name for path in job_directory(tmp_path).glob("chk-*.manifest"))
    assert len(manifests) == 2
    assert len(list(job_directory(tmp_path).glob("run-*"))) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_refused_by_its_uri(tmp_path, damage):
    run(remote(tmp_path), tmp_path / "out")
    data = max(job_directory(tmp_path).glob("data-*"), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        data.unlink()
    else:
        data.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(CorruptionError) as caught:
        run(remote(tmp_path), tmp_path / "out")
    assert f"{remote(tmp_path)}/{job_directory(tmp_path).name}/{data.name}" in str(caught.value)
    assert "offset" in str(caught.value)
    assert "staging" not in str(caught.value)


def test_a_job_starts_from_the_uri_of_a_checkpoint(tmp_path):
    def totals(path=None):
        env = checkpointed_env(f"local://{tmp_path}/other" if path else remote(tmp_path))
        if path:
            env.configure(Configuration.from_dict({"execution.state-recovery.path": path}))
        return collect(env.from_sequence(1, 4).key_by(lambda n: 0).reduce(lambda a, b: a + b))

    assert totals() == [1, 3, 6, 10]
    (manifest,) = job_directory(tmp_path).glob("chk-*.manifest")
    for path in (manifest, manifest.with_suffix(""), manifest.parent):
        assert totals(f"local://{path}") == []
    data = next(job_directory(tmp_path).glob("data-*"))
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(CorruptionError, match=f"local://{data}"):
        totals(f"local://{manifest.parent}")


def test_a_cancelled_job_does_not_wait_for_an_upload(tmp_path, monkeypatch):
    entered, release = threading.Event(), threading.Event()

    def stuck(self, local, name, digest):
        entered.set()
        release.wait(60)

    monkeypatch.setattr(FsspecDirectory, "put_file", stuck)
    env = checkpointed_env(remote(tmp_path))
    env.from_sequence(0, 10**9, rows_per_second=1000).key_by(lambda n: n % 3).reduce(lambda a, b: a + b).sink_to(
        file_sink(tmp_path / "out")
    )
    client = env.execute_async("stuck")
    assert entered.wait(30)
    begun = time.monotonic()
    client.cancel().result()
    seconds = time.monotonic() - begun
    release.set()
    assert seconds < 5
    assert not list(job_directory(tmp_path).glob("chk-*"))


def test_ctrl_c_while_a_job_looks_for_its_checkpoints_is_a_keyboard_interrupt(tmp_path, monkeypatch):
    release = threading.Event()
    calls = []

    def stuck(self):
        calls.append(self.uri)
        if len(calls) == 2:  # the first call is the job's clean-up, before the engine asks
            _thread.interrupt_main()
            release.wait(60)
        return []

    monkeypatch.setattr(FsspecDirectory, "sizes", stuck)
    with pytest.raises(KeyboardInterrupt):
        run(remote(tmp_path), tmp_path / "out")
    release.set()
    assert len(calls) == 2


# ---------------------------------------------------------------- copies


def test_a_checkpoint_is_copied_there_and_back(tmp_path):
    run(remote(tmp_path), tmp_path / "out")
    source = f"local://{job_directory(tmp_path)}"
    there = headrace.checkpoint_storage.copy(source, tmp_path / "plain")
    assert there.path.startswith(str(tmp_path / "plain"))
    assert there.files == len(list((tmp_path / "plain").iterdir()))
    assert there.size_bytes == sum(path.stat().st_size for path in (tmp_path / "plain").iterdir())
    assert headrace.verify_checkpoint(there.path).ok
    back = headrace.checkpoint_storage.copy(there.path, f"local://{tmp_path}/back")
    assert back.checkpoint == there.checkpoint
    for path in (tmp_path / "plain").iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    # Once more is no error; another one of that number is.
    assert headrace.checkpoint_storage.copy(source, tmp_path / "plain") == there
    run(f"local://{tmp_path}/second", tmp_path / "out2", rows=30)
    (second,) = (tmp_path / "second").iterdir()
    number = max(int(path.stem[4:]) for path in second.glob("chk-*"))
    (tmp_path / "plain" / f"chk-{number}.manifest").write_bytes(b"another")
    with pytest.raises(FailedPreconditionError, match=f"chk-{number}.manifest exists"):
        headrace.checkpoint_storage.copy(f"local://{second}", tmp_path / "plain")


def test_the_command_line_copies_between_uris_and_says_what_is_wrong(tmp_path, capsys):
    run(remote(tmp_path), tmp_path / "out")
    assert command_line.main(["checkpoint", "copy", f"local://{job_directory(tmp_path)}", str(tmp_path / "plain")]) == 0
    (manifest,) = (tmp_path / "plain").glob("chk-*.manifest")
    assert capsys.readouterr().out.strip() == str(manifest)
    assert headrace.verify_checkpoint(manifest).ok
    for uri, message in (("nosuch://x/y", "no storage is known"), ("s3:///x", "names no bucket")):
        assert command_line.main(["checkpoint", "copy", uri, str(tmp_path / "plain")]) == 1
        assert message in capsys.readouterr().err


def test_a_damaged_checkpoint_is_not_copied(tmp_path):
    run(remote(tmp_path), tmp_path / "out")
    data = next(job_directory(tmp_path).glob("data-*"))
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    with pytest.raises(CorruptionError, match=data.name):
        headrace.checkpoint_storage.copy(f"local://{data.parent}", tmp_path / "plain")
    assert not (tmp_path / "plain").exists()


def test_a_copy_from_nowhere_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at local://"):
        headrace.checkpoint_storage.copy(f"local://{tmp_path}/nothing", tmp_path / "plain")


# ---------------------------------------------------------------- storages


@pytest.mark.parametrize("kind", ["plain", "fsspec", "memory"])
def test_a_storage_keeps_its_contract(tmp_path, kind):
    uri = {"plain": str(tmp_path), "fsspec": f"local://{tmp_path}", "memory": f"memory://{tmp_path}"}[kind]
    transport = CheckpointTransport(open_storage(uri).directory("job"))
    assert transport.names() == []
    transport.create("chk-1.manifest", b"first")
    with pytest.raises(FileExistsError, match=f"{uri}/job"):
        transport.create("chk-1.manifest", b"second")
    assert transport.read("chk-1.manifest") == b"first"
    transport.replace("run-1", b"one")
    transport.replace("run-1", b"two")
    assert transport.read("run-1") == b"two"
    transport.delete(["run-1"])
    with pytest.raises(FileNotFoundError, match=r"chk-2\.manifest"):
        transport.read("chk-2.manifest")
    local = tmp_path / "local"
    local.mkdir()
    for number in range(20):
        (local / f"data-{number}").write_bytes(bytes([number]) * number)
    transport.upload(str(local), [staged(local / f"data-{number}") for number in range(20)], lambda: True)
    assert dict(transport.names()) == {"chk-1.manifest": 5} | {f"data-{n}": n for n in range(20)}
    assert sorted(transport.find(["data-7", "none", "data-3"])) == [("data-3", 3), ("data-7", 7)]
    (tmp_path / "got").mkdir()
    transport.download(["data-7", "none"], str(tmp_path / "got"))
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "got").iterdir()] == [("data-7", b"\x07" * 7)]
    with pytest.raises(StorageError, match="data-3 is not read back as it was written"):
        transport.upload(str(local), [("data-3", staged(local / "data-4")[1])], lambda: True)
    assert not [name for name, _ in transport.names() if "uploading" in name]
    transport.delete(["data-7", "none"])
    assert transport.find(["data-7"]) == []


def test_a_failing_call_is_tried_again_and_in_the_end_names_the_file(tmp_path, monkeypatch):
    calls = []

    def failing(self, name):
        calls.append(name)
        if len(calls) % 4:
            raise RuntimeError("503 Slow Down")
        return b"there"

    monkeypatch.setattr(FsspecDirectory, "read", failing)
    transport = CheckpointTransport(open_storage(f"local://{tmp_path}"))
    assert transport.read("chk-1.manifest") == b"there"
    monkeypatch.setattr(FsspecDirectory, "read", lambda self, name: 1 / 0)
    with pytest.raises(StorageError, match=f"read chk-1.manifest of local://{tmp_path}: division by zero"):
        transport.read("chk-1.manifest")


def test_a_call_that_hangs_is_given_up(tmp_path, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(FsspecDirectory, "read", lambda self, name: never.wait())
    monkeypatch.setattr(FsspecDirectory, "size", lambda self, name: never.wait())
    monkeypatch.setattr("headrace.checkpoint_storage.checkpoint_transport._SOON_S", 0.2)
    transport = CheckpointTransport(open_storage(f"local://{tmp_path}"))
    with pytest.raises(StorageError, match=rf"read chk-1.manifest of local://{tmp_path}: not done within 0\.2 s"):
        transport.read("chk-1.manifest")
    with pytest.raises(StorageError, match=rf"look into local://{tmp_path}: not done within 0\.2 s"):
        transport.find(["a", "b"])
    never.set()


def test_what_a_killed_upload_left_goes_when_it_is_old(tmp_path):
    directory = tmp_path / "job"
    directory.mkdir()
    for name in ("uploading-data-1-1-0-1.hrs-aa.tmp", "uploading-data-1-1-0-2.hrs-bb.tmp", "notes.txt"):
        (directory / name).write_text("x")
    os.utime(directory / "uploading-data-1-1-0-1.hrs-aa.tmp", (0, 0))
    os.utime(directory / "notes.txt", (0, 0))
    CheckpointTransport(open_storage(f"local://{directory}")).remove_abandoned()
    left = sorted(path.name for path in directory.iterdir())
    assert left == ["notes.txt", "uploading-data-1-1-0-2.hrs-bb.tmp"]


def test_parallel_calls_end_with_the_first_failure_a_refusal_or_the_time(tmp_path):
    calls = ParallelCalls(4)
    assert calls.run([lambda n=n: n * n for n in range(50)]) == [n * n for n in range(50)]
    begun = []

    def fail(number):
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"\d"):
        calls.run([lambda n=n: fail(n) for n in range(1000)])
    assert len(begun) <= 4
    never = threading.Event()
    with pytest.raises(headrace.JobCancelledError, match="the upload was given up"):
        calls.run([never.wait], lambda: False, what="the upload")
    with pytest.raises(StorageError, match=r"the upload: not done within 0\.2 s"):
        calls.run([never.wait], lambda: True, 0.2, "the upload")
    never.set()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nosuch://x/y", "nosuch://x/y: no storage is known for nosuch://"),
        ("s3:///x", "names no bucket"),
        ("hdfs:///x", "names no host"),
    ],
)
def test_a_uri_that_leads_nowhere_is_refused(tmp_path, uri, message):
    with pytest.raises(ValueError, match=message):
        run(uri, tmp_path / "out")


@pytest.mark.parametrize(
    ("uri", "package", "extra"),
    [
        ("s3://bucket/x", "obstore", "s3"),
        ("gs://bucket/x", "obstore", "gcs"),
        ("abfss://container@account.dfs.core.windows.net/x", "obstore", "azure"),
        ("hdfs://host:9000/x", "hdfs-native", "hdfs"),
        ("sftp://host/x", "fsspec", "fsspec"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, uri, package, extra):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError) as caught:
        run(uri, tmp_path / "out")
    assert f"needs the package {package}: pip install 'headrace[{extra}]'" in str(caught.value)


def test_an_unreachable_endpoint_is_named(tmp_path):
    options = {"s3.endpoint": "http://127.0.0.1:1", "s3.access-key": "some-access", "s3.secret-key": "some-secret"}
    with pytest.raises(StorageError, match=r"s3://bucket/path/small-[0-9a-f]{8}.*http://127\.0\.0\.1:1"):
        run("s3://bucket/path", tmp_path / "out", **options)
    with pytest.raises(StorageError, match=r"hdfs://localhost:1/x/small-[0-9a-f]{8}: .*Connection refused"):
        run("hdfs://localhost:1/x", tmp_path / "out")


def test_locations_show_no_credentials():
    location = parse_location("s3://me:hidden-word@bucket/a/b/?sig=hidden-too")
    assert location.uri == "s3://bucket/a/b"
    assert set(location.secrets) == {"me:hidden-word", "hidden-word", "sig=hidden-too", "hidden-too"}
    assert parse_location(location.full_uri) == location
    assert parse_location("abfss://box@account.dfs.core.windows.net/x").authority == "box@account.dfs.core.windows.net"
    assert parse_location("file:///tmp/x").path == "/tmp/x"
    assert [is_remote(text) for text in ("/tmp/x", "file:///x", "latest", "", "hdfs://h:1/x")] == [False] * 4 + [True]
    assert location.split() == (parse_location("s3://me:hidden-word@bucket/a?sig=hidden-too"), "b")


def test_names_that_a_program_may_use():
    assert headrace.checkpoint_storage.__all__ == ["CopiedCheckpoint", "Storage", "copy", "open_storage"]
    assert Path(headrace.checkpoint_storage.__file__).parent.name == "checkpoint_storage"
