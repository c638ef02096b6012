"""Row: PyFlink's semantics."""

import copy
import gc
import pickle
import weakref

import pytest

from headrace._core import Row


def test_positional() -> None:
    row = Row(1, "a", None)
    assert (len(row), row[0], row[-1], row[:2], list(row)) == (3, 1, None, [1, "a"], [1, "a", None])
    assert repr(row) == "<Row(1, 'a', None)>"
    assert "a" in row
    assert "b" not in row


def test_named() -> None:
    row = Row(id=1, name="a")
    assert (row.id, row["name"], row[0]) == (1, "a", 1)
    assert repr(row) == "Row(id=1, name='a')"
    assert row.as_dict() == {"id": 1, "name": "a"}
    assert row.get_fields_by_names(["name", "id"]) == ["a", 1]
    assert row._fields == ["id", "name"]


def test_values_change_names_do_not() -> None:
    row = Row(a=1)
    row["a"] = 2
    row[0] += 1
    assert row.a == 3
    with pytest.raises(AttributeError):
        row.a = 4  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        row.b  # noqa: B018
    with pytest.raises(ValueError, match="b"):
        row["b"]
    with pytest.raises(IndexError):
        row[1]


def test_not_both_forms() -> None:
    with pytest.raises(ValueError, match="both args and kwargs"):
        Row(1, a=2)


def test_factory() -> None:
    person = Row("name", "age")
    assert repr(person("Ann", 30)) == "Row(name='Ann', age=30)"
    with pytest.raises(ValueError, match="expected 2 values"):
        person("Ann", 30, 1)


def test_equality_and_hash() -> None:
    assert Row(1, 2) == Row(1, 2) != Row(2, 1)
    assert Row(a=1, b=2) == Row(b=2, a=1)
    assert hash(Row(a=1, b=2)) == hash(Row(b=2, a=1))
    assert Row(a=1) != Row(b=1)
    assert Row(1) != (1,)
    changed = Row(1, 2)
    changed.set_row_kind(3)
    assert changed != Row(1, 2)


def test_recursive_dict() -> None:
    row = Row(a=Row(b=1), c=[Row(d=2)], e={"f": Row(g=3)})
    assert row.as_dict(True) == {"a": {"b": 1}, "c": [{"d": 2}], "e": {"f": {"g": 3}}}
    assert row.as_dict()["a"] == Row(b=1)
    with pytest.raises(TypeError):
        Row(1).as_dict()


def test_field_names_can_be_given_later() -> None:
    row = Row(1, 2)
    row.set_field_names(["x", "y"])
    assert row.y == 2
    with pytest.raises(ValueError, match="2 values"):
        row.set_field_names(["x"])


def test_of_kind_and_pickle() -> None:
    row = Row.of_kind(2, a=[1])
    for made in (pickle.loads(pickle.dumps(row)), copy.deepcopy(row)):
        assert made == row
        assert made.a is not row.a
    assert copy.deepcopy(Row(1)) == Row(1)


def test_rows_in_cycles_are_collected() -> None:
    class Node:
        pass

    node = Node()
    node.row = Row(node)  # type: ignore[attr-defined]
    seen = weakref.ref(node)
    del node
    gc.collect()
    assert seen() is None


def test_repr_of_a_row_that_contains_itself() -> None:
    row = Row(None)
    row[0] = row
    assert repr(row) == "<Row(Row(...))>"
