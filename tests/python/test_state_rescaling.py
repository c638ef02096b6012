"""Each kind of state over two kills, at parallelism 1, 3 and 2, against plain Python."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from headrace import (
    Types,
)  # fmt: skip
from python.state_functions import (
    A_DAY,
    KEYS,
    NUMBERS,
    RULES,
    WHEN,
    AllKinds,
    ApplyRules,
    ApplyRulesByKey,
    CountOfKey,
    CountsAndTotals,
    SeenBySubtask,
    all_kinds_in_plain_python,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of


def run(checkpoints, output, parallelism, pace, resume):
    """One run of a job with every kind of state; also the body of the killed child."""
    env = checkpointed_env(Path(checkpoints), parallelism, resume=resume)
    out = Path(output)
    numbers = env.from_collection(range(NUMBERS), rows_per_second=pace).uid("numbers")
    keyed = numbers.key_by(lambda n: n % KEYS)
    # The source's records go to all subtasks.
    plain = numbers.rebalance()
    rules = env.from_collection([("factor", 2), ("limit", 9), ("factor", 3)]).uid("the-rules").broadcast(RULES, WHEN)
    branches = {
        "kinds": keyed.process(AllKinds(), Types.STRING()),
        "ttl": keyed.process(AllKinds(A_DAY), Types.STRING()),
        "lists": plain.map(CountsAndTotals(), Types.STRING()),
        "rules": plain.connect(rules).process(ApplyRules(), Types.STRING()),
        "keyed_rules": keyed.connect(rules).process(ApplyRulesByKey(), Types.STRING()),
        "with_state": keyed.map(CountOfKey(), Types.STRING()),
        "subtask_state": plain.flat_map(SeenBySubtask(), Types.STRING()),
    }
    for name, stream in branches.items():
        stream.uid(name).sink_to(file_sink(out / name)).uid(f"out-{name}")
    return env.execute("kinds")


def kill_after_a_checkpoint(arguments, checkpoints):
    """Runs `run(*arguments)` in a process of its own and kills that once it has taken two more checkpoints."""
    code = f"from python.test_state_rescaling import run; run(*{arguments!r})"
    tests = Path(__file__).parent.parent
    before = max((int(p.stem.split("-")[1]) for p in checkpoints.rglob("chk-*.manifest")), default=0)
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tests)})
    deadline = time.monotonic() + 60
    newest = before
    while newest < before + 3:
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
        newest = max((int(p.stem.split("-")[1]) for p in checkpoints.rglob("chk-*.manifest")), default=before)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def rescaled(tmp_path_factory):
    """Output of a job killed at parallelism 1 and at 3, and finished at 2."""
    folder = tmp_path_factory.mktemp("rescaled")
    checkpoints, output = folder / "chk", folder / "out"
    for parallelism, resume in [(1, False), (3, True)]:
        kill_after_a_checkpoint((str(checkpoints), str(output), parallelism, 600, resume), checkpoints)
    result = run(checkpoints, output, 2, 0, True)
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert result.metrics["Collection.rows_read"] < NUMBERS
    return output


@pytest.mark.parametrize("name", ["kinds", "ttl"])
def test_keyed_kinds_survive_kills_and_rescaling(rescaled, name):
    assert lines_of(rescaled / name) == sorted(all_kinds_in_plain_python(range(NUMBERS)))


def test_operator_lists_survive_kills_and_rescaling(rescaled):
    lines = [line.split() for line in lines_of(rescaled / "lists")]
    assert sorted(int(number) for number, *_ in lines) == list(range(NUMBERS))
    by_parallelism = defaultdict(list)
    for _, where, mine, restored in lines:
        by_parallelism[int(where.split(":")[0])].append((where, int(mine), int(restored)))
    assert sorted(by_parallelism) == [1, 2, 3]
    done = 0
    for parallelism in (1, 3, 2):
        rows = by_parallelism[parallelism]
        # What a run began with is what those before it had finished, in the eyes of each subtask.
        assert {restored for _, _, restored in rows} == {done}
        done += len(rows)
    # The last counts of all subtasks are all records, whoever counted them first.
    last = {}
    for where, mine, _ in by_parallelism[2]:
        last[where] = max(mine, last.get(where, 0))
    assert sum(last.values()) == NUMBERS


def test_broadcast_state_survives_kills_and_rescaling(rescaled):
    lines = [line.split(" ", 2) for line in lines_of(rescaled / "rules")]
    assert sorted(int(number) for number, *_ in lines) == list(range(NUMBERS))
    whole = "{'limit': 9, 'factor': 3} [('limit', 9), ('factor', 2), ('factor', 3)]"
    seen = Counter()
    for _, where, state in lines:
        if not where.startswith("1:"):
            assert state == whole
            seen[where] += 1
    assert set(seen) == {f"{p}:{i}" for p in (2, 3) for i in range(p)}


def test_keyed_broadcast_functions_keep_both_kinds_of_state(rescaled):
    lines = [line.split() for line in lines_of(rescaled / "keyed_rules")]
    assert [line[:3] for line in sorted(lines, key=lambda line: int(line[0]))] == [
        [str(n), str(n % KEYS), str(n // KEYS + 1)] for n in range(NUMBERS)
    ]
    assert {line[3] for line in lines[len(lines) // 2 :]} <= {"0", "2", "3"}
    assert Counter(line[3] for line in lines)["3"] > NUMBERS / 2


def test_map_with_state_survives_kills_and_rescaling(rescaled):
    assert lines_of(rescaled / "with_state") == sorted(f"{n} {n % KEYS} {n // KEYS + 1}" for n in range(NUMBERS))
    counts = [int(line) for line in lines_of(rescaled / "subtask_state")]
    assert len(counts) == NUMBERS
    # Lists of 3 and of 2 subtasks go on where those before them ended: none starts anew.
    assert Counter(counts)[1] == 1
