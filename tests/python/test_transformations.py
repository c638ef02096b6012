"""One record at a time: map, flat_map, filter, process, union, key_by, running aggregates."""

import pytest

from headrace import (
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
    ReduceFunction,
    Row,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
)  # fmt: skip
from python.streams import collect, new_env


class AddOne(MapFunction):
    def __init__(self):
        self.opened = False

    def open(self, runtime_context):
        self.opened = True

    def map(self, value):
        assert self.opened
        return value + 1


def test_lambdas_and_function_objects_map_filter_and_flat_map():
    env = new_env()
    stream = env.from_collection(range(6)).map(lambda x: x * 10).filter(lambda x: x % 20 == 0).map(AddOne())
    assert collect(stream.flat_map(lambda x: [x, -x])) == [1, -1, 21, -21, 41, -41]


def test_flat_map_takes_generators_and_none():
    def odd_twice(x):
        if x % 2 == 0:
            return None
        return (x for _ in range(2))

    assert collect(new_env().from_collection(range(4)).flat_map(odd_twice)) == [1, 1, 3, 3]


def test_declared_types_coerce_as_in_pyflink():
    env = new_env()
    rows = env.from_collection([(43878, 9147483648, 1.1)]).map(
        lambda r: r, Types.TUPLE([Types.SHORT(), Types.INT(), Types.FLOAT()])
    )
    ((short, wrapped, single),) = collect(rows)
    assert (short, wrapped) == (-21658, 557549056)
    assert single == pytest.approx(1.1, rel=1e-6)
    assert single != 1.1


def test_rows_reach_functions_with_names():
    env = new_env()
    typed = env.from_collection([(1, "hi"), (2, "ho")], Types.ROW([Types.INT(), Types.STRING()]))
    assert collect(typed.map(lambda r: f"{r.f0}{r.f1}{r}")) == ["1hiRow(f0=1, f1='hi')", "2hoRow(f0=2, f1='ho')"]
    named = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])
    env = new_env()
    assert collect(env.from_collection([Row(7, "x")], named).map(lambda r: (r["a"], r.b, r[0]))) == [(7, "x", 7)]


def test_union_keeps_every_record():
    env = new_env()
    a, b = env.from_collection([1, 2]), env.from_collection([3])
    assert sorted(collect(a.union(b, env.from_collection([4])))) == [1, 2, 3, 4]


def test_union_of_different_types_is_refused():
    env = new_env()
    with pytest.raises(ValueError, match="different types"):
        env.from_collection([1], Types.LONG()).union(env.from_collection(["a"], Types.STRING()))


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_reduce_gives_running_values_per_key(parallelism):
    class Add(ReduceFunction):
        def reduce(self, value1, value2):
            return (value1[0], value1[1] + value2[1])

    env = new_env(parallelism)
    pairs = env.from_collection([("a", 1), ("b", 5), ("a", 2), ("a", 3), ("b", 1)])
    got = collect(pairs.key_by(lambda p: p[0]).reduce(Add()))
    assert [v for k, v in got if k == "a"] == [1, 3, 6]
    assert [v for k, v in got if k == "b"] == [5, 6]


@pytest.mark.parametrize("typed", [False, True])
def test_running_sum_min_max(typed):
    type_info = Types.TUPLE([Types.STRING(), Types.LONG()]) if typed else None
    data = [("a", 3), ("a", 1), ("b", 7), ("a", 5)]
    for op, expected in [("sum", [3, 4, 9]), ("min", [3, 1, 1]), ("max", [3, 3, 5])]:
        env = new_env()
        keyed = env.from_collection(data, type_info).key_by(0)
        got = collect(getattr(keyed, op)(1))
        assert [v for k, v in got if k == "a"] == expected


def test_keys_of_different_types_are_different_keys():
    class Count(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            yield ctx.get_current_key(), self.count.value()

    keys = [1, 1.0, True, "1", b"1", None, (1, "a"), 1, True, 0.0, -0.0, float("nan"), float("nan")]
    got = collect(new_env().from_collection(keys).key_by(lambda k: k).process(Count()))
    assert [n for _, n in got] == [1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 2, 1, 2]
    assert [type(k) for k, _ in got[:4]] == [int, float, bool, str]


def test_side_outputs_of_process_function():
    odd = OutputTag("odd", Types.LONG())

    class Split(ProcessFunction):
        def process_element(self, value, ctx):
            if value % 2:
                yield odd, value
            else:
                yield value

    env = new_env()
    main = env.from_collection(range(5)).process(Split())
    side = main.get_side_output(odd).map(lambda x: x * 100)
    assert sorted(collect(main.union(side))) == [0, 2, 4, 100, 300]


def test_named_fields_and_several_fields_as_key():
    env = new_env()
    people = env.from_collection([{"city": "A", "age": 1}, {"city": "B", "age": 1}, {"city": "A", "age": 1}])

    class Key(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.get_current_key()

    assert sorted(collect(people.key_by(["city", "age"]).process(Key()))) == [("A", 1), ("A", 1), ("B", 1)]


def test_error_in_user_function_names_operator_record_and_line():
    def broken(value):
        return 1 // value

    env = new_env()
    stream = env.from_collection([2, 1, 0]).map(broken).name("divide")
    with pytest.raises(UserFunctionError, match=r"divide.*test_transformations\.py.*record 0") as caught:
        collect(stream)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_unknown_field_of_typed_stream_fails_where_it_is_written():
    typed = new_env().from_collection([(1,)], Types.ROW_NAMED(["a"], [Types.LONG()]))
    with pytest.raises(ValueError, match="'b'"):
        typed.key_by("b")


def test_function_that_cannot_be_copied_is_refused_with_the_attributes_name():
    import threading

    class Locked(MapFunction):
        def __init__(self):
            self.guard = threading.Lock()

        def map(self, value):
            return value

    with pytest.raises((TypeError, ValueError), match="guard"):
        new_env().from_collection([1]).map(Locked())


def test_execute_clears_the_program_and_streams_stay_usable():
    env = new_env()
    source = env.from_collection([1, 2])
    assert collect(source.map(lambda x: x + 1)) == [2, 3]
    assert collect(source.map(lambda x: x * 5)) == [5, 10]
    with pytest.raises(ValueError, match="nothing to run"):
        env.execute()


def test_take_stops_early():
    assert new_env().from_sequence(0, 10**9).take(5) == [0, 1, 2, 3, 4]


def test_million_results_of_one_record_pass_through():
    stream = new_env().from_collection([1_000_000]).flat_map(range).key_by(lambda x: x % 7).map(lambda x: x)
    assert sum(collect(stream)) == 499_999_500_000
