"""Bounded file sources. pyarrow parses the formats; positions make every one of them exactly once.

| format | split | position |
| --- | --- | --- |
| text, JSON lines | file | byte offset of the next line |
| Parquet | file | row group and row within it |
| CSV | file | number of the next row; read again from the start, as quoted fields may hold line ends |
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from headrace import _core
from headrace.common.typeinfo import TypeInformation
from headrace.datastream.connectors.source import Source


def expand_paths(paths: str | Path | list[str]) -> list[str]:
    """Absolute paths of the files that the paths and globs name, sorted; directories stand for their files.

    Raises:
        FileNotFoundError: a path or glob that matches nothing.
    """
    found: list[str] = []
    for path in paths if isinstance(paths, list) else [paths]:
        text = str(path).removeprefix("file://")
        if "://" in text:
            raise ValueError(f"{text!r}: only local files can be read yet")
        plain = Path(text)
        if plain.is_dir():
            matches = sorted(str(p) for p in plain.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
        elif plain.exists():
            matches = [text]
        else:
            matches = sorted(glob.glob(text))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise FileNotFoundError(f"no file matches {text!r}")
        found.extend(str(Path(m).absolute()) for m in matches)
    return found


class _FilesSource(Source):
    """A source with one split a file. Subclasses give the schema and the reader of one file."""

    def __init__(self, paths: str | Path | list[str]) -> None:
        self._paths = expand_paths(paths)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], tuple[Any, bytes] | None]:
        """A function that gives up to n rows and the position behind them, None at the end of the file."""
        raise NotImplementedError

    def _make(self, schema: _core.Schema) -> _core.Source:
        paths = self._paths
        return _core.reader_source(lambda: _FilesReader(self, schema), lambda _parallelism: list(paths), schema)


class _FilesReader:
    """Reads the files of one subtask one after another."""

    def __init__(self, source: _FilesSource, schema: _core.Schema) -> None:
        self._source = source
        self._schema = schema
        self._splits: list[tuple[str, bytes]] = []
        self._current = 0
        self._read: Callable[[int], tuple[Any, bytes] | None] | None = None

    def open(self, runtime_context: Any) -> None:
        """Nothing to prepare."""

    def add_split(self, split_id: str, position: bytes) -> None:
        """Takes over a file."""
        self._splits.append((split_id, position))

    def poll(self, max_rows: int) -> Any:
        """See `_core.reader_source`."""
        if self._current == len(self._splits):
            return ("end",)
        path, position = self._splits[self._current]
        if self._read is None:
            self._read = self._source._open_file(path, position, self._schema)
        got = self._read(max_rows)
        if got is not None:
            rows, position = got
            self._splits[self._current] = (path, position)
            return (self._current, rows, position, False)
        self._read = None
        self._current += 1
        return (self._current - 1, [], position, True)

    def cancel(self) -> None:
        """Polls are short."""

    def close(self) -> None:
        """Lets go of the open file."""
        self._read = None


class TextFileSource(_FilesSource):
    """Lines of text files, without their line ends."""

    _kind = "text_file"

    def __init__(self, paths: str | Path | list[str], charset_name: str = "UTF-8") -> None:
        super().__init__(paths)
        self._charset = charset_name
        "".encode(charset_name)  # an unknown character set fails here, by name

    def _schema(self) -> _core.Schema:
        return _core.Schema(("string",))

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], tuple[Any, bytes] | None]:
        lines = _Lines(path, position)

        def read(max_rows: int) -> tuple[Any, bytes] | None:
            got = lines.next_lines(max_rows)
            if not got:
                return None
            try:
                return [line.decode(self._charset) for line in got], lines.position()
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, before byte {lines.offset}: not {self._charset} text: {error}") from error

        return read


class JsonLinesSource(_FilesSource):
    """One JSON value a line, as Python objects."""

    _kind = "json_lines"

    def _schema(self) -> _core.Schema:
        return _core.Schema(None)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], tuple[Any, bytes] | None]:
        lines = _Lines(path, position)
        description: Any = schema.type_desc
        names = list(description[1]) if description is not None and description[0] == "row" else None

        def parse(line: bytes) -> Any:
            try:
                value = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {lines.line_number}: not JSON: {error}") from error
            return value if names is None else _core.Row(**{name: value.get(name) for name in names})

        def read(max_rows: int) -> tuple[Any, bytes] | None:
            rows: list[Any] = []
            while len(rows) < max_rows:
                got = lines.next_lines(1)
                if not got:
                    break
                if got[0].strip():
                    rows.append(parse(got[0]))
            return (rows, lines.position()) if rows else None

        return read


class _Lines:
    """Lines of a file from a byte offset on. The position is `<offset>:<lines before it>`."""

    def __init__(self, path: str, position: bytes) -> None:
        offset, _, line = position.decode().partition(":")
        self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - lives as long as the reader
        self.offset = int(offset or 0)
        self.line_number = int(line or 0)
        self._file.seek(self.offset)

    def __del__(self) -> None:
        self._file.close()

    def next_lines(self, count: int) -> list[bytes]:
        """Up to `count` lines without their line ends; empty at the end of the file."""
        lines = []
        for _ in range(count):
            line = self._file.readline()
            if not line:
                break
            self.offset += len(line)
            self.line_number += 1
            lines.append(line.removesuffix(b"\n").removesuffix(b"\r"))
        return lines

    def position(self) -> bytes:
        """Where to go on."""
        return f"{self.offset}:{self.line_number}".encode()


class CsvFileSource(_FilesSource):
    """Typed rows of CSV files with a header line."""

    _kind = "csv"

    def __init__(
        self,
        paths: str | Path | list[str],
        columns: dict[str, TypeInformation] | None = None,
        delimiter: str = ",",
        null_values: list[str] | None = None,
    ) -> None:
        super().__init__(paths)
        self._delimiter = delimiter
        self._null_values = ["", "NA"] if null_values is None else null_values
        self._types = {name: arrow_type(info) for name, info in (columns or {}).items()}
        with self._open_csv(self._paths[0], self._types) as reader:
            self._arrow_schema: pa.Schema = reader.schema
        missing = sorted(set(self._types) - set(self._arrow_schema.names))
        if missing:
            raise ValueError(f"{self._paths[0]}: has no columns {missing}; it has {self._arrow_schema.names}")

    def _open_csv(self, path: str, types: Any) -> Any:
        import pyarrow.csv

        try:
            return pyarrow.csv.open_csv(
                path,
                read_options=pyarrow.csv.ReadOptions(use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=types, null_values=self._null_values, strings_can_be_null=True
                ),
            )
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: {error}") from error

    def _schema(self) -> _core.Schema:
        return _core.Schema.from_arrow(self._arrow_schema)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], tuple[Any, bytes] | None]:
        reader = self._open_csv(path, {field.name: field.type for field in self._arrow_schema})
        if reader.schema != self._arrow_schema:
            raise ValueError(
                f"{path}: its columns {reader.schema.names} are not those of {self._paths[0]}: {self._arrow_schema.names}"
            )
        return _read_batches(reader, int(position or b"0"), path)


def _read_batches(batches: Any, rows_done: int, path: str) -> Callable[[int], tuple[Any, bytes] | None]:
    """Slices of a file's record batches behind the first `rows_done` rows; the position is a row number."""
    pending: pa.RecordBatch | None = None
    to_pass_over = position = rows_done

    def read(max_rows: int) -> tuple[Any, bytes] | None:
        nonlocal pending, to_pass_over, position
        while pending is None or pending.num_rows == 0:
            try:
                pending = batches.read_next_batch()
            except StopIteration:
                return None
            except pa.ArrowInvalid as error:
                raise ValueError(f"{path}: {error}") from error
            passed = min(to_pass_over, pending.num_rows)
            to_pass_over -= passed
            pending = pending.slice(passed)
        rows, pending = pending.slice(0, max_rows), pending.slice(max_rows)
        position += rows.num_rows
        return rows, str(position).encode()

    return read


