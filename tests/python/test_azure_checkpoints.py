"""Checkpoints in Azure Blob Storage, as Azurite emulates it; what is there is looked at through another library."""

import pyarrow.fs
import pytest

import headrace
from headrace import Configuration
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.opening import open_storage
from python.programs.remote_job import expected_lines
from python.streams import lines_of
from services.azure_emulator import ACCOUNT_KEY, AzureEmulator
from services.job_life import JobLife
from services.staged_file import staged

pytestmark = pytest.mark.services
ROWS = 4000


@pytest.fixture(scope="module")
def emulator():
    with AzureEmulator() as emulator:
        emulator.second_client().create_dir("box")
        yield emulator


def seen_by_another(emulator, path):
    selector = pyarrow.fs.FileSelector(path, recursive=True, allow_not_found=True)
    found = emulator.second_client().get_file_info(selector)
    return {info.base_name: info.size for info in found if info.type == pyarrow.fs.FileType.File}


def test_a_killed_job_resumes_from_azure(emulator, tmp_path):
    options = {
        "execution.checkpointing.interval": "100 ms",
        "execution.checkpointing.dir": "az://box/checkpoints",
        "execution.state-recovery.path": "latest",
        **emulator.configuration(),
    }
    with JobLife(options, tmp_path / "out", ROWS, rate=2000.0) as first:
        first.wait_for("checkpoint", count=3)
        first.kill()
    assert {name.split("-")[0] for name in seen_by_another(emulator, "box/checkpoints")} == {"chk", "data", "run"}
    options["execution.checkpointing.dir"] = "abfss://box@headrace.dfs.core.windows.net/checkpoints"
    with JobLife(options, tmp_path / "out", ROWS, parallelism=2) as second:
        lines, _ = second.end()
    assert any(line.startswith("message resumed from checkpoint") for line in lines), lines
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    copied = headrace.checkpoint_storage.copy(
        f"az://box/checkpoints/{headrace._core.sanitize_name('remote job')}", tmp_path / "copy",
        configuration=Configuration.from_dict(options),
    )  # fmt: skip
    assert headrace.verify_checkpoint(copied.path).ok


def test_a_name_is_created_once_and_a_large_file_appears_whole(emulator, tmp_path):
    transport = CheckpointTransport(open_storage("az://box/files", Configuration.from_dict(emulator.configuration())))
    transport.create("chk-1.manifest", b"first")
    with pytest.raises(FileExistsError, match="az://box/files"):
        transport.create("chk-1.manifest", b"second")
    assert transport.read("chk-1.manifest") == b"first"
    transport.replace("run-1", b"one")
    transport.replace("run-1", b"two")
    assert transport.read("run-1") == b"two"
    transport.delete(["run-1"])
    (tmp_path / "data").write_bytes(bytes(20 << 20))
    transport.upload(str(tmp_path), [staged(tmp_path / "data")], lambda: True)
    assert seen_by_another(emulator, "box/files") == {"chk-1.manifest": 5, "data": 20 << 20}
    transport.delete(["data", "none"])
    assert transport.names() == [("chk-1.manifest", 5)]


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("az://none/x", {}, "there is no bucket 'none'"),
        (
            "az://box/x",
            {"azure.account-key": "Y2FuYXJ5LXdyb25nLWtleQ=="},
            "access was denied; check azure.account-name",
        ),
    ],
)
def test_a_wrong_container_or_key_is_named(emulator, uri, options, message):
    configuration = Configuration.from_dict({**emulator.configuration(), **options})
    with pytest.raises(headrace.InvalidArgumentError) as caught:
        CheckpointTransport(open_storage(uri, configuration)).names()
    assert message in str(caught.value)
    assert ACCOUNT_KEY not in str(caught.value)
