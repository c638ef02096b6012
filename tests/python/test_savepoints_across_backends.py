"""Savepoints taken on one backend go on on another, at parallelism 1, then 3, then 2, with every kind of state."""

import itertools
import time
from collections import defaultdict

import pytest

from headrace import (
    Configuration,
    Count,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
    Sum,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.state_functions import (
    A_DAY,
    KEYS,
    RULES,
    AllKinds,
    ApplyRulesByKey,
    CountsAndTotals,
    all_kinds_in_plain_python,
)  # fmt: skip
from python.streams import BACKENDS, NumbersUntilStopped, file_sink, lines_of

NUMBERS = 1500
ROWS_OF_LIFE = 500
STOPS = [ROWS_OF_LIFE, 2 * ROWS_OF_LIFE, NUMBERS]  # where each life ends
WINDOW_MS, LATER_MS = 1000, 1500
MANY_KEYS = 40  # some for each subtask
MS = 10  # event time between two numbers


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return (value[1] if isinstance(value, tuple) else value) * MS


class Reminders(KeyedProcessFunction):
    """A timer of each number, and what waits for it."""

    def open(self, runtime_context):
        self.waiting = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.LONG(), Types.LONG()))

    def process_element(self, value, ctx):
        due = value * MS + LATER_MS
        self.waiting[due] = value
        ctx.timer_service().register_event_time_timer(due)
        return ()

    def on_timer(self, timestamp, ctx):
        yield f"{ctx.get_current_key()}@{timestamp}: {self.waiting[timestamp]}"
        self.waiting.remove(timestamp)


class WindowsOfKey(ProcessWindowFunction):
    """The rows of a window, and how many windows and rows of the key fired before."""

    def process(self, key, context, elements):
        fired = context.global_state().get_state(ValueStateDescriptor("fired", Types.LONG()))
        rows = context.global_state().get_list_state(ListStateDescriptor("counts", Types.LONG()))
        fired.update((fired.value() or 0) + 1)
        rows.add(len(list(elements)))
        window = context.window()
        yield f"{key}@{window.start}: {sorted(elements)} {fired.value()} {sum(rows.get())}"


def program(env, output, stop):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(EventTime())
    numbers = env.add_source(NumbersUntilStopped(NUMBERS, stop), "Numbers", Types.LONG()).uid("numbers")
    rules = env.from_collection([("factor", 2), ("limit", 9), ("factor", 3)]).uid("the-rules").name("Rules")
    timed = numbers.assign_timestamps_and_watermarks(strategy).uid("times")
    keyed = timed.key_by(lambda n: n % KEYS, Types.LONG())
    typed = numbers.map(lambda n: (n % KEYS, n), Types.TUPLE([Types.LONG(), Types.LONG()])).uid("pairs")
    many_keys = numbers.key_by(lambda n: n % MANY_KEYS, Types.LONG())
    pairs = typed.assign_timestamps_and_watermarks(strategy).uid("pair times").key_by(lambda pair: pair[0])
    tumbling = TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS))
    branches = {
        "kinds": keyed.process(AllKinds(), Types.STRING()),
        "ttl": keyed.process(AllKinds(A_DAY), Types.STRING()),
        "timers": keyed.process(Reminders(), Types.STRING()),
        "windows": keyed.window(tumbling).process(WindowsOfKey(), Types.STRING()),
        "slices": pairs.window(tumbling).agg(n=Count(), total=Sum("f1")),
        "totals": pairs.sum(1),
        "lists": many_keys.map(CountsAndTotals(), Types.STRING()),
        "rules": many_keys.connect(rules.broadcast(RULES)).process(ApplyRulesByKey(), Types.STRING()),
    }
    for name, stream in branches.items():
        text = stream.uid(name).map(str, Types.STRING()).uid(f"text of {name}")
        text.sink_to(file_sink(output / name)).uid(f"out-{name}")


