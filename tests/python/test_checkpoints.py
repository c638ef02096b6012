"""Checkpoints and recovery within and across processes, seen from the Python API."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace import (
    Configuration,
    FailedPreconditionError,
    KeyedProcessFunction,
    RestartStrategies,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    _core,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of


class CountPerKey(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.words = runtime_context.get_state(ValueStateDescriptor("words"))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        words = self.words.value() or []
        words.append(value % 3)
        self.words.update(words[-4:])
        yield f"{ctx.get_current_key()}:{self.count.value()}:{sum(words[-4:])}"


def counting_job(env, output, rows=3000, rows_per_second=0, fail_at=None):
    failed = {"done": False}

    def maybe_fail(value):
        if value == fail_at and not failed["done"]:
            failed["done"] = True
            raise RuntimeError("planned failure")
        return value

    numbers = env.from_collection(range(rows), rows_per_second=rows_per_second).uid("numbers")
    # The sum depends on the order of a key's records, so one task maps them whatever the parallelism.
    checked = numbers.map(maybe_fail).set_parallelism(1)
    counted = checked.key_by(lambda n: n % 11).process(CountPerKey(), Types.STRING()).uid("count")
    counted.sink_to(file_sink(output)).uid("files")


def expected_lines(tmp_path, rows=3000):
    env = StreamExecutionEnvironment.get_execution_environment()
    counting_job(env, tmp_path / "expected", rows)
    env.execute()
    return lines_of(tmp_path / "expected")


def test_restart_within_the_process_loses_and_doubles_nothing(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(2, "10 ms"))
    counting_job(env, tmp_path / "out", rows_per_second=6000, fail_at=2000)
    result = env.execute("restarting")
    assert len(result.recoveries) == 1
    assert "planned failure" in result.recoveries[0]["cause"]
    assert lines_of(tmp_path / "out") == expected_lines(tmp_path)


def test_user_error_without_strategy_fails_at_once(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    counting_job(env, tmp_path / "out", fail_at=5)
    with pytest.raises(Exception, match="planned failure"):
        env.execute("failing")


@pytest.mark.parametrize("parallelism", [1, 3])
def test_killed_process_resumes_at_any_parallelism(tmp_path, parallelism):
    script = (
        "import sys; from pathlib import Path\n"
        "from python.streams import checkpointed_env\n"
        "from python.test_checkpoints import counting_job\n"
        "chk, out = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "env = checkpointed_env(chk, parallelism=2)\n"
        "counting_job(env, out, rows_per_second=1500)\n"
        "env.execute('killed')\n"
    )
    chk, out = tmp_path / "chk", tmp_path / "out"
    tests = Path(__file__).parent.parent
    process = subprocess.Popen([sys.executable, "-c", script, chk, out], env={**os.environ, "PYTHONPATH": str(tests)})
    deadline = time.monotonic() + 30
    while len(list(chk.rglob("chk-*.manifest"))) == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    env = checkpointed_env(chk, parallelism, resume=True)
    counting_job(env, out)
    result = env.execute("killed")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert result.metrics["Collection.rows_read"] < 3000
    assert lines_of(out) == expected_lines(tmp_path)


def test_latest_after_a_normal_end_returns_at_once(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    counting_job(env, tmp_path / "out")
    env.execute("finished")
    before = sorted(p.name for p in (tmp_path / "chk").rglob("*"))
    again = checkpointed_env(tmp_path / "chk", resume=True)
    counting_job(again, tmp_path / "out")
    result = again.execute("finished")
    assert result.metrics.get("Collection.rows_read", 0) == 0
    assert lines_of(tmp_path / "out") == expected_lines(tmp_path)
    assert [n for n in before if n.endswith(".manifest")] == [
        p.name for p in sorted((tmp_path / "chk").rglob("*.manifest"))
    ]


def test_latest_without_a_checkpoint_starts_fresh_and_says_so(tmp_path):
    env = checkpointed_env(tmp_path / "chk", resume=True)
    counting_job(env, tmp_path / "out")
    assert any("fresh" in message for message in env.execute("new").messages)


def test_directory_in_use_is_refused(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    counting_job(env, tmp_path / "out", rows_per_second=1000)
    client = env.execute_async("busy")
    try:
        second = checkpointed_env(tmp_path / "chk")
        counting_job(second, tmp_path / "out2")
        with pytest.raises(FailedPreconditionError, match="in use"):
            second.execute("busy")
    finally:
        client.cancel().result()


def test_damaged_checkpoint_is_refused_naming_file(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    counting_job(env, tmp_path / "out")
    env.execute("damaged")
    manifest = max((tmp_path / "chk").rglob("chk-*.manifest"))
    damaged = bytearray(manifest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    manifest.write_bytes(damaged)
    again = checkpointed_env(tmp_path / "chk", resume=True)
    counting_job(again, tmp_path / "out")
    with pytest.raises(Exception, match=manifest.name):
        again.execute("damaged")


def test_checkpoint_of_another_graph_is_refused(tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    counting_job(env, tmp_path / "out")
    env.execute("changed")
    other = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.interval": "50 ms",
            "execution.checkpointing.dir": str(tmp_path / "chk2"),
            "execution.state-recovery.path": str(max((tmp_path / "chk").rglob("chk-*.manifest"))),
        })
    )  # fmt: skip
    other.from_collection([1]).key_by(lambda v: v).process(CountPerKey()).uid("another")
    with pytest.raises(Exception, match=r"uid numbers.*uid another"):
        other.execute("changed")


def test_manifest_lists_registry_and_sum_of_states(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2)
    counting_job(env, tmp_path / "out")
    env.execute("sizes")
    manifest = _core.load_manifest(str(max((tmp_path / "chk").rglob("chk-*.manifest"))))
    count = next(op for op in manifest["operators"] if op["operator_id"] == "count")
    assert {(r["name"], r["fingerprint"]) for r in count["registry"]} >= {("count", "value<int64>")}
    parts = [subtask["state_bytes"] for op in manifest["operators"] for subtask in op["subtasks"]]
    assert manifest["state_bytes"] == sum(parts) > 0


def test_checkpointing_without_a_directory_says_what_to_set():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(1000)
    env.from_elements(1)
    with pytest.raises(ValueError, match=r"execution\.checkpointing\.dir"):
        env.execute()
