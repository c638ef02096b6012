"""Files that cannot be read: missing, damaged, with rows that are not what they should be."""

import csv
import gzip
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace import OutputTag, Row, StorageError, TimestampAssigner, Types, WatermarkStrategy
from headrace.datastream.connectors.csv_records import CsvRecords
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

TWO_INTS = {"a": Types.LONG(), "b": Types.LONG()}
BAD = OutputTag("bad")
# Line 3 is short, 4 of a wrong type, 5 and 6 are one record, 7 is long, 8 is empty.
MIXED = 'a,b\n1,2\n3\n4,x\n5,"q\nr"\n6,7,8\n\n9,10\n'
BAD_LINES = [3, 4, 5, 7]


@pytest.fixture
def mixed_csv(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text(MIXED)
    return path


# ---- files that are not there, or are something else


@pytest.mark.parametrize("read", ["read_text_file", "read_csv", "read_json", "read_parquet"])
def test_missing_file_is_named(read):
    with pytest.raises(FileNotFoundError, match="no file matches '/nowhere/x'"):
        getattr(new_env(), read)("/nowhere/x")


@pytest.mark.parametrize("read", ["read_text_file", "read_csv", "read_json", "read_parquet"])
def test_empty_directory_is_named(tmp_path, read):
    (tmp_path / "inner").mkdir()
    with pytest.raises(FileNotFoundError, match=r"directory '.*' holds no files"):
        getattr(new_env(), read)(tmp_path)


def test_file_that_went_away_is_an_io_error_that_a_restart_mends(tmp_path):
    path, away = tmp_path / "lines.txt", tmp_path / "away.txt"
    path.write_text("one\ntwo\n")
    env = new_env(restart_strategy__type="fixed-delay", restart_strategy__fixed_delay__attempts="100",
                  restart_strategy__fixed_delay__delay="10 ms")  # fmt: skip
    env.read_text_file(path).sink_to(file_sink(tmp_path / "out"))
    path.rename(away)
    client = env.execute_async()
    while client.status().name != "RESTARTING":
        assert not client.status().is_terminal_state()
    away.rename(path)
    assert "lines.txt" in client.result().recoveries[0]["cause"]
    assert lines_of(tmp_path / "out") == ["one", "two"]


def test_file_that_stays_away_is_a_storage_error_with_its_name(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("one\n")
    env = new_env(restart_strategy__type="none")
    lines = env.read_text_file(path)
    path.unlink()
    with pytest.raises(StorageError, match=r"operator 'Text .*FileNotFoundError.*lines\.txt"):
        collect(lines)


def test_empty_csv_file_has_no_header_line(tmp_path):
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(ValueError, match=r"x\.csv: not a CSV file with a header line"):
        new_env().read_csv(tmp_path / "x.csv")


def test_csv_files_of_different_columns_are_refused(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(ValueError, match=r"2\.csv: its columns \['a', 'c'\] are not those of .*1\.csv: \['a', 'b'\]"):
        new_env().read_csv(tmp_path / "*.csv").to_arrow()


def test_unknown_csv_column_is_refused_with_those_there_are(mixed_csv):
    with pytest.raises(ValueError, match=r"mixed\.csv: has no columns \['z'\]; it has \['a', 'b'\]"):
        new_env().read_csv(mixed_csv, columns={"z": Types.LONG()})


def test_text_in_another_encoding_names_file_and_line(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(ValueError, match=r"x\.txt, line 3: not UTF-8 text"):
        collect(new_env().read_text_file(tmp_path / "x.txt"))


@pytest.mark.parametrize("damage", ["footer", "cut", "foreign"])
def test_damaged_parquet_file_is_named(tmp_path, damage):
    path = parquet_file(tmp_path)
    whole = bytearray(path.read_bytes())
    damaged = {"footer": whole[:-300] + bytes(100) + whole[-200:], "cut": whole[: len(whole) // 2], "foreign": b"text"}
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=r"x\.parquet: not a Parquet file, or damaged"):
        new_env().read_parquet(path)


def test_damaged_parquet_page_names_file_and_row_group(tmp_path):
    path = parquet_file(tmp_path)
    offset = pq.ParquetFile(path).metadata.row_group(3).column(0).data_page_offset + 100
    whole = bytearray(path.read_bytes())
    whole[offset : offset + 400] = bytes(400)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"x\.parquet, row group 3: .*damaged"):
        collect(new_env().read_parquet(path))


def parquet_file(folder):
    path = folder / "x.parquet"
    values = random.Random(1).sample(range(10**12), 10_000)
    pq.write_table(pa.table({"a": values}), path, row_group_size=1000, use_dictionary=False)
    return path


# ---- rows that are not what they should be


def test_unreadable_csv_row_names_file_and_line(mixed_csv):
    with pytest.raises(ValueError, match=r"operator 'CSV .*mixed\.csv, line 3: expected 2 columns, got 1: '3'"):
        new_env().read_csv(mixed_csv, columns=TWO_INTS).to_arrow()


def test_csv_value_of_a_wrong_type_names_column_and_type(tmp_path):
    (tmp_path / "x.csv").write_text('a,b\n1,"two\nlines"\n1,3\nx,4\n')
    with pytest.raises(ValueError, match=r"x\.csv, line 5: column 'a': 'x' is no int64: 'x,4'"):
        new_env().read_csv(tmp_path / "x.csv", columns={"a": Types.LONG(), "b": Types.STRING()}).to_arrow()


def test_value_unlike_the_first_rows_says_how_to_declare_the_column(tmp_path):
    (tmp_path / "x.csv").write_text("a\n" + "1\n" * 600_000 + "x\n")
    with pytest.raises(ValueError, match=r"line 600002: column 'a': 'x' is no int64, .*columns=\{'a': \.\.\.\}"):
        new_env().read_csv(tmp_path / "x.csv").to_arrow()


def test_csv_rows_are_passed_over_and_counted_when_asked(mixed_csv):
    env = new_env()
    env.read_csv(mixed_csv, columns=TWO_INTS, on_bad_row="skip").print()
    metrics = env.execute().metrics
    assert metrics[f"CSV {mixed_csv}.user.bad_rows"] == len(BAD_LINES)
    assert metrics[f"CSV {mixed_csv}.rows_read"] == 2


def test_bad_csv_rows_go_to_a_side_output(mixed_csv):
    stream = new_env().read_csv(mixed_csv, columns=TWO_INTS, on_bad_row=BAD)
    bad = collect(stream.get_side_output(BAD))
    assert [row.line for row in bad] == BAD_LINES
    assert bad[1] == Row(file=str(mixed_csv), line=4, text="4,x", error="column 'b': 'x' is no int64")


def test_side_output_is_there_behind_assigned_timestamps_too(mixed_csv):
    class FieldA(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return value.a

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(FieldA())
    stream = new_env().read_csv(mixed_csv, columns=TWO_INTS, on_bad_row=BAD, watermark_strategy=strategy)
    assert len(collect(stream.get_side_output(BAD))) == len(BAD_LINES)


def test_good_rows_stay_beside_a_side_output(mixed_csv):
    stream = new_env().read_csv(mixed_csv, columns=TWO_INTS, on_bad_row=BAD)
    assert collect(stream.map(tuple)) == [(1, 2), (9, 10)]


@pytest.mark.parametrize("policy", ["ignore", None, 3])
def test_unknown_policy_is_refused(mixed_csv, policy):
    with pytest.raises((ValueError, TypeError), match="on_bad_row: expected 'fail', 'skip' or an OutputTag"):
        new_env().read_csv(mixed_csv, on_bad_row=policy)


def test_bad_rows_of_a_compressed_file(tmp_path):
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write(MIXED)
    stream = new_env().read_csv(tmp_path / "x.csv.gz", columns=TWO_INTS, on_bad_row=BAD)
    assert [row.line for row in collect(stream.get_side_output(BAD))] == BAD_LINES


def random_csv(rng, rows):
    """Text of a CSV file of an int and a text column, its good rows, and the lines where the others start."""
    lines, good, bad_lines, line = ["n,text"], [], [], 2
    for number in range(rows):
        text = rng.choice(["plain", 'with "quotes"', "comma, inside", "line\nbreak", "", "x" * rng.randrange(700)])
        fields = {0: ["no number", text], 1: [str(number)], 2: [str(number), text, "more"]}.get(rng.randrange(400))
        if fields is None:
            good.append((number, text or None))
            fields = [str(number), text]
        else:
            bad_lines.append(line)
        quoted = ['"' + f.replace('"', '""') + '"' if rng.random() < 0.2 or set(f) & set(',\n"') else f for f in fields]
        lines.append(",".join(quoted))
        line += 1 + lines[-1].count("\n")
        if rng.random() < 0.01:
            lines.append("")
            line += 1
    return "\n".join(lines) + "\n" * rng.randrange(2), good, bad_lines


@pytest.mark.parametrize("seed", range(4))
def test_random_csv_files_give_good_rows_and_lines_of_bad_ones(tmp_path, seed):
    # Longer than three blocks. The good rows are also what Python's csv module reads.
    text, good, bad_lines = random_csv(random.Random(seed), 12_000)
    path = tmp_path / "x.csv"
    path.write_text(text, newline="")
    assert path.stat().st_size > 3 * (256 << 10)
    read = [row for row in csv.reader(text.splitlines(keepends=True)) if row][1:]
    assert good == [(int(r[0]), r[1] or None) for r in read if len(r) == 2 and r[0].isdigit()]
    stream = new_env().read_csv(path, columns={"n": Types.LONG(), "text": Types.STRING()}, on_bad_row=BAD)
    stream.sink_to(file_sink(tmp_path / "good"))
    bad = collect(stream.get_side_output(BAD))
    assert [row.line for row in bad] == bad_lines
    assert lines_of(tmp_path / "good") == sorted(
        line for row in good for line in str(Row(n=row[0], text=row[1])).split("\n")
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_bad_and_good_rows_come_exactly_once_across_a_restart(tmp_path, compressed):
    text, good, bad_lines = random_csv(random.Random(9), 12_000)
    path = tmp_path / ("x.csv.gz" if compressed else "x.csv")
    with gzip.open(path, "wt", newline="") if compressed else path.open("w", newline="") as file:
        file.write(text)
    failed = []

    def fail_once(row):
        if row.n > 7000 and not failed:
            failed.append(row.n)
            raise RuntimeError("planned")
        return row.n

    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    env.get_config()
    env.configure(
        new_env(restart_strategy__type="fixed-delay", restart_strategy__fixed_delay__delay="1 ms")._configuration
    )
    columns = {"n": Types.LONG(), "text": Types.STRING()}
    stream = env.read_csv(path, columns=columns, on_bad_row=BAD, rows_per_second=12_000)
    stream.get_side_output(BAD).map(lambda row: str(row.line)).sink_to(file_sink(tmp_path / "bad"))
    stream.map(fail_once).sink_to(file_sink(tmp_path / "good"))
    result = env.execute()
    assert result.recoveries[0]["checkpoint"] > 0
    assert sorted(map(int, lines_of(tmp_path / "good"))) == [number for number, _ in good]
    assert sorted(map(int, lines_of(tmp_path / "bad"))) == bad_lines


@pytest.mark.parametrize("cut", range(1, 40))
def test_whole_records_end_where_no_quote_is_open(cut):
    data = b'1,"a\nb"\n2,5" pipe\n3,"say ""x\ny"""\n4,z\n'
    ends = [8, 18, 34, 38]
    whole = CsvRecords(",").whole_bytes(data[:cut])
    assert whole in [0, *ends]
    # A closing quote at the very end may be the first half of an escaped one.
    assert whole == max([0, *(end for end in ends if end <= cut)])


# ---- JSON lines

JSON_LINES = '{"a": 1, "b": "x"}\n{"a":\n\n[1]\n{"a": "no", "b": "y"}\n{"a": 2}\n'
A_AND_B = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])


@pytest.fixture
def json_file(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(JSON_LINES)
    return path


def test_broken_json_line_names_file_and_line(json_file):
    with pytest.raises(ValueError, match=r"operator 'JSON .*x\.jsonl, line 2: not JSON: .*: '\{\"a\":'"):
        collect(new_env().read_json(json_file))


def test_json_value_of_a_wrong_type_names_file_and_line(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": "no"}\n')
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2: field 'a': 'no' of type str is no int64"):
        collect(new_env().read_json(tmp_path / "x.jsonl", A_AND_B))


def test_bad_json_lines_go_to_a_side_output(json_file):
    stream = new_env().read_json(json_file, A_AND_B, on_bad_row=BAD)
    assert [row.line for row in collect(stream.get_side_output(BAD))] == [2, 4, 5]
    assert collect(new_env().read_json(json_file, A_AND_B, on_bad_row="skip")) == [Row(a=1, b="x"), Row(a=2, b=None)]


def test_untyped_json_values_of_any_kind_pass(json_file):
    got = collect(new_env().read_json(json_file, on_bad_row="skip"))
    assert got == [{"a": 1, "b": "x"}, [1], {"a": "no", "b": "y"}, {"a": 2}]
