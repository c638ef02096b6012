"""What steps are called, how many subtasks they have, and under which uid their state is kept."""

import json
import threading

import pytest

from headrace import (
    Configuration,
    KeyedProcessFunction,
    StreamExecutionEnvironment,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
    _core,
)
from python.streams import checkpointed_env, new_env

ROWS = 4000


class CountPerKey(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        yield ctx.get_current_key(), self.count.value()


def test_names_show_in_explain_plan_metrics_and_errors():
    def fail(value):
        raise ValueError("planned")

    env = new_env()
    stream = env.from_collection([1, 2]).name("numbers").map(lambda v: v).name("same again").uid("same-uid")
    assert stream.get_name() == "same again"
    stream.print().name("screen")
    explained = env.explain()
    labels = [node["type"] for node in json.loads(env.get_execution_plan())["nodes"]]
    assert labels == ["Source: numbers", "same again", "screen"]
    assert "Source: numbers -> same again -> screen" in explained
    assert "same again  kind=map id=same-uid" in explained
    metrics = env.execute().metrics
    assert metrics["numbers.rows_read"] == metrics["same again.rows_in"] == metrics["screen.rows_in"] == 2
    stream.map(fail).name("the culprit")
    with pytest.raises(UserFunctionError, match=r"operator 'the culprit' \(subtask 0/1\): .*planned"):
        env.execute()


def test_runtime_context_tells_name_and_place():
    class Tells(KeyedProcessFunction):
        def open(self, runtime_context):
            c = runtime_context
            told.append((
                c.get_task_name(), c.get_task_name_with_subtasks(), c.get_index_of_this_subtask(),
                c.get_number_of_parallel_subtasks(), c.get_max_number_of_parallel_subtasks(), c.get_attempt_number(),
                c.get_job_parameter("greeting", "none"), c.get_job_parameter("missing", "default"),
            ))  # fmt: skip

        def process_element(self, value, ctx):
            return None

    told = []
    env = new_env()
    env.get_config().set_global_job_parameters({"greeting": "hello"})
    stream = env.from_collection(range(10)).key_by(lambda v: v).process(Tells())
    stream.name("teller").set_parallelism(2).set_max_parallelism(64)
    env.execute()
    assert sorted(told) == [
        ("teller", f"teller ({i + 1}/2)", i, 2, 64, 0, "hello", "default") for i in range(2)
    ]  # fmt: skip


def test_set_parallelism_shows_in_explain_and_plan():
    env = new_env(2)
    stream = env.from_sequence(1, 10).map(lambda v: v, Types.LONG()).name("three").set_parallelism(3)
    stream.key_by(lambda v: v).process(CountPerKey()).name("four").set_parallelism(4).print().set_parallelism(1).name(
        "p"
    )
    plan = {node["type"]: node for node in json.loads(env.get_execution_plan())["nodes"]}
    assert {name: node["parallelism"] for name, node in plan.items()} == {
        "Source: Sequence": 2, "three": 3, "KeyBy": 3, "four": 4, "p": 1,
    }  # fmt: skip
    ships = {name: [p["ship_strategy"] for p in node.get("predecessors", [])] for name, node in plan.items()}
    assert ships == {
        "Source: Sequence": [], "three": ["REBALANCE"], "KeyBy": ["FORWARD"], "four": ["HASH"], "p": ["REBALANCE"],
    }  # fmt: skip
    explained = env.explain()
    assert "three -> KeyBy  (parallelism 3, own thread: calls Python)" in explained
    assert "HASH from chain" in explained
    assert "3 to 4)" in explained


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2"])
def test_parallelism_must_be_a_positive_int(bad):
    env = new_env()
    with pytest.raises(ValueError, match="parallelism: must be a positive int"):
        env.from_sequence(0, 1).map(lambda v: v).set_parallelism(bad)
    with pytest.raises(ValueError, match="parallelism: must be a positive int"):
        env.set_parallelism(bad)


def test_step_that_runs_alone_refuses_another_parallelism():
    stream = new_env().from_collection([1]).name("list")
    with pytest.raises(ValueError, match="parallelism: 'list' always runs with 1, got 2"):
        stream.set_parallelism(2)


def test_forward_between_different_parallelisms_is_refused_by_name():
    env = new_env()
    first = env.from_sequence(0, 9).map(lambda v: v).name("first").set_parallelism(2)
    first.forward().map(lambda v: v).name("second").set_parallelism(3)
    with pytest.raises(ValueError, match=r"'first' has 2 and operator 'second' has 3; use rebalance\(\)"):
        env.execute()


@pytest.mark.parametrize("method", [
    "name", "get_name", "uid", "set_parallelism", "set_max_parallelism", "force_non_parallel", "set_buffer_timeout",
    "start_new_chain", "disable_chaining", "shuffle", "rebalance", "rescale", "forward", "broadcast", "project",
])  # fmt: skip
def test_keyed_stream_is_no_step_as_in_pyflink(method):
    keyed = new_env().from_elements(1).key_by(lambda v: v)
    with pytest.raises(TypeError, match=rf"{method}\(\) on a keyed stream.*before key_by\(\)"):
        getattr(keyed, method)(1)


def test_two_steps_of_one_uid_are_refused():
    env = new_env()
    env.from_collection([1]).map(lambda v: v).name("a").uid("twice").map(lambda v: v).name("b").uid("twice")
    with pytest.raises(ValueError, match=r"twice"):
        env.execute()


def run_until_checkpointed(env, name):
    """Runs until two checkpoints are complete, then stops: what a crash would leave."""
    client = env.execute_async(name)
    while sum(c["completed"] for c in client.checkpoints()) < 2:
        assert not client.status().is_terminal_state()
        client._job.wait(5)
    client.cancel().result()


def counting(env, uid, rows_per_second=0, changed=False):
    numbers = env.from_collection(range(ROWS), rows_per_second=rows_per_second).uid("numbers")
    if changed:
        numbers = numbers.map(lambda v: v).filter(lambda v: True).name("new, before")
    counted = numbers.key_by(lambda v: v % 5).process(CountPerKey()).name("renamed" if changed else "count")
    if uid:
        counted = counted.uid(uid)
    if changed:
        counted = counted.map(lambda v: v).name("new, after")
    seen = []
    counted.add_sink(seen.append)
    return seen


def test_uid_keeps_the_state_when_the_graph_changes_around_it(tmp_path):
    env = checkpointed_env(tmp_path, interval="20 ms")
    counting(env, "count", rows_per_second=4000)
    run_until_checkpointed(env, "changing")
    env = checkpointed_env(tmp_path, parallelism=2, resume=True)
    seen = counting(env, "count", changed=True)
    result = env.execute("changing")
    resumed_at = ROWS - result.metrics["Collection.rows_read"]
    assert 0 < resumed_at < ROWS
    for key in range(5):
        before = len(range(key, resumed_at, 5))
        assert [n for k, n in seen if k == key] == list(range(before + 1, ROWS // 5 + 1))


def test_without_a_uid_a_changed_graph_is_refused_and_told_what_to_do(tmp_path):
    env = checkpointed_env(tmp_path, interval="20 ms")
    counting(env, None, rows_per_second=4000)
    run_until_checkpointed(env, "changing")
    env = checkpointed_env(tmp_path, resume=True)
    counting(env, None, changed=True)
    with pytest.raises(ValueError, match=r"holds state of operator 'count'.*which the program lacks.*uid"):
        env.execute("changing")


def test_manifest_names_operators_by_uid(tmp_path):
    env = checkpointed_env(tmp_path)
    counting(env, "my-count")
    env.execute("named")
    manifest = _core.load_manifest(str(max(tmp_path.rglob("chk-*.manifest"))))
    names = {op["operator_id"]: op["name"] for op in manifest["operators"]}
    with_state = {op["operator_id"] for op in manifest["operators"] if any(s["state_bytes"] for s in op["subtasks"])}
    assert with_state == {"my-count"}  # steps without state do not tie a checkpoint to the graph
    assert names["my-count"] == "count"
    assert names["numbers"] == "Collection"


def test_environment_settings_come_from_the_configuration():
    options = {
        "parallelism.default": "3",
        "pipeline.max-parallelism": 12,
        "pipeline.operator-chaining.enabled": "false",
    }
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    assert (env.get_parallelism(), env.get_max_parallelism(), env.is_chaining_enabled()) == (3, 12, False)
    threads = set()
    env.from_sequence(0, 9).map(lambda v: threads.add(threading.get_ident()))
    assert "parallelism 3" in env.explain()
    assert env.explain().startswith("2 chains, 6 tasks")
    env.execute()
    assert 1 <= len(threads) <= 3
