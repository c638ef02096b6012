"""Document 001's Checkpointing (start, execute, restore) and Recovery (start, execute, verify)."""

import random
import shutil
from pathlib import Path

import pytest

import headrace
from headrace import (
    Checkpointing,
    CorruptionError,
    InvalidArgumentError,
    KeyedProcessFunction,
    Recovery,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of

FLIPS = 10_000
ROWS = 3000


class Count(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.words = runtime_context.get_state(ValueStateDescriptor("words"))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.words.update([*(self.words.value() or [])[-3:], str(value)])
        yield f"{ctx.get_current_key()}:{self.count.value()}"


def program(env, output, rows_per_second=0):
    numbers = env.from_collection(range(ROWS), rows_per_second=rows_per_second).uid("numbers")
    counted = numbers.key_by(lambda n: n % 37).process(Count(), Types.STRING()).uid("count")
    counted.sink_to(file_sink(output)).uid("files")


def expected_lines():
    return sorted(f"{n % 37}:{n // 37 + 1}" for n in range(ROWS))


def leave_in_the_middle(directory, output, backend="hashmap"):
    """Cancels a job once a checkpoint has some of its rows; the job's directory."""
    env = checkpointed_env(directory, interval="20 ms", backend=backend)
    program(env, output, rows_per_second=1500)
    client = env.execute_async("job")
    while client.metrics().get("Collection.rows_read", 0) < ROWS // 10:
        assert not client.status().is_terminal_state()
    before = len(client.checkpoints())
    while sum(one["completed"] for one in client.checkpoints()[before + 1 :]) < 2:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    return next(directory.iterdir())


@pytest.fixture(scope="module", params=["hashmap", "disk", "rocksdb"])
def stored(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("recovery")
    return leave_in_the_middle(root / "chk", root / "out", request.param)


def test_start_execute_and_restore(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    program(env, tmp_path / "out")
    result = Checkpointing(env).start("20 ms", tmp_path / "chk").execute("job")
    assert result.metrics["job.checkpoints_completed"] >= 1
    assert lines_of(tmp_path / "out") == expected_lines()
    again = StreamExecutionEnvironment.get_execution_environment()
    program(again, tmp_path / "out")
    result = Checkpointing(again).start("20 ms", tmp_path / "chk").restore("latest").execute("job")
    assert any("had finished with checkpoint" in message for message in result.messages)
    assert lines_of(tmp_path / "out") == expected_lines()


def test_restore_goes_on_from_a_checkpoint_in_the_middle(tmp_path):
    leave_in_the_middle(tmp_path / "chk", tmp_path / "out")
    env = StreamExecutionEnvironment.get_execution_environment()
    program(env, tmp_path / "out")
    result = Checkpointing(env).start("20 ms", tmp_path / "chk").restore("latest").execute("job")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert result.metrics["Collection.rows_read"] < ROWS
    assert lines_of(tmp_path / "out") == expected_lines()


def test_checkpointing_needs_a_directory():
    env = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(ValueError, match=r"execution\.checkpointing\.dir"):
        Checkpointing(env).start(100)


@pytest.mark.parametrize("form", ["environment", "function"])
def test_recovery_executes_a_job_from_the_newest_checkpoint(tmp_path, form):
    directory = leave_in_the_middle(tmp_path / "chk", tmp_path / "out")
    recovery = Recovery(directory).start()
    newest = recovery.checkpoint.id
    assert recovery.checkpoint["count"]["count"].to_arrow().num_rows == 37
    if form == "function":
        result = recovery.execute(lambda env: program(env, tmp_path / "out"))
    else:
        env = StreamExecutionEnvironment.get_execution_environment()
        program(env, tmp_path / "out")
        result = recovery.execute(env)
    assert f"resumed from checkpoint {newest}" in result.messages
    assert result.metrics["Collection.rows_read"] < ROWS
    assert lines_of(tmp_path / "out") == expected_lines()


def test_recovery_of_nothing_or_of_damage_is_refused(stored, tmp_path):
    with pytest.raises(InvalidArgumentError, match="no checkpoint at"):
        Recovery(tmp_path / "nothing").start()
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    newest = headrace.read_checkpoint(copy)
    manifest = copy / f"chk-{newest.id}.manifest"
    flip(manifest, 100)
    with pytest.raises(CorruptionError, match=rf"{manifest.name}.*offset.*newest whole"):
        Recovery(copy).start()
    report = Recovery(copy).verify()
    assert [damage.file for damage in report.damage] == [str(manifest)]
    assert report.newest_whole is not None
    assert Recovery(report.newest_whole).start().checkpoint.id < newest.id


def test_verify_reads_every_byte(stored):
    report = Recovery(stored).verify()
    assert report.ok
    checkpoints = [headrace.read_checkpoint(one.path) for one in report.checkpoints]
    names = {name for one in checkpoints for name in one.files}
    files = [Path(one.path) for one in report.checkpoints] + [stored / name for name in names]
    files += [path for one in checkpoints[-1:] for path in committed(one)]
    assert report.files == len(files)
    assert report.bytes_read == report.bytes_on_disk == sum(path.stat().st_size for path in files)
    assert report.newest_whole == str(stored / f"chk-{checkpoints[-1].id}.manifest")
    assert all(one.whole for one in report.checkpoints)


def committed(checkpoint):
    for commit in checkpoint.pending_commits():
        final, temporary = Path(commit["final_path"]), Path(commit["temporary_path"])
        yield final if final.exists() else temporary


def flip(path, offset, bit=0):
    with path.open("rb+") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def test_every_flipped_bit_is_named_by_file_and_offset(stored, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    whole = Recovery(copy).verify()
    assert whole.ok
    names = {name for one in whole.checkpoints for name in headrace.read_checkpoint(one.path).files}
    files = [Path(one.path) for one in whole.checkpoints] + sorted(copy / name for name in names)
    files += committed(headrace.read_checkpoint(copy))
    random_numbers = random.Random(5)
    for number in range(FLIPS):
        path = files[number % len(files)]
        size = path.stat().st_size
        offset, bit = random_numbers.randrange(size), random_numbers.randrange(8)
        flip(path, offset, bit)
        report = Recovery(copy).verify()
        [damage] = report.damage
        assert damage.file == str(path), (path, offset, bit)
        # The unit that the checksum is for begins there; it is named, not the bit.
        assert damage.offset <= offset, (path, offset, bit, damage)
        users = [one for one in report.checkpoints if not one.whole]
        assert users, "the checkpoint of a damaged file is not whole"
        flip(path, offset, bit)
    assert Recovery(copy).verify() == whole


def test_files_cut_short_or_gone_are_named(stored, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    files = [path for path in copy.iterdir() if path.suffix in (".manifest", ".hrs") and path.stat().st_size]
    referenced = {str(copy / name) for one in copy.glob("*.manifest") for name in headrace.read_checkpoint(one).files}
    for path in files:
        if path.suffix == ".hrs" and str(path) not in referenced:
            continue
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        [damage] = Recovery(copy).verify().damage
        assert (damage.file, damage.offset) == (str(path), len(content) // 2)
        if path.suffix == ".hrs":
            path.unlink()
            [damage] = Recovery(copy).verify().damage
            assert (damage.file, damage.offset, damage.what) == (str(path), 0, "missing")
        path.write_bytes(content)
