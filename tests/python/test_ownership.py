"""Who owns an emitted value: reused and mutated objects must not change what others see."""

from headrace import FlatMapFunction, Row
from python.streams import collect, new_env


class ReusedList(FlatMapFunction):
    def __init__(self):
        self.item = []

    def flat_map(self, value):
        for i in range(value):
            self.item.append(i)
            yield self.item
        self.item.clear()


def test_reused_list_does_not_show_its_last_value():
    assert collect(new_env().from_collection([3]).flat_map(ReusedList())) == [[0], [0, 1], [0, 1, 2]]


def test_reused_row_does_not_show_its_last_value():
    class Reused(FlatMapFunction):
        def __init__(self):
            self.row = Row(a=0)

        def flat_map(self, value):
            for i in range(value):
                self.row["a"] = i
                yield self.row

    assert [r.a for r in collect(new_env().from_collection([3]).flat_map(Reused()))] == [0, 1, 2]


def test_list_in_a_tuple_is_copied_too():
    class Reused(FlatMapFunction):
        def __init__(self):
            self.items = []

        def flat_map(self, value):
            for i in range(value):
                self.items.append(i)
                yield ("x", self.items)

    assert collect(new_env().from_collection([2]).flat_map(Reused())) == [("x", [0]), ("x", [0, 1])]


def test_two_branches_where_one_mutates():
    env = new_env()
    lists = env.from_collection(range(100)).map(lambda i: [i])

    def mutate(item):
        item.append("mutated")
        return ("left", item)

    left = lists.map(mutate)
    right = lists.map(lambda item: ("right", list(item)))
    got = collect(left.union(right))
    assert sorted(item[0] for side, item in got if side == "right") == list(range(100))
    assert all(len(item) == 1 for side, item in got if side == "right")


def test_input_object_passes_as_it_is():
    data = [{"a": 1}, {"b": 2}]
    got = collect(new_env().from_collection(data).map(lambda d: d).filter(lambda d: True))
    assert got == data
