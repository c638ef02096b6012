"""Encrypted checkpoints: nothing readable on disk, wrong and missing keys named, damage found, keys changed."""

import base64
import os
import stat
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    KeyedProcessFunction,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    _core,
    checkpoint_encryption,
    verify_checkpoint,
)
from headrace.checkpoint_encryption import KEY_FILE, KEY_ID, generate_key, rekey, set_key_provider, use_key_file

CANARY = "CANARY-7f3a"


@pytest.fixture(autouse=True)
def no_keys():
    checkpoint_encryption.forget_keys()
    yield
    checkpoint_encryption.forget_keys()


class Remember(KeyedProcessFunction):
    """The last text and the number of each key."""

    def open(self, runtime_context):
        self.last = runtime_context.get_state(ValueStateDescriptor(f"{CANARY}-state", Types.STRING()))
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.last.update(f"{CANARY} says {value}")
        self.count.update((self.count.value() or 0) + 1)
        yield (ctx.get_current_key(), self.count.value())


class Stop(Exception):
    pass


def run(directory, key_id="k1", *, rows=6000, stop_at=None, resume=False, **options):
    settings = {
        "execution.checkpointing.interval": "10 ms",
        "execution.checkpointing.dir": str(directory),
        "state.compression.codec": "none",
        **({KEY_ID: key_id} if key_id else {}),
        **options,
    }
    if resume:
        settings["execution.state-recovery.path"] = "latest"
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))

    def check(value):
        if stop_at is not None and value == stop_at:
            raise Stop
        return value

    # Slow enough for some checkpoints before it stops.
    items = env.from_collection(range(rows), rows_per_second=30_000).uid("items").map(check)
    stream = (
        items.key_by(lambda v: f"{CANARY}-{v % 700}").process(Remember()).uid("remember").name(f"{CANARY}-operator")
    )
    with stream.execute_and_collect("job") as records:
        return list(records)


def interrupted(directory, **options):
    with pytest.raises(_core.UserFunctionError):
        run(directory, stop_at=5999, **options)
    assert list(Path(directory).rglob("chk-*.manifest"))


