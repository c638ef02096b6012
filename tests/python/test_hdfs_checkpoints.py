"""Checkpoints in a real HDFS; what is there is looked at through the NameNode's web API."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import headrace
from headrace import Configuration, StorageError, StreamExecutionEnvironment, Types
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoints import erase_key
from headrace.examples import doc003_rocksdb_hdfs
from python.canary_job import CANARY, expected_counts, interrupted, resumed
from python.programs.remote_job import expected_lines
from python.streams import checkpointed_env, collect, file_sink, lines_of
from services.hdfs_cluster import HdfsCluster
from services.job_life import JobLife
from services.staged_file import staged

pytestmark = pytest.mark.services
ROWS = 2500
TESTS = Path(__file__).parents[1]
JOB = "/" + headrace._core.sanitize_name("remote job")


@pytest.fixture(scope="module")
def cluster():
    with HdfsCluster() as cluster:
        yield cluster


@pytest.fixture
def path(request):
    return f"/flink/{request.node.name}"


def configuration(uri, **more):
    return {
        "execution.checkpointing.interval": "100 ms",
        # A server that is killed in the middle of a call: the client library would try it again for minutes.
        "execution.checkpointing.timeout": "15 s",
        "execution.checkpointing.dir": uri,
        "execution.state-recovery.path": "latest",
        "execution.checkpointing.tolerable-failed-checkpoints": 1000,
        **more,
    }


def whole_manifests(cluster, path):
    """Manifests whose files are all there with the length they say."""
    names = cluster.listing(path)
    found = []
    for name in names:
        if name.endswith(".manifest"):
            _, _, files = headrace._core.manifest_files(cluster.read(f"{path}/{name}"), name)
            assert {file: names.get(file) for file, _, _ in files} == {file: size for file, size, _ in files}, name
            found.append(name)
    return sorted(found)


def test_a_killed_job_resumes_from_hdfs(cluster, path, tmp_path):
    life = (configuration(cluster.uri + path), tmp_path / "out", ROWS)
    with JobLife(*life, rate=500.0) as first:
        first.wait_for("checkpoint", count=2)
        first.kill()
    assert whole_manifests(cluster, path + JOB)
    assert {name.split("-")[0] for name in cluster.listing(path + JOB)} == {"chk", "data", "run"}
    with JobLife(*life, parallelism=3) as second:
        lines, _ = second.end()
    assert any(line.startswith("message resumed from checkpoint") for line in lines), lines
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    assert len(whole_manifests(cluster, path + JOB)) == 2


def test_a_data_node_killed_under_a_job_costs_checkpoints_and_nothing_else(cluster, path, tmp_path):
    with JobLife(configuration(cluster.uri + path), tmp_path / "out", ROWS, rate=250.0) as job:
        job.wait_for("checkpoint")
        cluster.kill_data_node()
        failed = job.wait_for("failed")
        cluster.start_data_node()
        job.wait_for("checkpoint")
        lines, _ = job.end()
    assert f"{cluster.uri}{path}{JOB}" in failed
    assert lines[-1] == "finished 0"
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    assert len(whole_manifests(cluster, path + JOB)) == 2


def test_a_name_node_killed_under_a_job_costs_checkpoints_and_nothing_else(cluster, path, tmp_path):
    with JobLife(configuration(cluster.uri + path), tmp_path / "out", ROWS, rate=250.0) as job:
        job.wait_for("checkpoint")
        cluster.kill_name_node()
        job.wait_for("failed")
        cluster.start_name_node()
        job.wait_for("checkpoint")
        lines, _ = job.end()
    assert lines[-1] == "finished 0"
    assert lines_of(tmp_path / "out") == expected_lines(ROWS)
    assert len(whole_manifests(cluster, path + JOB)) == 2


def test_a_file_of_many_blocks_is_never_half_visible(cluster, path, tmp_path):
    (tmp_path / "data-1-1-0-1.hrs").write_bytes(bytes(range(256)) * (120 << 12))  # 120 MiB
    transport = CheckpointTransport(open_storage(cluster.uri + path), timeout_s=20)
    asked = []

    def stop_the_data_node():
        asked.append(None)
        if len(asked) == 2:  # a tenth of a second into the upload
            cluster.kill_data_node()
        return True

    with pytest.raises(StorageError, match=f"upload.* {cluster.uri}{path}"):
        transport.upload(str(tmp_path), [staged(tmp_path / "data-1-1-0-1.hrs")], stop_the_data_node)
    assert cluster.listing(path) == {}
    cluster.start_data_node()
    transport.upload(str(tmp_path), [staged(tmp_path / "data-1-1-0-1.hrs")], lambda: True)
    assert cluster.listing(path) == {"data-1-1-0-1.hrs": 120 << 20}


def test_a_file_that_is_not_read_back_as_it_was_written_does_not_appear(cluster, path, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.checkpoint_storage.checkpoint_transport._DELAYS_S", ())
    transport = CheckpointTransport(open_storage(cluster.uri + path))
    for name, size in (("small", 5000), ("large", 20 << 20)):
        (tmp_path / name).write_bytes(bytes(size))
        _, digest = staged(tmp_path / name)
        with (tmp_path / name).open("r+b") as file:
            file.seek(size // 2)
            file.write(b"x")
        with pytest.raises(StorageError, match=f"{name} is not read back as it was written"):
            transport.upload(str(tmp_path), [(name, digest)], lambda: True)
    assert cluster.listing(path) == {}


def test_damage_of_a_file_is_refused_by_its_name(cluster, path, tmp_path):
    life = (configuration(cluster.uri + path), tmp_path / "out", 300)
    with JobLife(*life) as job:
        assert job.end()[0][-1] == "finished 0"
    name = next(name for name in cluster.listing(path + JOB) if name.startswith("data-"))
    content = bytearray(cluster.read(f"{path}{JOB}/{name}"))
    content[len(content) // 2] ^= 1
    cluster.write(f"{path}{JOB}/{name}", bytes(content))
    with JobLife(*life) as job:
        lines, _ = job.end()
    assert lines[-1].startswith("error CorruptionError"), lines
    assert f"{cluster.uri}{path}{JOB}/{name}" in lines[-1]


def test_a_checkpoint_is_copied_between_hdfs_and_a_disk(cluster, path, tmp_path):
    env = checkpointed_env(tmp_path / "plain")
    assert collect(env.from_sequence(1, 4).key_by(lambda n: 0).reduce(lambda a, b: a + b).uid("sum"))[-1] == 10
    (plain,) = (tmp_path / "plain").iterdir()
    there = headrace.checkpoint_storage.copy(plain, cluster.uri + path)
    assert sum(cluster.listing(path).values()) == there.size_bytes
    assert headrace.verify_checkpoint(cluster.uri + path).bytes_read == there.size_bytes
    (listed,) = headrace.checkpoints.list_checkpoints(cluster.uri + path)
    assert (listed.problem, listed.path) == (None, there.path)
    (state,) = headrace.read_checkpoint(there.path)["sum"].values()
    assert state.to_arrow().num_rows == 1
    back = headrace.checkpoint_storage.copy(cluster.uri + path, tmp_path / "back")
    assert headrace.verify_checkpoint(back.path).ok
    assert len(whole_manifests(cluster, path)) == 1


def test_a_key_is_erased_from_checkpoints_in_hdfs_and_the_job_resumes(cluster, path, tmp_path):
    interrupted(cluster.uri + path, tmp_path)
    there = f"{path}/{headrace._core.sanitize_name('job')}"
    shown = [name for name in cluster.listing(there) if CANARY.encode() in cluster.read(f"{there}/{name}")]
    assert shown
    assert erase_key(cluster.uri + there, CANARY).rows > 0
    assert not [name for name in cluster.listing(there) if CANARY.encode() in cluster.read(f"{there}/{name}")]
    assert len(whole_manifests(cluster, there)) >= 3
    counts = resumed(cluster.uri + path, tmp_path)
    counts.pop(CANARY, None)
    assert counts
    assert counts.items() <= expected_counts().items()


def test_text_in_hdfs_is_read_by_name_and_by_directory(cluster, path):
    cluster.write(f"{path}/a", b"1\n2\n")
    cluster.write(f"{path}/b", b"3\n")
    for uri, expected in ((f"{path}/a", ["1", "2"]), (path, ["1", "2", "3"]), (f"{path}/[b]", ["3"])):
        env = StreamExecutionEnvironment.get_execution_environment(Configuration())
        assert sorted(collect(env.read_text_file(cluster.uri + uri))) == expected


def _run_document_003(name_node, output, rows_per_second, keyed):
    """One run in this process; also the body of the killed child."""
    env = doc003_rocksdb_hdfs.environment(name_node, "100 ms")
    lengths = doc003_rocksdb_hdfs.build(env, name_node, rows_per_second, keyed)
    lengths.map(str, Types.STRING()).sink_to(file_sink(Path(output))).uid("out")
    return env.execute(f"document 003, keyed {keyed}")


@pytest.mark.parametrize("keyed", [False, True])
def test_document_003_is_killed_and_resumed(cluster, tmp_path, keyed):
    texts = [["x" * (7 * n % 23 + 1) for n in range(part * 500, part * 500 + 500)] for part in range(2)]
    for part, lines in enumerate(texts):
        cluster.write(f"/flink/input/part-{part}", "".join(f"{line}\n" for line in lines).encode())
    arguments = (cluster.uri, str(tmp_path / "out"), 400, keyed)
    code = f"from python.test_hdfs_checkpoints import _run_document_003 as run; run(*{arguments!r})"
    directory = f"/flink/checkpoints/{headrace._core.sanitize_name(f'document 003, keyed {keyed}')}"
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(TESTS)})
    while not any(name.endswith(".manifest") for name in cluster.listing(directory)):
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    result = _run_document_003(cluster.uri, tmp_path / "out", 0, keyed)
    assert any(message.startswith("resumed from checkpoint") for message in result.messages), result.messages
    assert lines_of(tmp_path / "out") == sorted(str(len(line)) for lines in texts for line in lines)
    assert whole_manifests(cluster, directory)


def test_document_003_prints_lengths_and_logs_what_happens_to_the_state(cluster, capfd, caplog):
    cluster.write("/flink/input/part-0", b"one\nthree\n")
    cluster.write("/flink/input/part-1", b"")
    caplog.set_level("INFO")
    doc003_rocksdb_hdfs.main(cluster.uri)
    assert capfd.readouterr().out.splitlines() == ["3", "5"]
    logged = [record.getMessage() for record in caplog.records if record.name == doc003_rocksdb_hdfs.__name__]
    assert logged[:5] == ["initialize: subtask 0", "create", "update: 'one'", "query: 'one'", "update: 'three'"]
    doc003_rocksdb_hdfs.main(cluster.uri)
    assert "job 'document 003' had finished" in caplog.text
