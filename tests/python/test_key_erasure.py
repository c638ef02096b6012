"""A key is erased from stored checkpoints and from running jobs: nothing of it is left, everything else is."""

import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from headrace import (
    FailedPreconditionError,
    InvalidArgumentError,
    SourceFunction,
    Types,
    checkpoint_encryption,
    checkpoint_storage,
    read_checkpoint,
    verify_checkpoint,
)
from headrace.checkpoint_encryption import KEY_ID, rekey, set_key_provider
from headrace.checkpoint_storage.fsspec_directory import FsspecDirectory
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.process_identity import is_gone, process_identity
from headrace.checkpoints import erase_key
from headrace.command_line import main
from python.canary_job import (
    BACKENDS,
    CANARY,
    ROWS,
    Feed,
    directory_of,
    environment,
    expected_counts,
    files_with_canary,
    interrupted,
    job,
    key_of,
    resumed,
)  # fmt: skip
from python.streams import file_sink, lines_of, new_env


@pytest.fixture(autouse=True)
def no_keys():
    checkpoint_encryption.forget_keys()
    yield
    checkpoint_encryption.forget_keys()


def content(directory, without=None):
    """All rows of all checkpoints in a directory, but for those of one key."""
    rows = Counter()
    for manifest in Path(directory).glob("*.manifest"):
        operator = read_checkpoint(manifest)["remember"]
        for name, state in {**operator, "timers": operator.timers()}.items():
            for row in state.to_arrow().to_pylist():
                if row["key"] != without:
                    rows[manifest.name, name, repr(row)] += 1
    assert {name for _, name, _ in rows} == {"count", "last", "all", "by-digit", "timers"}
    return rows


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_erased_key_is_in_no_file_all_else_is_unchanged_and_the_job_resumes(tmp_path, backend_name):
    directory = interrupted(tmp_path / "chk", tmp_path, backend_name)
    assert files_with_canary(directory), "it must be seen before, or this test sees nothing"
    before = content(directory, without=CANARY)
    assert content(directory) != before
    erased = erase_key(directory, CANARY)
    assert erased.rows > 0
    assert erased.checkpoints == len(list(directory.glob("*.manifest")))
    assert files_with_canary(directory) == []
    assert content(directory) == before
    report = verify_checkpoint(directory)
    assert report.ok, str(report)
    assert report.unreferenced == []
    for manifest in directory.glob("*.manifest"):
        keys = read_checkpoint(manifest)["remember"].key_dictionary().to_arrow().to_pylist()
        assert CANARY not in {row["key"] for row in keys}
    assert erase_key(directory, CANARY) == (0, 0, 0, 0, 0)
    counts, expected = resumed(tmp_path / "chk", tmp_path, backend_name), expected_counts()
    assert counts.pop(CANARY, 0) < expected.pop(CANARY)
    assert counts.items() <= expected.items()
    assert counts, "nothing was left to do: the job went on from its end"


def test_missing_and_wrong_encryption_keys_are_named_and_nothing_changes(tmp_path):
    key = os.urandom(32)
    set_key_provider({"k1": key}.get)
    directory = interrupted(tmp_path / "chk", tmp_path, **{KEY_ID: "k1"})
    before = content(directory)
    checkpoint_encryption.forget_keys()
    with pytest.raises(FailedPreconditionError, match="key 'k1' is in none of"):
        erase_key(directory, CANARY)
    set_key_provider({"k1": os.urandom(32)}.get)
    with pytest.raises(FailedPreconditionError, match="another key named 'k1'"):
        erase_key(directory, CANARY)
    checkpoint_encryption.forget_keys()
    set_key_provider({"k1": key}.get)
    assert content(directory) == before


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_encrypted_checkpoints_stay_encrypted(tmp_path, scheme):
    set_key_provider({"k1": os.urandom(32)}.get)
    directory = interrupted(f"{scheme}{tmp_path}/chk", tmp_path, **{KEY_ID: "k1"})
    before = content(directory, without=CANARY)
    assert erase_key(f"{scheme}{directory}", CANARY).rows > 0
    assert not [path for path in directory.iterdir() if b"user-1" in path.read_bytes()]
    assert content(directory) == before
    rekey(directory, None)
    assert [path for path in directory.iterdir() if b"user-1" in path.read_bytes()]
    assert files_with_canary(directory) == []
    assert content(directory) == before


def wait_for_rows(client, rows):
    while client.metrics().get("items.rows_read", 0) < rows:
        assert not client.status().is_terminal_state()
        time.sleep(0.005)


