"""The typed encoding of Python values: what goes in comes out, keys are canonical, files name no code."""

import contextlib
import datetime as dt
import enum
import math
import uuid
import zoneinfo
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import _core
from headrace._core import Row, decode_value, encode_key, encode_value

Point = namedtuple("Point", ["x", "y"])


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


@dataclass
class Visit:
    page: str
    seconds: float = 0.0
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    a: int


def round_trip(value: Any) -> Any:
    return decode_value(encode_value(value))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.binary(),
    st.text(st.characters()), st.dates(), st.datetimes(), st.times(), st.timedeltas(), st.uuids(),
    st.decimals(allow_nan=False),
)  # fmt: skip
KEYS = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner), max_leaves=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(lambda a, b: Row(a=a, b=b), inner, inner),
        st.builds(Row, inner),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_values_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)
    assert encode_value(back) == encode_value(value)


@given(st.sets(st.one_of(st.integers(), st.text(st.characters()))))
def test_sets_encode_alike_whatever_their_order(values: set[Any]) -> None:
    assert round_trip(values) == values
    assert round_trip(frozenset(values)) == frozenset(values)
    assert encode_value(set(reversed(list(values)))) == encode_value(values)


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, -(2**127), 2**127, 10**400])
def test_ints_of_any_size(number: int) -> None:
    assert round_trip(number) == number


def test_big_ints_are_minimal() -> None:
    assert encode_value(-(2**127))[:2] == b"\x04\x10"
    assert encode_value(2**127)[:2] == b"\x04\x11"


def test_lone_surrogates_survive() -> None:
    assert round_trip("a\ud800b") == "a\ud800b"
    assert encode_value("a\ud800b")[0] == 0x07


@pytest.mark.parametrize(
    "zone", [dt.UTC, dt.timezone(dt.timedelta(hours=-5, minutes=30)), zoneinfo.ZoneInfo("Europe/Berlin")]
)
def test_time_zones(zone: dt.tzinfo) -> None:
    moment = dt.datetime(2024, 10, 27, 2, 30, 0, 1, tzinfo=zone, fold=1)
    back = round_trip(moment)
    assert back == moment
    assert back.fold == 1
    assert back.utcoffset() == moment.utcoffset()
    assert round_trip(dt.time(1, 2, tzinfo=dt.UTC)) == dt.time(1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "value", [Point(1, [2]), Color.RED, Color.BLUE, Visit("p", 1.5, ["a"]), Frozen(3), {"v": [Visit("q")]}]
)
def test_classes_are_registered_by_encoding(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "scalar",
    [np.int8(-3), np.uint64(2**63), np.float32(0.1), np.float64(0.5), np.bool_(True), np.str_("äb"), np.bytes_(b"x"),
     np.datetime64("2024-01-02", "ns"), np.timedelta64(3, "s"), np.complex64(1 + 2j), np.str_("")],
)  # fmt: skip
def test_numpy_scalars_keep_their_type(scalar: Any) -> None:
    back = round_trip(scalar)
    assert back == scalar
    assert type(back) is type(scalar)
    assert back.dtype == scalar.dtype


def test_row_keeps_kind_and_names() -> None:
    row = Row(a=1, b=[Row(2)])
    row.set_row_kind(3)
    assert repr(round_trip(row)) == repr(row)
    assert encode_value(round_trip(row)) == encode_value(row)


def test_bytearray_and_nan() -> None:
    assert type(round_trip(bytearray(b"ab"))) is bytearray
    assert math.isnan(round_trip(math.nan))
    assert math.copysign(1, round_trip(-0.0)) == -1


def test_keys_of_different_types_differ() -> None:
    assert len({encode_key(1), encode_key(1.0), encode_key(True), encode_key("1"), encode_key(b"1")}) == 5


def test_keys_are_canonical() -> None:
    assert encode_key(-0.0) == encode_key(0.0)
    assert encode_key(float("nan")) == encode_key(-float("nan"))
    assert encode_key((-0.0, "a")) == encode_key((0.0, "a"))
    assert encode_key(np.int16(7)) == encode_key(np.int64(7)) == encode_key(7)
    assert encode_key(np.float64(0.5)) == encode_key(0.5)
    assert encode_key(frozenset("ab")) == encode_key(frozenset("ba"))


def test_key_groups_are_spread_and_bounded() -> None:
    groups = {_core.key_group(i) for i in range(2000)}
    assert groups == set(range(128))
    assert {_core.subtask_of_key_group(g, 4) for g in groups} == {0, 1, 2, 3}
    with pytest.raises(_core.InvalidArgumentError, match="max_parallelism"):
        _core.key_group(1, 0)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(_core.InvalidArgumentError, match="contains itself"):
        encode_value(loop)


def test_deep_nesting() -> None:
    value: Any = 1
    for _ in range(190):
        value = [value]
    assert round_trip(value) == value
    for _ in range(20):
        value = (value,)
    with pytest.raises(_core.InvalidArgumentError, match="200 deep"):
        encode_value(value)


@pytest.mark.parametrize("value", [object(), lambda: 1, {1: object()}, 1j, memoryview(b"a"), Point(object(), 1)])
def test_values_without_encoding_name_type_and_remedy(value: Any) -> None:
    with pytest.raises(_core.InvalidArgumentError, match=r"type '.*' .*PICKLED_BYTE_ARRAY"):
        encode_value(value)


def test_unregistered_classes_are_not_imported() -> None:
    name = b"os.path.Surprise"
    data = b"\x1a" + bytes([len(name)]) + name + b"\x01X"
    with pytest.raises(_core.InvalidArgumentError, match=r"os.path.Surprise.*register_class"):
        decode_value(data)


def test_pickles_are_refused() -> None:
    with pytest.raises(_core.InvalidArgumentError, match="pickle"):
        decode_value(b"\x18\x04\x80\x05N.")


@given(st.binary(max_size=60))
def test_damaged_bytes_never_crash(data: bytes) -> None:
    # What decodes at all must encode again: damage is either refused or read as another whole value.
    value = None
    with contextlib.suppress(_core.HeadraceError):
        value = decode_value(data)
    encoded = encode_value(value)
    assert encode_value(decode_value(encoded)) == encoded


@given(VALUES, st.data())
def test_truncated_values_are_corrupt(value: Any, data: st.DataObject) -> None:
    encoded = encode_value(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(_core.CorruptionError):
        decode_value(encoded[:cut])


def test_register_class_refuses_plain_classes() -> None:
    class Plain:
        pass

    with pytest.raises(_core.InvalidArgumentError, match="Plain"):
        _core.register_class(Plain)
    with pytest.raises(_core.InvalidArgumentError, match="expected a class"):
        _core.register_class(3)
    _core.register_class(Visit)


def test_uuid_and_decimal_exactly() -> None:
    assert round_trip(Decimal("1.10")).as_tuple() == Decimal("1.10").as_tuple()
    assert round_trip(uuid.UUID(int=5)) == uuid.UUID(int=5)