class ParquetFileSource(_FilesSource):
    """Typed rows of Parquet files."""

    _kind = "parquet"

    def __init__(self, paths: str | Path | list[str], columns: list[str] | None = None) -> None:
        super().__init__(paths)
        import pyarrow.parquet

        self._columns = columns
        try:
            schema = pyarrow.parquet.read_schema(self._paths[0])
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self._paths[0]}: {error}") from error
        missing = sorted(set(columns or []) - set(schema.names))
        if missing:
            raise ValueError(f"{self._paths[0]}: has no columns {missing}; it has {schema.names}")
        self._arrow_schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])

    def _schema(self) -> _core.Schema:
        return _core.Schema.from_arrow(self._arrow_schema)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], tuple[Any, bytes] | None]:
        import pyarrow.parquet

        group, _, row = position.decode().partition(":")
        state = {"group": int(group or 0), "row": int(row or 0)}
        parquet = pyarrow.parquet.ParquetFile(path)
        pending: pa.Table | None = None

        def read(max_rows: int) -> tuple[Any, bytes] | None:
            nonlocal pending
            while pending is None or state["row"] >= pending.num_rows:
                if pending is not None:
                    state["group"], state["row"] = state["group"] + 1, 0
                if state["group"] >= parquet.num_row_groups:
                    return None
                pending = parquet.read_row_group(
                    state["group"], columns=self._columns, use_threads=False
                ).combine_chunks()
                if pending.schema.names != self._arrow_schema.names:
                    raise ValueError(f"{path}: its columns {pending.schema.names} are not {self._arrow_schema.names}")
            rows = pending.slice(state["row"], max_rows).to_batches()[0]
            state["row"] += rows.num_rows
            return rows, f"{state['group']}:{state['row']}".encode()

        return read


def arrow_type(type_info: TypeInformation) -> pa.DataType:
    """Pyarrow's type of a basic type.

    Raises:
        ValueError: a type that CSV cannot hold.
    """
    kind = type_info._describe()[0]
    types = {
        "string": pa.string(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
        "float32": pa.float32(), "float64": pa.float64(), "bool": pa.bool_(), "date": pa.date32(),
        "timestamp": pa.timestamp("ms"),
    }  # fmt: skip
    if kind not in types:
        raise ValueError(f"a CSV column cannot be of type {type_info}")
    return types[kind]
