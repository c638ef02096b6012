"""Text, CSV, JSON lines and Parquet files as sources."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq

from headrace import Types
from headrace.datastream.connectors import FileSource, StreamFormat
from python.streams import collect, new_env


def test_text_lines_of_several_files(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("três\n\nlast without end")
    got = collect(new_env().read_text_file(tmp_path / "*.txt"))
    assert got == ["one", "two", "três", "", "last without end"]
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path)).build()
    assert sorted(collect(new_env(2).from_source(source, None, "files"))) == sorted(got)


def test_csv_with_inferred_and_declared_types(tmp_path):
    (tmp_path / "x.csv").write_text('a,b,c\n1,"x, y",NA\n2,"line\nbreak",2.5\n')
    rows = new_env().read_csv(tmp_path / "x.csv", columns={"a": Types.INT()}).to_arrow().to_pylist()
    assert rows == [{"a": 1, "b": "x, y", "c": None}, {"a": 2, "b": "line\nbreak", "c": 2.5}]


def test_compressed_csv(tmp_path):
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write("a\n1\n2\n")
    assert new_env().read_csv(tmp_path / "x.csv.gz").to_arrow().to_pydict() == {"a": [1, 2]}


def test_json_lines_as_dicts_and_rows(tmp_path):
    lines = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert collect(new_env().read_json(tmp_path / "x.jsonl")) == lines
    row = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])
    assert new_env().read_json(tmp_path / "x.jsonl", row).to_arrow().to_pylist() == lines


def test_parquet_of_several_row_groups(tmp_path):
    table = pa.table({"a": list(range(10_000)), "b": [str(i) for i in range(10_000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=999)
    assert new_env().read_parquet(tmp_path / "x.parquet").to_arrow().equals(table)
    only_b = new_env().read_parquet(tmp_path / "x.parquet", columns=["b"]).to_arrow()
    assert only_b.equals(table.select(["b"]))


def test_rows_per_second_slows_a_source_down(tmp_path):
    (tmp_path / "x.txt").write_text("line\n" * 50)
    env = new_env()
    env.read_text_file(tmp_path / "x.txt", rows_per_second=100)
    assert 400 <= env.execute().get_net_runtime() <= 2000