def files_with_canary(directory):
    return [path for path in Path(directory).rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def expected_last_counts():
    return {f"{CANARY}-{k}": len(range(k, 6000, 700)) for k in range(700)}


def last_counts(records):
    counts = {}
    for key, count in records:
        counts[key] = max(count, counts.get(key, 0))
    return counts


def test_canary_is_found_in_no_file_and_the_job_resumes(tmp_path):
    keys = {"k1": os.urandom(32)}
    set_key_provider(keys.get)
    interrupted(tmp_path / "plain", key_id="")
    assert files_with_canary(tmp_path / "plain"), "without encryption it must be seen, or this test sees nothing"
    interrupted(tmp_path / "sealed")
    assert files_with_canary(tmp_path / "sealed") == []
    for path in (tmp_path / "sealed").rglob("*"):
        if path.is_file() and path.suffix in (".hrs", ".manifest"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    records = run(tmp_path / "sealed", resume=True)
    assert last_counts(records).items() <= expected_last_counts().items()
    assert any(count > 1 for _, count in records)


def newest(directory):
    return max(Path(directory).rglob("chk-*.manifest"), key=lambda path: int(path.stem.split("-")[1]))


def test_wrong_and_missing_keys_are_named_and_nothing_is_deleted(tmp_path):
    key = os.urandom(32)
    set_key_provider({"k1": key}.get)
    interrupted(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    checkpoint_encryption.forget_keys()
    with pytest.raises(
        _core.FailedPreconditionError, match=r"key 'k1' is in none of: the environment variable HEADRACE_KEY_K1"
    ):
        run(tmp_path, resume=True)
    with pytest.raises(_core.FailedPreconditionError, match="key 'k1'"):
        _core.load_manifest(str(newest(tmp_path)))
    set_key_provider({"k1": os.urandom(32)}.get)
    with pytest.raises(_core.FailedPreconditionError, match="encrypted with another key named 'k1'") as wrong:
        run(tmp_path, resume=True)
    assert base64.b64encode(key).decode() not in str(wrong.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    checkpoint_encryption.forget_keys()
    set_key_provider({"k1": key}.get)
    assert last_counts(run(tmp_path, resume=True)).items() <= expected_last_counts().items()


def test_keys_come_from_provider_then_files_then_environment(tmp_path, monkeypatch):
    right, wrong = os.urandom(32), os.urandom(32)
    set_key_provider({"k.1": right}.get)
    interrupted(tmp_path / "job", key_id="k.1")
    key_file = tmp_path / "keys"
    path = str(newest(tmp_path / "job"))

    checkpoint_encryption.forget_keys()
    monkeypatch.setenv("HEADRACE_KEY_K_1", right.hex())
    assert _core.load_manifest(path)["key_id"] == "k.1"

    checkpoint_encryption.forget_keys()
    key_file.write_text(f"# keys\nother: {generate_key()}\nk.1: {base64.b64encode(wrong).decode()}\n")
    use_key_file(key_file)
    with pytest.raises(_core.FailedPreconditionError, match="another key"):
        _core.load_manifest(path)

    checkpoint_encryption.forget_keys()
    key_file.write_text(f"k.1: {base64.b64encode(right).decode()}\n")
    monkeypatch.setenv("HEADRACE_KEY_K_1", wrong.hex())
    run(tmp_path / "job", key_id="k.1", resume=True, **{KEY_FILE: str(key_file)})

    checkpoint_encryption.forget_keys()
    use_key_file(key_file)
    key_file.write_text("k.1: " + wrong.hex())
    set_key_provider({"k.1": bytearray(right)}.get)
    assert _core.load_manifest(path if Path(path).exists() else str(newest(tmp_path / "job")))["key_id"] == "k.1"


def test_keys_show_in_no_message(tmp_path, monkeypatch):
    secret = generate_key()

    def raises(key_id):
        raise RuntimeError(f"vault says {secret}")

    set_key_provider(raises)
    with pytest.raises(
        _core.FailedPreconditionError, match="key 'k1' could not be had: the provider raised RuntimeError"
    ) as told:
        run(tmp_path)
    assert secret not in str(told.value)
    set_key_provider(lambda key_id: secret[:-8])
    with pytest.raises(_core.FailedPreconditionError, match="key 'k1'") as told:
        run(tmp_path)
    assert secret[:8] not in str(told.value)
    # A key given where its id belongs.
    with pytest.raises(ValueError, match="a key id has 1 to 64 letters") as told:
        run(tmp_path, key_id=secret)
    assert secret not in str(told.value)
    checkpoint_encryption.forget_keys()
    monkeypatch.setenv("HEADRACE_KEY_K1", "not a key")
    with pytest.raises(_core.FailedPreconditionError, match="HEADRACE_KEY_K1 holds neither 64 hex digits nor base64"):
        run(tmp_path)
    with pytest.raises(FileNotFoundError, match="key-file"):
        run(tmp_path, **{KEY_FILE: str(tmp_path / "none")})


def test_key_shows_in_no_plan_and_no_metric(tmp_path):
    key = os.urandom(32)
    set_key_provider({"k1": key}.get)
    settings = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.dir": str(tmp_path), KEY_ID: "k1"}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.from_collection(range(10)).key_by(lambda v: v).process(Remember()).print()
    shown = env.explain() + env.get_execution_plan()
    result = env.execute("plan")
    shown += repr(result) + repr(result.metrics) + repr(result.messages) + repr(result.checkpoints)
    for text in (key.hex(), base64.b64encode(key).decode(), repr(key)):
        assert text not in shown


def test_flips_and_swaps_in_encrypted_files_are_refused_by_file_and_offset(tmp_path):
    set_key_provider({"k1": os.urandom(32)}.get)
    interrupted(tmp_path)
    path = newest(tmp_path)
    manifest = _core.load_manifest(str(path))
    data = path.parent / manifest["files"][0]["name"]
    for file in (path, data):
        good = file.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 200)):
            file.write_bytes(good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1 :])
            (damage,) = verify_checkpoint(path).damage
            assert damage.file == str(file)
            assert 0 <= damage.offset < len(good)
        file.write_bytes(good[:-1])
        assert not verify_checkpoint(path).ok
        file.write_bytes(good)
    assert verify_checkpoint(path).ok


def test_rekey_changes_the_key_of_a_whole_directory(tmp_path):
    keys = {"old": os.urandom(32), "new": os.urandom(32)}
    set_key_provider(keys.get)
    interrupted(tmp_path, key_id="old")
    (job,) = tmp_path.iterdir()
    before = _core.load_manifest(str(newest(job)))
    report = rekey(job, "new")
    assert min(report["checkpoints"], report["files"], report["bytes"]) >= 1
    checkpoint_encryption.forget_keys()
    set_key_provider({"new": keys["new"]}.get)
    after = _core.load_manifest(str(newest(job)))
    assert after["key_id"] == "new"
    assert {file["key_id"] for file in after["files"]} == {"new"}
    assert after["operators"] == before["operators"]
    assert files_with_canary(tmp_path) == []
    assert rekey(job, "new") == {"checkpoints": 0, "files": 0, "bytes": 0}
    records = run(tmp_path, key_id="new", resume=True)
    assert last_counts(records).items() <= expected_last_counts().items()
    with pytest.raises(_core.FailedPreconditionError, match="key 'old'"):
        rekey(job, "old")


def test_key_is_changed_from_run_to_run_with_old_files_still_read(tmp_path):
    keys = {"a": os.urandom(32), "b": os.urandom(32)}
    set_key_provider(keys.get)
    interrupted(tmp_path, key_id="a")
    interrupted(tmp_path, key_id="b", resume=True)
    manifest = _core.load_manifest(str(newest(tmp_path)))
    assert manifest["key_id"] == "b"
    assert {file["key_id"] for file in manifest["files"]} <= {"a", "b"}
    records = run(tmp_path, key_id="b", resume=True)
    assert last_counts(records).items() <= expected_last_counts().items()
