"""The lifecycles that documents 000, 001 and 003 describe in words, and every formula of the documents on real numbers.

* Document 000, section 3: the five steps of state management: register state, the registry, a backend that keeps it,
  checkpoints, synchronisation by messages.
* Document 003, section 3: the four steps of a state backend: initialise, create, query and update, restore.
* Document 001, section 2: Checkpointing (start, execute, restore) and Recovery (start, execute, verify), here on a
  checkpoint with one flipped bit.
* The formulas: S = sum of s_i (000), P = S / Z, C = S / T and T = D / F (004). T of the compression is the measured
  ratio of raw to stored bytes; T of the transfer, computed plainly here, is how many seconds a checkpoint's changed
  bytes D take when F bytes a second may be sent: the shortest interval that this budget sustains.

The documents have no code for these; what is asserted here is what their sentences say.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

from headrace import (
    Checkpointing,
    Configuration,
    HashMapStateBackend,
    JobClient,
    KeyedProcessFunction,
    MapFunction,
    Recovery,
    RuntimeContext,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
    diff_checkpoints,
    read_checkpoint,
)
from headrace.checkpoints import list_checkpoints

KEYS = 20_000
PARTITION_BYTES = 64 * 1024  # Z
BUDGET_BYTES_PER_SECOND = 100_000  # F


class Balance(KeyedProcessFunction):
    """Adds up the amounts of each account."""

    def __init__(self) -> None:
        self._balance: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Registers the state: step 1 of document 000, `create` of document 003."""
        self._balance = runtime_context.get_state(ValueStateDescriptor("balance", Types.LONG()))

    def process_element(self, value: tuple[int, int], ctx: KeyedProcessFunction.Context) -> Any:
        """Queries and updates it."""
        account, amount = value
        self._balance.update((self._balance.value() or 0) + amount)
        yield account, self._balance.value()


class Received(MapFunction):
    """Says which task received a message."""

    def __init__(self) -> None:
        self._task = -1

    def open(self, runtime_context: RuntimeContext) -> None:
        """Looks which task this is."""
        self._task = runtime_context.get_index_of_this_subtask()

    def map(self, value: str) -> tuple[int, str]:
        """The task and the message."""
        return self._task, value


def environment(directory: str, parallelism: int = 2) -> StreamExecutionEnvironment:
    """An environment that keeps two checkpoints in a directory; state in memory."""
    options = {"execution.checkpointing.dir": directory, "execution.checkpointing.num-retained": "2"}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_state_backend(HashMapStateBackend())
    return env.set_parallelism(parallelism)


def payments(env: StreamExecutionEnvironment, rounds: int = 1, rows_per_second: float = 0) -> None:
    """Records the program: `rounds` payments of 1 for each account, in order of rounds."""
    rows = [(key, 1) for _ in range(rounds) for key in range(KEYS)]
    paid = env.from_collection(rows, rows_per_second=rows_per_second).uid("payments")
    paid.key_by(lambda row: row[0]).process(Balance()).uid("balances").add_sink(lambda row: None).uid("out")


def wait_for_checkpoints(client: JobClient, more: int) -> None:
    """Waits until `more` checkpoints were completed from now on."""
    before = client.metrics()["job.checkpoints_completed"]
    while client.metrics()["job.checkpoints_completed"] < before + more:
        time.sleep(0.01)


def five_steps(directory: str) -> list[str]:
    """Document 000: what each step gave, one line a step."""
    env = environment(directory)
    payments(env)
    Checkpointing(env).start("1 s")
    client = env.execute_async("five steps")  # 1: define and register
    result = client.result()
    registry = client.state_registry()
    lines = registry.states("balances")
    assert [line["subtask"] for line in lines] == [0, 1]
    assert sum(line["rows"] for line in lines) == KEYS
    kept = read_checkpoint(directory)["balances"]["balance"].to_arrow()
    assert sorted(kept["key"].to_pylist()) == list(range(KEYS))
    assert set(kept["value"].to_pylist()) == {1}
    told = environment(directory, parallelism=3)
    messages = told.from_elements("a new rule").broadcast().map(Received())
    with messages.execute_and_collect("messages") as received:
        tasks = sorted(received)
    assert tasks == [(task, "a new rule") for task in range(3)]
    return [
        f"1 registered: state 'balance' of type {lines[0]['fingerprint']}",
        f"2 registry: {len(lines)} tasks hold {[line['rows'] for line in lines]} rows; operators {registry.operators}",
        f"3 backend: {type(env.get_state_backend()).__name__} keeps {registry.total_bytes} bytes",
        f"4 checkpoints: {result.metrics['job.checkpoints_completed']} completed, all {kept.num_rows} keys are in the last",
        f"5 synchronised: {len(tasks)} tasks received the message",
    ]


