"""reduce, aggregate, apply and process on windows, against a plain Python model of windows and lateness."""

import random
from collections import defaultdict

import pytest

from headrace import (
    AllWindowFunction,
    Avg,
    ListStateDescriptor,
    OutputTag,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    ReduceFunction,
    SlidingEventTimeWindows,
    Sum,
    Time,
    TimeWindow,
    TumblingEventTimeWindows,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
    WatermarkStrategy,
    WindowFunction,
)  # fmt: skip
from python.streams import TotalsOfPairs, collect, new_env

STRIDE = 1024
BOUND_MS = 500
TRIPLE = Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG()])
TUMBLING = TumblingEventTimeWindows.of(Time.seconds(1))
SLIDING = SlidingEventTimeWindows.of(Time.seconds(2), Time.milliseconds(700), Time.milliseconds(100))


def events(rows=4000, keys="abc", disorder_ms=4000, seed=3):
    """(key, value, event time), up to four seconds out of order: far more than the watermark allows for."""
    rng = random.Random(seed)
    return [(rng.choice(keys), rng.randrange(100), i * 3 + 5000 - rng.randrange(disorder_ms)) for i in range(rows)]


EVENTS = events()


def windows_of(assigner, time):
    """Start and end of each window that holds a time."""
    size, slide, offset = assigner._size_ms, assigner._slide_ms, assigner._offset_ms
    start = (time - offset) // slide * slide + offset
    while start > time - size:
        yield start, start + size
        start -= slide


def model(data, assigner, lateness_ms=0, key_of=lambda event: event[0]):
    """What windows do, row by row: {(key, start, end): contents at each firing}, and the rows that are late."""
    contents, firings, late = defaultdict(list), defaultdict(list), []
    watermark, largest = -(2**63), -(2**63)

    def advance(to):
        for place in sorted(contents):
            if watermark < place[2] - 1 <= to:
                firings[place].append(list(contents[place]))

    for row, event in enumerate(data):
        largest = max(largest, event[2])
        taken = False
        for start, end in windows_of(assigner, event[2]):
            if end - 1 + lateness_ms <= watermark:
                continue
            taken = True
            place = (key_of(event), start, end)
            contents[place].append(event)
            if end - 1 <= watermark:
                firings[place].append(list(contents[place]))
        if not taken:
            late.append(event)
        if (row + 1) % STRIDE == 0:
            advance(largest - BOUND_MS - 1)
            watermark = largest - BOUND_MS - 1
    advance(2**63)
    return dict(firings), late


def timed(env, data=EVENTS, type_info=None):
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(BOUND_MS).with_timestamp_assigner(lambda v, _: v[2])
    return env.from_collection(data, type_info).assign_timestamps_and_watermarks(strategy)


def grouped(records):
    """(key, start, end, result) as {place: results in order}."""
    places = defaultdict(list)
    for key, start, end, result in records:
        places[key, start, end].append(result)
    return dict(places)


def combine(a, b):
    return (a[0], a[1] + b[1], max(a[2], b[2]))


class Combine(ReduceFunction):
    def reduce(self, value1, value2):
        return combine(value1, value2)


class Placed(ProcessWindowFunction):
    """The elements with key and window, which a ProcessWindowFunction finds in its context."""

    def open(self, runtime_context):
        self.opened = True

    def process(self, key, context, elements):
        window = context.window()
        assert self.opened
        assert isinstance(window, TimeWindow)
        assert window.max_timestamp() == window.end - 1
        yield key, window.start, window.end, list(elements)


class PlacedByWindow(WindowFunction):
    def apply(self, key, window, inputs):
        return [(key, window.start, window.end, list(inputs))]


def placed(key, window, elements):
    yield key, window.start, window.end, list(elements)


@pytest.mark.parametrize("parallelism", [1, 2, 3])
@pytest.mark.parametrize("assigner", [TUMBLING, SLIDING], ids=["tumbling", "sliding"])
@pytest.mark.parametrize("type_info", [None, TRIPLE], ids=["objects", "typed"])
def test_process_window_function_gets_the_elements_of_each_window(parallelism, assigner, type_info):
    keyed = timed(new_env(parallelism), type_info=type_info).key_by(lambda v: v[0])
    want, late = model(EVENTS, assigner)
    assert len(late) > 20
    assert grouped(collect(keyed.window(assigner).process(Placed()))) == want


@pytest.mark.parametrize("function", [PlacedByWindow(), placed], ids=["object", "function"])
def test_apply_gets_key_window_and_elements(function):
    keyed = timed(new_env(2)).key_by(lambda v: v[0])
    assert grouped(collect(keyed.window(SLIDING).apply(function))) == model(EVENTS, SLIDING)[0]