def test_savepoint_loses_a_key_too(tmp_path):
    env = environment(tmp_path / "chk", tmp_path)
    job(env, released=1000).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    wait_for_rows(client, 1000)
    savepoint = Path(client.stop_with_savepoint(tmp_path / "savepoints").result())
    assert files_with_canary(savepoint)
    before = content(savepoint, without=CANARY)
    assert erase_key(savepoint, CANARY, operator="memory").rows > 0
    assert files_with_canary(savepoint) == []
    assert content(savepoint) == before
    assert verify_checkpoint(savepoint).ok


def test_command_erases_texts_and_other_keys_of_one_operator(tmp_path, capsys):
    directory = str(interrupted(tmp_path / "chk", tmp_path))

    def run(*arguments):
        code = main(["checkpoint", "erase-key", directory, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    assert run("user-1", "--type", "literal")[0] == 1
    assert run("1", "--type", "int") == (1, "no checkpoint has the int 1 (--type says what a key is)\n", "")
    code, _, error = run("yes", "--type", "bool")
    assert (code, error) == (1, "headrace: the key 'yes' is no bool\n")
    code, _, error = run(CANARY, "--operator", "nobody")
    assert code == 1
    assert "has no operator 'nobody'; it has" in error
    code, out, _ = run("'user-1'", "--type", "literal", "--operator", "remember")
    assert code == 0
    assert "rows erased; 3 checkpoints" in out or "rows erased; 4 checkpoints" in out
    assert run(CANARY)[0] == 0
    assert files_with_canary(directory) == []
    assert run(CANARY)[0] == 1


def test_directory_in_use_and_what_is_no_checkpoint_are_refused(tmp_path):
    env = environment(tmp_path / "chk", tmp_path)
    job(env, released=2000).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    try:
        (directory,) = (tmp_path / "chk").iterdir()
        while not any(one["completed"] for one in client.checkpoints()):
            assert not client.status().is_terminal_state()
        with pytest.raises(FailedPreconditionError, match="in use"):
            erase_key(directory, CANARY)
    finally:
        client.cancel().result()
    with pytest.raises(InvalidArgumentError, match="there is no checkpoint"):
        erase_key(tmp_path / "nothing", CANARY)
    assert list(tmp_path.glob("*")) == [tmp_path / "chk"], "nothing is written where no checkpoint is"
    with pytest.raises(InvalidArgumentError, match="key"):
        erase_key(directory, object())


# ---------------------------------------------------------------- remote checkpoints

ENDED = "ended"


def remote_of(directory):
    return f"local://{directory}"


def marker_of(directory):
    """The marker of the newest run."""
    return max(directory.glob("run-*"), key=lambda path: int(path.name.removeprefix("run-")))


@pytest.mark.parametrize("backend_name", ["hashmap", "rocksdb"])
def test_erased_key_is_in_no_remote_file_all_else_is_unchanged_and_the_job_resumes(tmp_path, backend_name):
    uri = remote_of(tmp_path / "chk")
    directory = interrupted(uri, tmp_path, backend_name)
    assert files_with_canary(directory)
    (directory / "uploading-data-1-99-0-1.hrs-aa.tmp").write_text(CANARY)  # a killed upload leaves it
    before = content(directory, without=CANARY)
    erased = erase_key(remote_of(directory), CANARY)
    assert erased.rows > 0
    assert erased.checkpoints == len(list(directory.glob("*.manifest")))
    assert files_with_canary(directory) == []
    assert content(directory) == before
    report = verify_checkpoint(remote_of(directory))
    assert report.ok, str(report)
    assert report.unreferenced == []
    assert erase_key(remote_of(directory), CANARY) == (0, 0, 0, 0, 0)
    counts, expected = resumed(uri, tmp_path, backend_name), expected_counts()
    assert counts.pop(CANARY, 0) < expected.pop(CANARY)
    assert counts.items() <= expected.items()
    assert counts, "nothing was left to do: the job went on from its end"


def test_remote_erasure_that_breaks_off_leaves_whole_checkpoints_and_is_done_again(tmp_path, monkeypatch):
    directory = interrupted(remote_of(tmp_path / "chk"), tmp_path)
    whole = shutil.copytree(directory, tmp_path / "whole")
    before = content(directory, without=CANARY)
    calls = {"left": 0}

    def counted(name):
        call = getattr(FsspecDirectory, name)

        def counting(self, *arguments):
            calls["left"] -= 1
            if calls["left"] == 0:
                raise PermissionError("the storage was taken away")
            return call(self, *arguments)

        monkeypatch.setattr(FsspecDirectory, name, counting)

    for name in ("put_file", "create", "replace", "delete"):
        counted(name)
    cuts = 0
    for cut in range(1, 100, 2):
        shutil.rmtree(directory)
        shutil.copytree(whole, directory)
        calls["left"] = cut
        failure = None
        try:
            erase_key(remote_of(directory), CANARY)
        except InvalidArgumentError as error:
            failure = str(error)
        assert verify_checkpoint(directory).ok
        assert content(directory, without=CANARY) == before
        if failure is None:
            break
        assert "the storage was taken away" in failure
        cuts += 1
        erase_key(remote_of(directory), CANARY)
        assert files_with_canary(directory) == []
        assert content(directory) == before
        assert verify_checkpoint(directory).unreferenced == []
    assert cuts >= 5, "it was not cut off in the middle"


def test_remote_savepoint_loses_a_key_by_the_command_line(tmp_path, capsys):
    env = environment(tmp_path / "chk", tmp_path)
    job(env, released=1000).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    wait_for_rows(client, 1000)
    savepoint = client.stop_with_savepoint(tmp_path / "savepoints").result()
    copy = tmp_path / "copy"
    checkpoint_storage.copy(savepoint, remote_of(copy))
    assert files_with_canary(copy)
    before = content(copy, without=CANARY)
    capsys.readouterr()
    assert main(["checkpoint", "erase-key", remote_of(copy), CANARY, "--operator", "memory"]) == 0
    assert "rows erased; 1 checkpoints and" in capsys.readouterr().out
    assert files_with_canary(copy) == []
    assert content(copy) == before
    assert main(["checkpoint", "erase-key", remote_of(copy), CANARY]) == 1
    assert main(["checkpoint", "erase-key", remote_of(tmp_path / "nothing"), CANARY]) == 1
    assert "there is no checkpoint at local://" in capsys.readouterr().err


def test_remote_directory_of_a_living_job_is_refused_and_one_of_a_dead_job_is_not(tmp_path):
    env = environment(remote_of(tmp_path / "chk"), tmp_path)
    job(env, released=2000).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    try:
        while sum(one["completed"] for one in client.checkpoints()) < 3:
            assert not client.status().is_terminal_state()
        directory = directory_of(remote_of(tmp_path / "chk"))
        with pytest.raises(
            FailedPreconditionError, match=rf"local://.* is in use: run 1 \(process {os.getpid()} on .*"
        ):
            erase_key(remote_of(directory), CANARY)
        assert not client.status().is_terminal_state()
    finally:
        client.cancel().result()
    marker = marker_of(directory)
    *lines, last = marker.read_text().splitlines()
    assert last == ENDED
    here = process_identity()
    with subprocess.Popen(["true"]) as process:
        dead = here.replace(f"process {os.getpid()} ", f"process {process.pid} ")
    elsewhere = here.replace(" on ", " on another-")
    marker.write_text("\n".join([*lines, elsewhere]) + "\n")
    with pytest.raises(FailedPreconditionError, match="process is gone for certain, say so with --job-is-gone"):
        erase_key(remote_of(directory), CANARY)
    assert files_with_canary(directory)
    marker.write_text("\n".join([*lines, dead]) + "\n")
    assert erase_key(remote_of(directory), CANARY, operator="memory").rows > 0
    assert marker_of(directory).name == "run-2"
    assert marker_of(directory).read_text().splitlines()[-1] == ENDED
    marker_of(directory).write_text("\n".join([*lines, elsewhere]) + "\n")
    assert erase_key(remote_of(directory), CANARY, job_is_gone=True).rows == 0


def test_job_that_was_said_to_be_gone_fails_at_its_next_checkpoint_and_loses_nothing(tmp_path):
    env = environment(remote_of(tmp_path / "chk"), tmp_path)
    job(env, released=2000).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    while sum(one["completed"] for one in client.checkpoints()) < 3:
        assert not client.status().is_terminal_state()
    directory = directory_of(remote_of(tmp_path / "chk"))
    client.set_checkpoint_interval(None)
    client.trigger_savepoint(tmp_path / "savepoints").result()  # no other checkpoint is being written
    erase_key(remote_of(directory), CANARY, job_is_gone=True)
    assert files_with_canary(directory) == []
    client.set_checkpoint_interval("20 ms")
    with pytest.raises(FailedPreconditionError, match="was succeeded by run 2"):
        client.result()
    assert verify_checkpoint(directory).ok
    counts = resumed(remote_of(tmp_path / "chk"), tmp_path)
    counts.pop(CANARY, None)
    assert counts.items() <= expected_counts().items()


def test_what_is_replaced_in_a_storage_is_whole_when_the_process_dies(tmp_path, monkeypatch):
    storage = open_storage(remote_of(tmp_path))
    storage.create("chk-1.manifest", b"former")

    class Died(BaseException):
        pass

    def die(*_arguments, **_options):
        raise Died

    monkeypatch.setattr(storage._fs, "mv", die)
    with pytest.raises(Died):
        storage.replace("chk-1.manifest", b"new")
    assert storage.read("chk-1.manifest") == b"former"


def test_a_process_is_gone_only_where_that_is_certain():
    here = process_identity()
    assert not is_gone(here)
    with subprocess.Popen(["true"]) as process:
        pass
    dead = here.replace(f"process {os.getpid()} ", f"process {process.pid} ")
    assert is_gone(dead)
    assert is_gone(here.rpartition(" ")[0] + " 1"), "another process has its number"
    for other in (dead.replace(" on ", " on another-"), "", ENDED, "process x on y since z"):
        assert not is_gone(other)


# ---------------------------------------------------------------- a running job


@pytest.mark.parametrize(
    ("scheme", "backend_name"), [*(("", name) for name in BACKENDS), ("local://", "hashmap"), ("local://", "rocksdb")]
)
def test_running_job_forgets_a_key_and_loses_nothing_else(tmp_path, scheme, backend_name):
    env = environment(f"{scheme}{tmp_path}/chk", tmp_path, backend_name)
    job(env, canary_until=1000, released=1500).map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out"))
    client = env.execute_async("job")
    wait_for_rows(client, 1500)  # all rows of the key are behind
    assert client.erase_key(CANARY).result().rows > 0
    Feed.released = ROWS
    client.result()
    assert [recovery["cause"] for recovery in client.recoveries()] == ["a key was to be erased"]
    assert files_with_canary(tmp_path / "chk") == []
    (directory,) = (tmp_path / "chk").iterdir()
    assert verify_checkpoint(directory).ok
    counts = {
        row["key"]: row["value"] for row in read_checkpoint(directory)["remember"]["count"].to_arrow().to_pylist()
    }
    keys = [key_of(value, 1000) for value in range(ROWS)]
    assert counts == Counter(key for key in keys if key != CANARY)
    seen = Counter()
    expected = []
    for key in keys:
        seen[key] += 1
        expected.append(str((key, seen[key])))
    assert lines_of(tmp_path / "out") == sorted(expected)


def test_rows_of_the_key_that_come_later_make_new_state(tmp_path):
    env = environment(tmp_path / "chk", tmp_path)
    job(env, released=2000).map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out"))
    client = env.execute_async("job")
    wait_for_rows(client, 2000)
    assert client.erase_key(CANARY, operator="memory").result().rows > 0
    Feed.released = ROWS
    client.result()
    counts = [int(line.split(", ")[1][:-1]) for line in lines_of(tmp_path / "out") if CANARY in line]
    assert len(counts) == expected_counts()[CANARY]
    assert counts.count(1) == 2, "it began to count anew"


class Endless(SourceFunction):
    """Has no position."""

    cancelled = False

    def run(self, ctx):
        while not self.cancelled:
            ctx.collect(1)
            time.sleep(0.001)

    def cancel(self):
        self.cancelled = True


def test_what_a_running_job_cannot_erase_is_refused(tmp_path):
    def refused(env, stream):
        stream.map(str, Types.STRING()).print()
        client = env.execute_async("job")
        try:
            with pytest.raises(KeyError, match="has no operator 'nobody'"):
                client.erase_key(CANARY, operator="nobody")
            with pytest.raises(InvalidArgumentError):
                client.erase_key(object())
            return str(client.erase_key(CANARY).exception())
        finally:
            client.cancel().result()

    env = environment(tmp_path / "chk", tmp_path)
    assert "source 'endless' cannot go back to it" in refused(env, env.add_source(Endless(), "endless").key_by(str))
    env = new_env()
    assert "set execution.checkpointing.dir" in refused(env, job(env, released=2000))


def test_ended_job_refuses(tmp_path):
    env = environment(tmp_path / "chk", tmp_path)
    job(env).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    client.result()
    with pytest.raises(FailedPreconditionError, match="the job is FINISHED; erase it from the job's checkpoints"):
        client.erase_key(CANARY).result()
