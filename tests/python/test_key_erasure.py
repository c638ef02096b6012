"""A key is erased from stored checkpoints and from running jobs: nothing of it is left, everything else is."""

import os
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
    read_checkpoint,
    verify_checkpoint,
)
from headrace.checkpoint_encryption import KEY_ID, rekey, set_key_provider
from headrace.checkpoints import erase_key
from headrace.command_line import main
from python.canary_job import (
    BACKENDS,
    CANARY,
    ROWS,
    Feed,
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


def test_encrypted_checkpoints_stay_encrypted(tmp_path):
    set_key_provider({"k1": os.urandom(32)}.get)
    directory = interrupted(tmp_path / "chk", tmp_path, **{KEY_ID: "k1"})
    before = content(directory, without=CANARY)
    assert erase_key(directory, CANARY).rows > 0
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


# ---------------------------------------------------------------- a running job


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_running_job_forgets_a_key_and_loses_nothing_else(tmp_path, backend_name):
    env = environment(tmp_path / "chk", tmp_path, backend_name)
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
    env = environment(f"local://{tmp_path}/remote", tmp_path)
    assert "only where its checkpoints are in a local directory, not in local://" in refused(
        env, job(env, released=2000)
    )


def test_ended_job_refuses(tmp_path):
    env = environment(tmp_path / "chk", tmp_path)
    job(env).map(str, Types.STRING()).print()
    client = env.execute_async("job")
    client.result()
    with pytest.raises(FailedPreconditionError, match="the job is FINISHED; erase it from the job's checkpoints"):
        client.erase_key(CANARY).result()