def reduced(elements):
    result = elements[0]
    for element in elements[1:]:
        result = combine(result, element)
    return result


@pytest.mark.parametrize("function", [Combine(), combine], ids=["object", "function"])
@pytest.mark.parametrize("type_info", [None, TRIPLE], ids=["objects", "typed"])
def test_reduce_combines_the_elements_of_each_window(function, type_info):
    keyed = timed(new_env(2), type_info=type_info).key_by(lambda v: v[0])
    want = [reduced(contents) for firings in model(EVENTS, SLIDING)[0].values() for contents in firings]
    assert sorted(collect(keyed.window(SLIDING).reduce(function))) == sorted(want)


@pytest.mark.parametrize("window_function", [Placed(), PlacedByWindow(), placed], ids=["process", "apply", "function"])
def test_reduce_with_a_window_function_gives_it_the_one_result(window_function):
    keyed = timed(new_env(2)).key_by(lambda v: v[0])
    want = {place: [[reduced(c)] for c in firings] for place, firings in model(EVENTS, TUMBLING)[0].items()}
    assert grouped(collect(keyed.window(TUMBLING).reduce(combine, window_function))) == want


@pytest.mark.parametrize("window_function", [Placed(), PlacedByWindow(), placed], ids=["process", "apply", "function"])
def test_aggregate_with_a_window_function_gives_it_the_one_result(window_function):
    keyed = timed(new_env(2)).key_by(lambda v: v[0])
    want = {
        place: [[(sum(e[1] for e in c), len(c))] for c in firings]
        for place, firings in model(EVENTS, SLIDING)[0].items()
    }
    assert grouped(collect(keyed.window(SLIDING).aggregate(TotalsOfPairs(), window_function))) == want


def test_builtin_aggregate_with_a_window_function():
    keyed = timed(new_env(), type_info=TRIPLE).key_by(0)
    want = {
        place: [[sum(e[1] for e in c) / len(c)] for c in firings]
        for place, firings in model(EVENTS, TUMBLING)[0].items()
    }
    assert grouped(collect(keyed.window(TUMBLING).aggregate(Avg(1), Placed()))) == want


@pytest.mark.parametrize("lateness_ms", [300, 1000, 10**6])
def test_late_rows_fire_their_window_again_as_long_as_lateness_allows(lateness_ms):
    want, late = model(EVENTS, SLIDING, lateness_ms)
    assert any(len(firings) > 1 for firings in want.values())
    assert bool(late) == (lateness_ms < 10**6)
    tag = OutputTag("late")
    windows = timed(new_env()).key_by(lambda v: v[0]).window(SLIDING).allowed_lateness(lateness_ms)
    results = windows.side_output_late_data(tag).process(Placed())
    side = results.get_side_output(tag).map(lambda event: ("late", event))
    got = collect(results.union(side))
    assert [g[1] for g in got if g[0] == "late"] == late
    assert grouped(g for g in got if g[0] != "late") == want


@pytest.mark.parametrize("call", ["reduce", "aggregate"])
def test_results_accumulate_over_late_firings(call):
    want, _ = model(EVENTS, TUMBLING, 1000)
    windows = timed(new_env()).key_by(lambda v: v[0]).window(TUMBLING).allowed_lateness("1 s")
    if call == "reduce":
        got = collect(windows.reduce(combine, Placed()))
        expected = {place: [[reduced(c)] for c in firings] for place, firings in want.items()}
    else:
        got = collect(windows.aggregate(TotalsOfPairs(), Placed()))
        expected = {place: [[(sum(e[1] for e in c), len(c))] for c in firings] for place, firings in want.items()}
    assert grouped(got) == expected


class PlacedOfAll(ProcessAllWindowFunction):
    def process(self, context, elements):
        yield "all", context.window().start, context.window().end, list(elements)


class PlacedByAllWindow(AllWindowFunction):
    def apply(self, window, inputs):
        return [("all", window.start, window.end, list(inputs))]


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("call", ["process", "apply", "reduce", "aggregate"])
def test_windows_over_all_records(parallelism, call):
    windows = timed(new_env(parallelism)).window_all(TUMBLING)
    want, _ = model(EVENTS, TUMBLING, key_of=lambda _: "all")
    if call == "process":
        stream = windows.process(PlacedOfAll())
    elif call == "apply":
        stream = windows.apply(PlacedByAllWindow())
    elif call == "reduce":
        stream = windows.reduce(combine, PlacedOfAll())
        want = {place: [[reduced(c)] for c in firings] for place, firings in want.items()}
    else:
        stream = windows.aggregate(TotalsOfPairs(), PlacedByAllWindow())
        want = {place: [[(sum(e[1] for e in c), len(c))] for c in firings] for place, firings in want.items()}
    assert grouped(collect(stream)) == want