def four_steps(directory: str) -> list[str]:
    """Document 003: initialise, create, query and update, restore."""
    env = environment(directory)
    initialised = f"initialised: {type(env.get_state_backend()).__name__}, checkpoints in {Path(directory).name}"
    payments(env, rounds=2, rows_per_second=40_000)
    Checkpointing(env).start("50 ms")
    client = env.execute_async("four steps")
    while client.metrics().get("Collection.rows_read", 0) < KEYS // 2:
        time.sleep(0.01)
    wait_for_checkpoints(client, 2)
    seen = client.state("balances", "balance")
    queried = f"queried while it runs: account 0 has {seen[0]}; updated on every payment"
    client.cancel().result()
    again = environment(directory)
    payments(again, rounds=2)
    result = Checkpointing(again).start("1 s").restore("latest").execute("four steps")
    assert any("resumed from checkpoint" in message for message in result.messages)
    totals = read_checkpoint(_job(directory, "four"))["balances"]["balance"].to_arrow()["value"].to_pylist()
    assert totals == [2] * KEYS, "nothing lost, nothing counted twice"
    return [initialised, "created: state 'balance' at open()", queried, f"restored: {result.messages[0]}"]


def recovery_steps(directory: str) -> list[str]:
    """Document 001: start, execute and verify, where the newest checkpoint has one flipped bit."""
    env = environment(directory)
    payments(env, rounds=2, rows_per_second=40_000)
    Checkpointing(env).start("50 ms")
    client = env.execute_async("damaged")
    wait_for_checkpoints(client, 3)
    client.cancel().result()
    job = _job(directory, "damaged")
    newest = list_checkpoints(job)[-1]
    manifest = Path(newest.path)
    content = bytearray(manifest.read_bytes())
    content[len(content) // 2] ^= 1
    manifest.write_bytes(content)
    report = Recovery(job).verify()
    assert [damage.file for damage in report.damage] == [str(manifest)]
    assert report.newest_whole is not None
    recovery = Recovery(report.newest_whole).start()
    again = environment(directory)
    payments(again, rounds=2)
    try:
        Recovery(job).start()
        raise AssertionError("a damaged checkpoint must be refused")
    except RuntimeError as error:
        refused = str(error)
    assert manifest.name in refused
    manifest.unlink()  # what the operator does once it is known
    result = recovery.execute(again)
    assert f"resumed from checkpoint {recovery.checkpoint.id}" in result.messages
    totals = read_checkpoint(job)["balances"]["balance"].to_arrow()["value"].to_pylist()
    assert totals == [2] * KEYS
    return [
        f"verify: {report.files} files, {report.bytes_read} bytes read, damage at offset {report.damage[0].offset}",
        f"start: checkpoint {recovery.checkpoint.id} is the newest whole one",
        f"execute: {result.messages[0]}",
    ]


def formulas(directory: str) -> dict[str, float]:
    """S, P, C and both T of two checkpoints, between which a hundredth of the keys changed."""
    env = environment(directory, parallelism=1)
    payments(env)
    Checkpointing(env).start("1 h").execute("formulas")
    before = read_checkpoint(_job(directory, "formulas"))
    changed = environment(directory + "-changed", parallelism=1)
    rows = [(key, 1) for key in range(KEYS)] + [(key, 1) for key in range(KEYS // 100)]
    paid = changed.from_collection(rows).uid("payments")
    paid.key_by(lambda row: row[0]).process(Balance()).uid("balances").add_sink(lambda row: None).uid("out")
    Checkpointing(changed).start("1 h").execute("formulas")
    after = read_checkpoint(directory + "-changed")

    parts = [size for operator in before.operators().values() for size in operator.state_bytes]
    assert before.state_bytes == sum(parts)  # S = sum of s_i

    values = before["balances"]["balance"]
    partitions = math.ceil(8 * KEYS / PARTITION_BYTES)  # P = S / Z: eight bytes a key, the last partition not full
    assert values.partitions == partitions

    ratio = before.state_bytes / before.stored_bytes  # T of the compression
    assert ratio > 1
    stored = before.state_bytes / ratio  # C = S / T
    assert math.isclose(stored, before.stored_bytes)

    difference = diff_checkpoints(before, after).keys("balances", "balance")
    dirty = sum(difference["bytes_after"].to_pylist())  # D
    assert dirty == 8 * (KEYS // 100)
    seconds = dirty / BUDGET_BYTES_PER_SECOND  # T = D / F
    assert seconds * BUDGET_BYTES_PER_SECOND == dirty
    assert seconds < before.state_bytes / BUDGET_BYTES_PER_SECOND, "what did not change costs nothing"
    return {
        "S": before.state_bytes,
        "P of the balances": partitions,
        "C": stored,
        "T of compression": ratio,
        "D": dirty,
        "T of transfer": seconds,
    }


def _job(directory: str, name: str) -> Path:
    """The directory of the job whose name begins so."""
    [found] = Path(directory).glob(f"{name}*")
    return found


def main() -> None:
    """Runs everything and prints what each step and formula gave."""
    with tempfile.TemporaryDirectory() as directory:
        for title, steps in [
            ("Document 000, five steps", five_steps),
            ("Document 003, four steps", four_steps),
            ("Document 001, recovery", recovery_steps),
        ]:
            print(title)
            for line in steps(f"{directory}/{steps.__name__}"):
                print(f"  {line}")
        print("Formulas")
        for name, value in formulas(f"{directory}/formulas").items():
            print(f"  {name} = {value:g}")


if __name__ == "__main__":
    main()
