"""Bounded file sources. pyarrow parses the formats; positions make every one of them exactly once.

| format | split | position |
| --- | --- | --- |
| text, JSON lines | file | byte offset of the next line |
| Parquet | file | row group and row within it |
| CSV | file | byte offset of a block of whole records, its first line, and rows read of it |

CSV and JSON lines have files of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from headrace import _core
from headrace._core import Row
from headrace.datastream.connectors.bad_rows import BadRowPolicy
from headrace.datastream.connectors.readable_files import ReadableFiles
from headrace.datastream.connectors.source import Source


class FileRows(NamedTuple):
    """What one read of a file gave."""

    rows: Any
    """Records in a list, or a record batch."""
    position: bytes
    """Where to go on behind them."""
    bad: list[Row] = []  # noqa: RUF012 - a field's default, never changed
    """Rows for the side output, or to be counted."""


class FilesSource(Source):
    """A source with one split a file. Subclasses give the schema and the reader of one file."""

    def __init__(
        self, paths: str | Path | list[str], bad_rows: BadRowPolicy | None = None, files: ReadableFiles | None = None
    ) -> None:
        self._files = files or ReadableFiles()
        self._paths = self._files.find(paths)
        self._bad_rows = bad_rows or BadRowPolicy("fail")

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], FileRows | None]:
        """A function that gives up to n rows and the position behind them, None at the end of the file."""
        raise NotImplementedError

    def _make(self, schema: _core.Schema) -> _core.Source:
        paths = self._paths
        return _core.reader_source(
            lambda: _FilesReader(self, schema),
            lambda _parallelism: list(paths),
            schema,
            side_tag=self._bad_rows.tag_id,
            side_schema=self._bad_rows.side_schema,
        )

    def _side_schemas(self) -> dict[str, _core.Schema]:
        schema = self._bad_rows.side_schema
        return {} if schema is None else {self._bad_rows.tag_id: schema}


class _FilesReader:
    """Reads the files of one subtask one after another."""

    def __init__(self, source: FilesSource, schema: _core.Schema) -> None:
        self._source = source
        self._schema = schema
        self._splits: list[tuple[str, bytes]] = []
        self._current = 0
        self._read: Callable[[int], FileRows | None] | None = None
        self._bad_count: Any = None

    def open(self, runtime_context: Any) -> None:
        """Makes the counter of bad rows."""
        if not self._source._bad_rows.fails:
            self._bad_count = runtime_context.get_metrics_group().counter("bad_rows")

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
        if got is None:
            self._read = None
            self._current += 1
            return (self._current - 1, [], position, True)
        self._splits[self._current] = (path, got.position)
        result = (self._current, got.rows, got.position, False)
        if not got.bad:
            return result
        self._bad_count.inc(len(got.bad))
        return (*result, got.bad) if self._source._bad_rows.tag_id else result

    def cancel(self) -> None:
        """Polls are short."""

    def close(self) -> None:
        """Lets go of the open file."""
        self._read = None


class TextFileSource(FilesSource):
    """Lines of text files, without their line ends."""

    _kind = "text_file"

    def __init__(
        self, paths: str | Path | list[str], charset_name: str = "UTF-8", files: ReadableFiles | None = None
    ) -> None:
        super().__init__(paths, files=files)
        self._charset = charset_name
        "".encode(charset_name)  # an unknown character set fails here, by name

    def _schema(self) -> _core.Schema:
        return _core.Schema(("string",))

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], FileRows | None]:
        lines = FileLines(self._files, path, position)

        def read(max_rows: int) -> FileRows | None:
            first = lines.line_number + 1
            got = lines.next_lines(max_rows)
            if not got:
                return None
            texts: list[str] = []
            try:
                texts.extend(line.decode(self._charset) for line in got)
            except UnicodeDecodeError as error:
                number = first + len(texts)
                raise ValueError(f"{path}, line {number}: not {self._charset} text: {error}") from error
            return FileRows(texts, lines.position())

        return read


class FileLines:
    """Lines of a file from a byte offset on. The position is `<offset>:<lines before it>`."""

    def __init__(self, files: ReadableFiles, path: str, position: bytes) -> None:
        offset, _, line = position.decode().partition(":")
        self._file: BinaryIO = files.open(path)
        self.offset = int(offset or 0)
        self.line_number = int(line or 0)
        self._file.seek(self.offset)

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # it may not have been there to open
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


class ParquetFileSource(FilesSource):
    """Typed rows of Parquet files."""

    _kind = "parquet"

    def __init__(
        self, paths: str | Path | list[str], columns: list[str] | None = None, files: ReadableFiles | None = None
    ) -> None:
        super().__init__(paths, files=files)
        import pyarrow.parquet

        self._columns = columns
        with _parquet_errors(self._paths[0]):
            schema = pyarrow.parquet.read_schema(self._files.arrow_input(self._paths[0]))
        missing = sorted(set(columns or []) - set(schema.names))
        if missing:
            raise ValueError(f"{self._paths[0]}: has no columns {missing}; it has {schema.names}")
        self._arrow_schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])

    def _schema(self) -> _core.Schema:
        return _core.Schema.from_arrow(self._arrow_schema)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], FileRows | None]:
        import pyarrow.parquet

        group, _, row = position.decode().partition(":")
        state = {"group": int(group or 0), "row": int(row or 0)}
        with _parquet_errors(path):
            parquet = pyarrow.parquet.ParquetFile(self._files.arrow_input(path))
        pending: pa.Table | None = None

        def read_group(number: int) -> pa.Table:
            with _parquet_errors(f"{path}, row group {number}"):
                table = parquet.read_row_group(number, columns=self._columns, use_threads=False).combine_chunks()
            if table.schema.names != self._arrow_schema.names:
                raise ValueError(f"{path}: its columns {table.schema.names} are not {self._arrow_schema.names}")
            return table

        def read(max_rows: int) -> FileRows | None:
            nonlocal pending
            while pending is None or state["row"] >= pending.num_rows:
                if pending is not None:
                    state["group"], state["row"] = state["group"] + 1, 0
                if state["group"] >= parquet.num_row_groups:
                    return None
                pending = read_group(state["group"])
            rows = pending.slice(state["row"], max_rows).to_batches()[0]
            state["row"] += rows.num_rows
            return FileRows(rows, f"{state['group']}:{state['row']}".encode())

        return read


@contextmanager
def _parquet_errors(place: str) -> Iterator[None]:
    """What pyarrow says about bytes that are no Parquet, as a ValueError that names the file; other errors pass."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the operating system's, not about the bytes
        raise ValueError(f"{place}: not a Parquet file, or damaged: {error}") from error