def test_context_knows_time_and_keeps_state_by_window_and_by_key():
    class Firings(ProcessWindowFunction):
        def process(self, key, context, elements):
            here = context.window_state().get_state(ValueStateDescriptor("firings", Types.LONG()))
            everywhere = context.global_state().get_state(ValueStateDescriptor("firings of the key", Types.LONG()))
            here.update((here.value() or 0) + 1)
            everywhere.update((everywhere.value() or 0) + 1)
            assert context.current_watermark() >= context.window().max_timestamp()
            assert context.current_processing_time() > 1_600_000_000_000
            yield key, context.window().start, context.window().end, (here.value(), everywhere.value())

        def clear(self, context):
            context.window_state().get_state(ValueStateDescriptor("firings", Types.LONG())).clear()

    want, _ = model(EVENTS, TUMBLING, 1000)
    windows = timed(new_env()).key_by(lambda v: v[0]).window(TUMBLING).allowed_lateness(1000)
    got = grouped(collect(windows.process(Firings())))
    assert {place: [here for here, _ in firings] for place, firings in got.items()} == {
        place: list(range(1, len(firings) + 1)) for place, firings in want.items()
    }
    for key in "abc":
        total = sorted(count for (k, *_), firings in got.items() if k == key for _, count in firings)
        assert total == list(range(1, len(total) + 1))


def test_clear_is_called_once_for_each_window_when_it_is_gone():
    class Clears(ProcessWindowFunction):
        def process(self, key, context, elements):
            kept = context.window_state().get_list_state(ListStateDescriptor("kept", Types.LONG()))
            kept.add(len(list(elements)))
            return []

        def clear(self, context):
            kept = context.window_state().get_list_state(ListStateDescriptor("kept", Types.LONG()))
            cleared.append((context.window().start, list(kept.get())))

    cleared = []
    windows = timed(new_env()).key_by(lambda _: "k").window(TUMBLING).allowed_lateness(1000)
    windows.process(Clears()).get_execution_environment().execute()
    want, _ = model(EVENTS, TUMBLING, 1000, key_of=lambda _: "k")
    assert dict(cleared) == {start: [len(c) for c in firings] for (_, start, _), firings in want.items()}
    assert len(cleared) == len(want)


def test_results_carry_the_last_millisecond_of_their_window():
    windows = timed(new_env()).key_by(lambda v: v[0]).window(TUMBLING).reduce(combine, Placed())
    ends = windows.window_all(TUMBLING).apply(lambda window, inputs: [(window.end, {i[2] for i in inputs})])
    assert all(ends == {end} for end, ends in collect(ends))


def test_declared_output_type_holds():
    keyed = timed(new_env()).key_by(lambda v: v[0])
    out = keyed.window(TUMBLING).process(
        Placed(), Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG(), Types.INT()])
    )
    with pytest.raises(Exception, match=r"Window.*is no int32"):
        collect(out)


@pytest.mark.parametrize("call", ["process", "apply", "reduce", "aggregate", "window function", "clear"])
def test_failure_in_a_window_names_operator_and_place(call):
    def fail(*_):
        raise LookupError("planned")

    class Fails(ProcessWindowFunction):
        process = clear = fail

    class FailsToClear(Placed):
        clear = fail

    class FailsToAdd(TotalsOfPairs):
        add = fail

    windows = timed(new_env()).key_by(lambda v: v[0]).window(TUMBLING)
    stream = {
        "process": lambda: windows.process(Fails()),
        "apply": lambda: windows.apply(fail),
        "reduce": lambda: windows.reduce(fail),
        "aggregate": lambda: windows.aggregate(FailsToAdd()),
        "window function": lambda: windows.aggregate(TotalsOfPairs(), Fails()),
        "clear": lambda: windows.process(FailsToClear()),
    }[call]()
    with pytest.raises(UserFunctionError, match=r"operator 'my windows'.*planned.*test_window_functions\.py") as caught:
        collect(stream.name("my windows"))
    assert isinstance(caught.value.__cause__, LookupError)


def test_what_is_no_window_function_is_refused_where_it_is_written():
    windows = timed(new_env()).key_by(lambda v: v[0]).window(TUMBLING)
    for make in (windows.process, windows.apply, windows.reduce):
        with pytest.raises(TypeError, match="expected a function"):
            make(7)
    with pytest.raises(TypeError, match="expected an AggregateFunction or a built-in aggregate, got int"):
        windows.aggregate(7)
    with pytest.raises(TypeError, match="window function"):
        windows.aggregate(Sum(1), 7)
    with pytest.raises(TypeError, match=r"TumblingEventTimeWindows\.of"):
        timed(new_env()).key_by(lambda v: v[0]).window(1000)
