"""Encrypted checkpoints in remote storage: nothing readable is stored there, the job resumes, wrong keys are named."""

import os

import pytest

from headrace import FailedPreconditionError, checkpoint_encryption, read_checkpoint, verify_checkpoint
from headrace.checkpoint_encryption import KEY_ID, set_key_provider
from headrace.checkpoints import list_checkpoints
from python.canary_job import CANARY, expected_counts, files_with_canary, interrupted, resumed


@pytest.fixture(autouse=True)
def no_keys():
    checkpoint_encryption.forget_keys()
    yield
    checkpoint_encryption.forget_keys()


def stopped(tmp_path, key_id="k1"):
    """The directory, seen as a local one, of a job that failed; its checkpoints went to a URI."""
    return interrupted(f"local://{tmp_path}/remote", tmp_path, **({KEY_ID: key_id} if key_id else {}))


def expect_resumed(tmp_path, key_id="k1"):
    """The job goes on from where it was: each key's last count is that of all rows."""
    counts = resumed(f"local://{tmp_path}/remote", tmp_path, **{KEY_ID: key_id})
    assert counts
    assert counts.items() <= expected_counts().items()


def test_canary_is_nowhere_in_the_remote_storage_and_the_job_resumes(tmp_path):
    set_key_provider({"k1": os.urandom(32)}.get)
    stopped(tmp_path / "plain", key_id=None)
    assert files_with_canary(tmp_path / "plain"), "without encryption it must be seen, or this test sees nothing"
    stopped(tmp_path / "sealed")
    assert files_with_canary(tmp_path / "sealed") == []
    expect_resumed(tmp_path / "sealed")
    assert files_with_canary(tmp_path / "sealed") == []


def test_wrong_and_missing_keys_are_named_and_nothing_is_deleted(tmp_path):
    key = os.urandom(32)
    set_key_provider({"k1": key}.get)
    directory = stopped(tmp_path)
    before = sorted(path.name for path in directory.iterdir())
    checkpoint_encryption.forget_keys()
    with pytest.raises(FailedPreconditionError, match=r"key 'k1' is in none of: .*HEADRACE_KEY_K1"):
        expect_resumed(tmp_path)
    set_key_provider({"k1": os.urandom(32)}.get)
    with pytest.raises(FailedPreconditionError, match="encrypted with another key named 'k1'"):
        expect_resumed(tmp_path)
    assert sorted(path.name for path in directory.iterdir()) == before
    checkpoint_encryption.forget_keys()
    set_key_provider({"k1": key}.get)
    expect_resumed(tmp_path)


def test_encrypted_checkpoints_are_looked_at_by_uri_with_their_key_only(tmp_path):
    set_key_provider({"k1": os.urandom(32)}.get)
    uri = f"local://{stopped(tmp_path)}"
    assert verify_checkpoint(uri).ok
    assert all(one.problem is None for one in list_checkpoints(uri))
    rows = read_checkpoint(uri)["remember"]["last"].to_arrow().to_pylist()
    assert CANARY in {row["key"] for row in rows}
    checkpoint_encryption.forget_keys()
    with pytest.raises(FailedPreconditionError, match="key 'k1'"):
        read_checkpoint(uri)
    assert all("key 'k1'" in (one.problem or "") for one in list_checkpoints(uri))


def test_a_new_key_reads_what_the_old_one_wrote(tmp_path):
    keys = {"k1": os.urandom(32), "k2": os.urandom(32)}
    set_key_provider(keys.get)
    directory = stopped(tmp_path)
    expect_resumed(tmp_path, key_id="k2")
    assert files_with_canary(directory) == []
    checkpoint_encryption.forget_keys()
    set_key_provider({"k1": keys["k1"]}.get)
    with pytest.raises(FailedPreconditionError, match="key 'k2'"):
        read_checkpoint(f"local://{directory}")
