"""Arrow in and out: no copies, nulls, slices, dictionaries, chunks, every library."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from headrace import Types
from python.streams import new_env

TABLE = pa.table({
    "i": pa.array([1, None, 3, 4], pa.int64()),
    "s": pa.array(["a", "b", None, "dd"]),
    "f": pa.array([1.5, 2.5, None, -0.0]),
    "b": pa.array([True, None, False, True]),
    "l": pa.array([[1, 2], [], None, [3]], pa.list_(pa.int32())),
    "st": pa.array([{"x": 1, "y": "p"}, None, {"x": None, "y": "q"}, {"x": 4, "y": None}]),
    "ts": pa.array([1, 2, None, 4], pa.timestamp("us", "UTC")),
    "d": pa.array(["u", "v", "u", None]).dictionary_encode(),
})  # fmt: skip


def test_every_column_type_comes_out_as_it_went_in():
    assert new_env().from_arrow(TABLE).to_arrow().equals(TABLE)


def test_slices_and_chunks():
    chunked = pa.concat_tables([TABLE.slice(1, 2), TABLE.slice(0, 4), TABLE.slice(3)])
    assert new_env().from_arrow(chunked).to_arrow().combine_chunks().equals(chunked.combine_chunks())


def test_buffers_are_not_copied():
    table = pa.table({"x": pa.array(range(1000), pa.int64()), "y": pa.array([str(i) for i in range(1000)])})
    out = new_env().from_arrow(table).to_arrow()
    for name in ["x", "y"]:
        before = [b.address for b in table[name].chunk(0).buffers() if b is not None]
        after = [b.address for b in out[name].chunk(0).buffers() if b is not None]
        assert after == before


@pytest.mark.parametrize("make", [
    lambda t: t,
    lambda t: pl.from_arrow(t),
    lambda t: t.to_pandas(),
    lambda t: duckdb.sql("SELECT * FROM t"),
    lambda t: t.to_batches()[0],
], ids=["pyarrow", "polars", "pandas", "duckdb", "record_batch"])  # fmt: skip
def test_from_every_library(make):
    table = pa.table({"a": pa.array([1, 2, 3], pa.int64()), "b": ["x", "y", "z"]})
    got = new_env().from_arrow(make(table)).map(lambda r: (r.a, str(r.b))).take(10)
    assert got == [(1, "x"), (2, "y"), (3, "z")]


def test_to_polars_and_pandas():
    table = pa.table({"a": pa.array([1, 2], pa.int64())})
    assert new_env().from_arrow(table).to_polars().equals(pl.DataFrame({"a": [1, 2]}))
    pd.testing.assert_frame_equal(new_env().from_arrow(table).to_pandas(), pd.DataFrame({"a": [1, 2]}))


def test_typed_python_results_become_columns():
    row = Types.ROW_NAMED(["n", "t"], [Types.LONG(), Types.STRING()])
    got = new_env().from_sequence(1, 3).map(lambda n: (n, "x" * n), row).to_arrow()
    assert got.to_pydict() == {"n": [1, 2, 3], "t": ["x", "xx", "xxx"]}


def test_rows_reach_python_with_nulls_as_none():
    rows = new_env().from_arrow(TABLE).map(lambda r: (r.i, r.s, r.f, r.b, r.l)).take(4)
    assert rows == [
        (1, "a", 1.5, True, [1, 2]),
        (None, "b", 2.5, None, []),
        (3, None, None, False, None),
        (4, "dd", -0.0, True, [3]),
    ]


def test_unknown_timestamp_column_is_named():
    with pytest.raises(ValueError, match="'when'"):
        new_env().from_arrow(TABLE, timestamp="when")


def test_something_that_is_not_arrow_is_refused():
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        new_env().from_arrow([1, 2])
