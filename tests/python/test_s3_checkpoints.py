"""Checkpoints in a real S3 server; what is there is looked at through another library."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.fs
import pytest

import headrace
from headrace import Configuration, StorageError, command_line
from headrace.checkpoint_encryption import KEY_ID, forget_keys, set_key_provider
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoints import erase_key
from python.canary_job import CANARY, expected_counts, interrupted, resumed
from python.programs.remote_job import expected_lines
from python.streams import checkpointed_env, collect, lines_of
from services.job_life import JobLife
from services.s3_server import (
    ACCESS_KEY,
    SECRET_KEY,
    WRITER_ACCESS_KEY,
    WRITER_SECRET_KEY,
    S3Server,
)  # fmt: skip
from services.staged_file import staged

pytestmark = pytest.mark.services
ROWS = 2500


@pytest.fixture(scope="module")
def server():
    with S3Server() as server:
        server.second_client().create_dir("headrace-tests")
        yield server


@pytest.fixture
def uri(request):
    return f"s3://headrace-tests/{request.node.name.replace('[', '-').replace(']', '')}"


def configuration(server, uri, **more):
    return {
        "execution.checkpointing.interval": "100 ms",
        "execution.checkpointing.dir": uri,
        "execution.state-recovery.path": "latest",
        "execution.checkpointing.tolerable-failed-checkpoints": 1000,
        **server.configuration(),
        **more,
    }


def seen_by_another(server, uri):
    """Names and lengths below a URI."""
    files = server.second_client()
    selector = pyarrow.fs.FileSelector(uri.removeprefix("s3://"), recursive=True, allow_not_found=True)
    found = files.get_file_info(selector)
    return {info.base_name: info.size for info in found if info.type == pyarrow.fs.FileType.File}


def whole_manifests(server, uri):
    """Manifests whose files are all there with the length they say, as another client reads them."""
    files = server.second_client()
    selector = pyarrow.fs.FileSelector(uri.removeprefix("s3://"), recursive=True, allow_not_found=True)
    names = seen_by_another(server, uri)
    found = []
    for info in files.get_file_info(selector):
        if info.base_name.endswith(".manifest"):
            with files.open_input_stream(info.path) as stream:
                _, _, data = headrace._core.manifest_files(stream.read(), info.path)
            assert {name: names.get(name) for name, _, _ in data} == {name: size for name, size, _ in data}, info.path
            found.append(info.base_name)
    return sorted(found)


def test_a_killed_job_resumes_from_s3(server, uri, tmp_path):
    life = (configuration(server, uri), tmp_path / "out", ROWS)
    with JobLife(*life, rate=1000.0) as first:
        first.wait_for("checkpoint", count=5)
        first.kill()
    assert whole_manifests(server, uri)
    names = seen_by_another(server, uri)
    assert {name.split("-")[0] for name in names} == {"chk", "data", "run"}
    with JobLife(*life, parallelism=3) as second:
        lines, _ = second.end()
    assert any(line.startswith("message resumed from checkpoint") for line in lines), lines
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    assert len(whole_manifests(server, uri)) == 2


def test_a_server_killed_under_a_job_costs_checkpoints_and_nothing_else(server, uri, tmp_path):
    with JobLife(configuration(server, uri), tmp_path / "out", ROWS, rate=400.0) as job:
        job.wait_for("checkpoint", count=2)
        server.kill()
        failed = job.wait_for("failed")
        server.start()
        job.wait_for("checkpoint")
        lines, _ = job.end()
    assert f"{uri}/" in failed
    assert lines[-1] == "finished 0"
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    assert len(whole_manifests(server, uri)) == 2


def test_a_failed_checkpoint_fails_the_job_where_none_is_tolerated(server, uri, tmp_path):
    options = configuration(server, uri, **{"execution.checkpointing.tolerable-failed-checkpoints": 0})
    life = (options, tmp_path / "out", ROWS)
    with JobLife(*life, rate=400.0) as job:
        job.wait_for("checkpoint", count=2)
        server.kill()
        lines, _ = job.end()
    server.start()
    assert lines[-1].startswith("error StorageError"), lines[-3:]
    assert uri in lines[-1]
    assert whole_manifests(server, uri)
    with JobLife(*life) as again:
        again.end()
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)


def test_a_job_that_may_restart_goes_on_when_the_server_is_back(server, uri, tmp_path):
    options = configuration(server, uri, **{"execution.checkpointing.tolerable-failed-checkpoints": 0})
    with JobLife(options, tmp_path / "out", ROWS, rate=400.0, restarts=100) as job:
        job.wait_for("checkpoint", count=2)
        server.kill()
        job.wait_for("failed")
        server.start()
        lines, _ = job.end()
    assert lines[-1].startswith("finished ")
    assert int(lines[-1].split()[1]) >= 1
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)


def test_a_file_of_many_parts_is_never_half_visible(server, uri, tmp_path):
    (tmp_path / "data-1-1-0-1.hrs").write_bytes(bytes(range(256)) * (120 << 12))  # 120 MiB
    transport = CheckpointTransport(open_storage(uri, Configuration.from_dict(server.configuration())), timeout_s=60)
    asked = []

    def stop_the_server():
        asked.append(None)
        if len(asked) == 2:  # a tenth of a second into the upload
            server.kill()
        return True

    with pytest.raises(StorageError, match=r"upload data-1-1-0-1\.hrs to s3://"):
        transport.upload(str(tmp_path), [staged(tmp_path / "data-1-1-0-1.hrs")], stop_the_server)
    server.start()
    assert seen_by_another(server, uri) == {}
    transport.upload(str(tmp_path), [staged(tmp_path / "data-1-1-0-1.hrs")], lambda: True)
    assert seen_by_another(server, uri) == {"data-1-1-0-1.hrs": 120 << 20}


def test_a_file_that_is_not_read_back_as_it_was_written_does_not_appear(server, uri, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.checkpoint_storage.checkpoint_transport._DELAYS_S", ())
    transport = CheckpointTransport(open_storage(uri, Configuration.from_dict(server.configuration())))
    for name, size in (("small", 5000), ("large", 20 << 20)):
        (tmp_path / name).write_bytes(bytes(size))
        _, digest = staged(tmp_path / name)
        with (tmp_path / name).open("r+b") as file:
            file.seek(size // 2)
            file.write(b"x")
        with pytest.raises(StorageError, match=f"{name} is not read back as it was written"):
            transport.upload(str(tmp_path), [(name, digest)], lambda: True)
    assert seen_by_another(server, uri) == {}


def test_damage_of_an_object_is_refused_by_its_name(server, uri, tmp_path):
    life = (configuration(server, uri), tmp_path / "out", 300)
    with JobLife(*life) as job:
        assert job.end()[0][-1] == "finished 0"
    files = server.second_client()
    found = files.get_file_info(pyarrow.fs.FileSelector(uri.removeprefix("s3://"), recursive=True))
    path = next(info.path for info in found if info.base_name.startswith("data-"))
    with files.open_input_stream(path) as stream:
        content = bytearray(stream.read())
    content[len(content) // 2] ^= 1
    with files.open_output_stream(path) as stream:
        stream.write(content)
    with JobLife(*life) as job:
        lines, _ = job.end()
    assert lines[-1].startswith("error CorruptionError"), lines
    assert f"s3://{path}" in lines[-1]


def test_a_checkpoint_is_copied_between_s3_and_a_disk(server, uri, tmp_path):
    options = Configuration.from_dict(server.configuration())
    env = checkpointed_env(tmp_path / "plain")
    assert collect(env.from_sequence(1, 4).key_by(lambda n: 0).reduce(lambda a, b: a + b))[-1] == 10
    (plain,) = (tmp_path / "plain").iterdir()
    there = headrace.checkpoint_storage.copy(plain, uri, configuration=options)
    assert there.path.startswith(f"{uri}/chk-")
    assert sum(seen_by_another(server, uri).values()) == there.size_bytes
    back = headrace.checkpoint_storage.copy(there.path, tmp_path / "back", configuration=options)
    assert headrace.verify_checkpoint(back.path).ok
    assert len(whole_manifests(server, uri)) == 1


def test_checkpoints_in_s3_are_looked_at_by_uri(server, uri, tmp_path, monkeypatch, capsys):
    options = Configuration.from_dict(server.configuration())
    env = checkpointed_env(tmp_path / "plain")
    assert collect(env.from_sequence(1, 4).key_by(lambda n: 0).reduce(lambda a, b: a + b).uid("sum"))[-1] == 10
    (plain,) = (tmp_path / "plain").iterdir()
    headrace.checkpoint_storage.copy(plain, uri, configuration=options)
    by_uri, by_path = headrace.read_checkpoint(uri, configuration=options), headrace.read_checkpoint(plain)
    (state,) = by_path["sum"]
    assert by_uri["sum"][state].to_arrow() == by_path["sum"][state].to_arrow()
    assert headrace.verify_checkpoint(uri, configuration=options).bytes_read == sum(
        seen_by_another(server, uri).values()
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    for command in (
        ["list", uri],
        ["show", uri, "sum", state],
        ["verify", uri],
        ["diff", uri, str(plain)],
        ["export", uri, "sum", state, str(tmp_path / "sum.csv")],
    ):
        assert command_line.main(["checkpoint", *command]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert f"{uri}/chk-" in shown
    assert "headrace-staging" not in shown


def test_nothing_of_an_encrypted_job_can_be_read_in_s3_and_it_resumes(server, uri, tmp_path):
    key = os.urandom(32)
    settings = {**server.configuration(), KEY_ID: "k1"}
    try:
        set_key_provider({"k1": key}.get)
        interrupted(uri, tmp_path, **settings)
        files = server.second_client()
        selector = pyarrow.fs.FileSelector(uri.removeprefix("s3://"), recursive=True)
        objects = [one.path for one in files.get_file_info(selector) if one.type == pyarrow.fs.FileType.File]
        assert sum(path.endswith(".hrs") for path in objects) >= 2
        for path in objects:
            with files.open_input_stream(path) as stream:
                assert CANARY.encode() not in stream.read()
        forget_keys()
        set_key_provider({"k1": os.urandom(32)}.get)
        with pytest.raises(headrace.FailedPreconditionError, match="encrypted with another key named 'k1'"):
            resumed(uri, tmp_path, **settings)
        forget_keys()
        set_key_provider({"k1": key}.get)
        counts = resumed(uri, tmp_path, **settings)
        assert counts
        assert counts.items() <= expected_counts().items()
    finally:
        forget_keys()


def test_a_key_is_erased_from_checkpoints_in_s3_and_from_a_job_that_was_killed(server, uri, tmp_path):
    options = Configuration.from_dict(server.configuration())
    interrupted(uri, tmp_path, **server.configuration())
    assert erase_key(f"{uri}/{headrace._core.sanitize_name('job')}", CANARY, configuration=options).rows > 0
    files = server.second_client()
    for info in files.get_file_info(pyarrow.fs.FileSelector(uri.removeprefix("s3://"), recursive=True)):
        if info.type == pyarrow.fs.FileType.File:
            with files.open_input_stream(info.path) as stream:
                assert CANARY.encode() not in stream.read()
    assert len(whole_manifests(server, uri)) >= 3
    counts = resumed(uri, tmp_path, **server.configuration())
    counts.pop(CANARY, None)
    assert counts
    assert counts.items() <= expected_counts().items()

    killed = f"{uri}-killed"
    there = f"{killed}/{headrace._core.sanitize_name('remote job')}"
    with JobLife(configuration(server, killed), tmp_path / "out", ROWS, rate=250.0) as alive:
        alive.wait_for("checkpoint", count=2)
        with pytest.raises(headrace.FailedPreconditionError, match=rf"{there} is in use: run 1 \(process "):
            erase_key(there, 3, configuration=options)
        alive.kill()
    assert erase_key(there, 3, configuration=options).rows > 0
    assert whole_manifests(server, killed)
    totals = headrace.read_checkpoint(there, configuration=options)["sums"]["sum"].to_arrow()
    assert sorted(totals["key"].to_pylist()) == [0, 1, 2, 4, 5, 6]


def test_files_in_s3_are_read_by_name_directory_and_glob(server, uri):
    files = server.second_client()
    for name, text in {"a.txt": "1\n2\n", "b.txt": "3", "c.csv": "n\n4\n", "_skip": "x"}.items():
        with files.open_output_stream(f"{uri.removeprefix('s3://')}/{name}") as stream:
            stream.write(text.encode())

    def lines(path):
        env = headrace.StreamExecutionEnvironment.get_execution_environment(
            Configuration.from_dict(server.configuration())
        )
        return sorted(collect(env.read_text_file(path)))

    assert lines(f"{uri}/a.txt") == ["1", "2"]
    assert lines(uri) == ["1", "2", "3", "4", "n"]
    assert lines(f"{uri}/*.txt") == ["1", "2", "3"]
    with pytest.raises(FileNotFoundError, match=uri):
        lines(f"{uri}/none.txt")
    env = headrace.StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(server.configuration()))
    assert [row.n for row in collect(env.read_csv(f"{uri}/c.csv"))] == [4]


@pytest.mark.parametrize(
    ("options", "uri", "message"),
    [
        ({"s3.secret-key": "canary-wrong-secret"}, "s3://headrace-tests/x", "access was denied; check s3.access-key"),
        ({"s3.access-key": "canary-wrong-access"}, "s3://headrace-tests/x", "access was denied; check s3.access-key"),
        (
            {"s3.access-key": WRITER_ACCESS_KEY, "s3.secret-key": WRITER_SECRET_KEY},
            "s3://no-such-bucket/x",
            "there is no bucket 'no-such-bucket'",
        ),
    ],
)
def test_a_wrong_key_or_bucket_is_named_and_no_credential_shown(server, tmp_path, options, uri, message):
    with JobLife(configuration(server, uri, **options), tmp_path / "out", 300) as job:
        lines, errors = job.end()
    assert lines[-1].startswith("error InvalidArgumentError"), lines
    assert message in lines[-1]
    for secret in ("canary", SECRET_KEY, ACCESS_KEY, WRITER_ACCESS_KEY, WRITER_SECRET_KEY):
        assert secret not in "\n".join(lines) + errors


def test_a_server_that_hangs_does_not_hang_a_cancelled_job(server, uri, tmp_path):
    options = configuration(server, uri)
    with JobLife(options, tmp_path / "out", 10**7, rate=1000.0) as job:
        job.wait_for("checkpoint")
        server.signal(signal.SIGSTOP)
        try:
            seconds, code = job.interrupt()
        finally:
            server.signal(signal.SIGCONT)
    assert seconds < 10
    assert code == -signal.SIGINT  # as Python leaves after an interrupt: nothing crashed


def test_an_upload_takes_bounded_memory(server, uri, tmp_path):
    program = (
        "import sys, json, resource\n"
        "from pathlib import Path\n"
        "from headrace import Configuration\n"
        "from services.staged_file import staged\n"
        "from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport\n"
        "from headrace.checkpoint_storage.opening import open_storage\n"
        "uri, directory, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])\n"
        "transport = CheckpointTransport(open_storage(uri, Configuration.from_dict(options)))\n"
        "transport.upload(directory, [staged(Path(directory, 'small'))], lambda: True)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "transport.upload(directory, [staged(Path(directory, name)) for name in ('large-1', 'large-2')], lambda: True)\n"
        "transport.download(['large-1', 'large-2'], directory)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)\n"
    )
    (tmp_path / "small").write_bytes(b"x")
    for name in ("large-1", "large-2"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(96 << 20)
    done = subprocess.run(
        [sys.executable, "-c", program, uri, str(tmp_path), json.dumps(server.configuration())],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 96  # MiB, of 192