def rows_of_windows(numbers):
    """(key, start) -> numbers."""
    windows = defaultdict(list)
    for n in numbers:
        windows[n % KEYS, n * MS // WINDOW_MS * WINDOW_MS].append(n)
    return windows


def lines_of_windows(windows):
    fired, rows = defaultdict(int), defaultdict(int)
    for (key, start), numbers in sorted(windows.items(), key=lambda item: item[0][1]):
        fired[key] += 1
        rows[key] += len(numbers)
        yield f"{key}@{start}: {numbers} {fired[key]} {rows[key]}"


def lines_of_totals():
    totals = defaultdict(int)
    for n in range(NUMBERS):
        totals[n % KEYS] += n
        yield str((n % KEYS, totals[n % KEYS]))


def expected_lines():
    """Of the branches whose lines do not tell of the parallelism."""
    windows = rows_of_windows(range(NUMBERS))
    return {
        "kinds": all_kinds_in_plain_python(range(NUMBERS)),
        "ttl": all_kinds_in_plain_python(range(NUMBERS)),
        "timers": [f"{n % KEYS}@{n * MS + LATER_MS}: {n}" for n in range(NUMBERS)],
        "windows": list(lines_of_windows(windows)),
        "slices": [
            f"Row(key={key}, window_start={start}, window_end={start + WINDOW_MS}, n={len(rows)}, total={sum(rows)})"
            for (key, start), rows in windows.items()
        ],
        "totals": list(lines_of_totals()),
    }


def life(backend, folder, number, parallelism, savepoint):
    """Runs the job, from a savepoint if there is one; stops it with the next, the third time lets it end."""
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.dir": str(folder / f"chk{number}"),
            "execution.state-recovery.path": savepoint,
        })
    )  # fmt: skip
    env.set_parallelism(parallelism)
    env.set_state_backend(BACKENDS[backend](folder / str(number)))
    program(env, folder / "out", STOPS[number])
    client = env.execute_async("across")
    if STOPS[number] == NUMBERS:
        return client.result().metrics
    deadline = time.monotonic() + 60
    read = client.metrics
    while read().get("Numbers.rows_read", 0) < ROWS_OF_LIFE or (number == 0 and read().get("Rules.rows_read", 0) < 3):
        assert not client.status().is_terminal_state()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return client.stop_with_savepoint(folder / "savepoints", drain=False).result()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(BACKENDS, repeat=2)))
def test_all_state_goes_from_one_backend_to_another_and_back(tmp_path, first, second):
    savepoint = life(first, tmp_path, 0, 1, "")
    savepoint = life(second, tmp_path, 1, 3, savepoint)
    metrics = life(first, tmp_path, 2, 2, savepoint)
    assert metrics["Numbers.rows_read"] == ROWS_OF_LIFE
    for name, lines in expected_lines().items():
        assert lines_of(tmp_path / "out" / name) == sorted(lines), name
    check_lists([line.split() for line in lines_of(tmp_path / "out" / "lists")])
    check_rules(lines_of(tmp_path / "out" / "rules"))
    assert any(".state_store." in metric for metric in metrics) == (first != "memory")


def check_lists(lines):
    """Elements that were dealt out, and the union that every subtask began with, are all that was counted before."""
    assert sorted(int(number) for number, *_ in lines) == list(range(NUMBERS))
    done = 0
    for parallelism in (1, 3, 2):
        rows = [line for line in lines if line[1].startswith(f"{parallelism}:")]
        assert {int(restored) for *_, restored in rows} == {done}
        done += len(rows)
    last = defaultdict(int)
    for _, where, mine, _ in lines:
        last[where] = max(last[where], int(mine))
    assert last["2:0"] + last["2:1"] == NUMBERS


def check_rules(lines):
    """Every subtask of the later lives knew the last rule from its first row on."""
    rows = {int(line.split()[0]): line.split()[1:] for line in lines}
    assert len(rows) == len(lines)
    assert all(rows[n][:2] == [str(n % MANY_KEYS), str(n // MANY_KEYS + 1)] for n in range(NUMBERS))
    assert {rows[n][2] for n in range(ROWS_OF_LIFE, NUMBERS)} == {"3"}
