"""Checkpoint directories that cannot be used, and checkpoints that are damaged, foreign or of a newer version."""

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    HeadraceError,
    StorageError,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    read_checkpoint,
)
from headrace.datastream import KeyedProcessFunction
from python.streams import checkpointed_env, file_sink, lines_of

RECORDS = 400


class Keep(KeyedProcessFunction):
    """Its state grows with every record."""

    def open(self, runtime_context):
        self.kept = runtime_context.get_state(ValueStateDescriptor("kept", Types.STRING()))

    def process_element(self, value, ctx):
        self.kept.update(random.Random(value).randbytes(300).hex())  # compresses to no less than 300 bytes
        yield value


def program(env, out, rows_per_second=0, uid="keep"):
    numbers = env.from_collection(range(RECORDS), rows_per_second=rows_per_second).uid("numbers")
    numbers.key_by(lambda n: n).process(Keep()).uid(uid).sink_to(file_sink(out)).uid("files")
    return env


def env_from(path, directory):
    return StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.interval": "20 ms", "execution.checkpointing.dir": str(directory),
            "execution.state-recovery.path": str(path),
        })
    )  # fmt: skip


def finished_job(tmp_path, name="job"):
    """Runs the program to its end; the path of its last manifest."""
    program(checkpointed_env(tmp_path / "chk"), tmp_path / "out").execute(name)
    return max((tmp_path / "chk").rglob("chk-*.manifest"))


def test_checkpoint_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "chk").write_text("not a directory")
    with pytest.raises(StorageError, match=r"chk.*(Not a directory|File exists)"):
        program(checkpointed_env(tmp_path / "chk"), tmp_path / "out").execute()


def test_output_directory_that_is_a_file_is_named_with_its_operator(tmp_path):
    (tmp_path / "out").write_text("not a directory")
    env = program(checkpointed_env(tmp_path / "chk"), tmp_path / "out")
    env.configure(Configuration.from_dict({"restart-strategy.type": "none"}))
    with pytest.raises(StorageError, match=r"operator 'FileSink' .*/out.*(Not a directory|File exists)"):
        env.execute()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from python.streams import checkpointed_env
from python.test_bad_disks import program
from headrace import Configuration

# Files of more than a few pages cannot be written, as on a full disk; small ones and the output can.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 10, 16 << 10))
env = program(checkpointed_env(Path(sys.argv[1]) / "chk", interval="20 ms"), Path(sys.argv[1]) / "out", rows_per_second=400)
env.configure(Configuration.from_dict({"restart-strategy.type": "none"}))
env.execute("full")
"""


def test_full_checkpoint_disk_fails_by_name_and_committed_output_stays(tmp_path):
    tests = Path(__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], env={**os.environ, "PYTHONPATH": str(tests)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert "checkpoint" in last
    assert str(tmp_path / "chk") in last
    assert "File too large" in last
    committed = sorted(map(int, lines_of(tmp_path / "out")))
    assert committed == list(range(len(committed)))
    assert 0 < len(committed) < RECORDS
    # With room again the job goes on where its last checkpoint was.
    result = program(checkpointed_env(tmp_path / "chk", resume=True), tmp_path / "out").execute("full")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(RECORDS))


def test_checkpoint_directory_that_goes_away_fails_by_name_and_committed_output_stays(tmp_path):
    env = program(checkpointed_env(tmp_path / "chk", interval="20 ms"), tmp_path / "out", rows_per_second=400)
    env.configure(Configuration.from_dict({"restart-strategy.type": "none"}))
    client = env.execute_async("gone")
    while not lines_of(tmp_path / "out"):
        assert not client.status().is_terminal_state()
    (tmp_path / "chk").rename(tmp_path / "gone")  # at once: the job goes on writing
    with pytest.raises(HeadraceError, match=r"checkpoint \d+.*/chk/.*No such file or directory"):
        client.result()
    committed = sorted(map(int, lines_of(tmp_path / "out")))
    assert committed == list(range(len(committed)))
    assert committed


def test_directory_is_free_when_its_job_has_ended_even_if_its_client_is_kept(tmp_path):
    client = program(checkpointed_env(tmp_path / "chk"), tmp_path / "out").execute_async("kept")
    client.result()
    again = program(checkpointed_env(tmp_path / "chk", resume=True), tmp_path / "out").execute("kept")
    assert any("had finished" in message for message in again.messages)
    assert client.result().metrics["Collection.rows_read"] == RECORDS


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_checkpoint_of_a_newer_version_names_file_and_both_versions(tmp_path):
    manifest = finished_job(tmp_path)
    # The header: 8 bytes magic, 4 bytes version, ..., the CRC-32C of its first 28 bytes.
    newer = bytearray(manifest.read_bytes())
    version = int.from_bytes(newer[8:12], "little")
    newer[8:12] = (version + 7).to_bytes(4, "little")
    newer[28:32] = crc32c(newer[:28]).to_bytes(4, "little")
    manifest.write_bytes(newer)
    with pytest.raises(
        HeadraceError, match=rf"{manifest.name} .*version {version + 7}; this build reads .*{version}: use a newer"
    ):
        program(env_from(manifest, tmp_path / "chk2"), tmp_path / "out").execute()


def test_file_that_is_no_checkpoint_is_told_from_a_damaged_one(tmp_path):
    foreign = tmp_path / "chk-1.manifest"
    foreign.write_text("PNG and what else a file may hold\n" * 20)
    with pytest.raises(HeadraceError, match=r"chk-1\.manifest, offset 0: not a headrace checkpoint manifest"):
        program(env_from(foreign, tmp_path / "chk"), tmp_path / "out").execute()


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_damaged_data_file_is_named_and_committed_output_stays(tmp_path, damage):
    env = program(checkpointed_env(tmp_path / "chk", interval="20 ms"), tmp_path / "out", rows_per_second=1000)
    client = env.execute_async("damaged")
    while client.metrics()["job.checkpoints_completed"] < 3 or not lines_of(tmp_path / "out"):
        assert not client.status().is_terminal_state()
    client.cancel().result()
    committed = lines_of(tmp_path / "out")
    # Of the newest checkpoint: a write that the cancelled job had begun may have left larger ones that belong to none.
    (directory,) = (tmp_path / "chk").iterdir()
    data = max((directory / name for name in read_checkpoint(directory).files), key=lambda p: p.stat().st_size)
    whole = data.read_bytes()
    if damage == "missing":
        data.unlink()
    else:
        middle = len(whole) // 2
        data.write_bytes(
            whole[:middle] if damage == "cut" else whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        )
    with pytest.raises(HeadraceError, match=data.name):
        program(checkpointed_env(tmp_path / "chk", resume=True), tmp_path / "out").execute("damaged")
    assert lines_of(tmp_path / "out") == committed


def test_limits_of_this_process_are_as_they_were():
    # The test of the full disk sets its limit in a process of its own.
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
