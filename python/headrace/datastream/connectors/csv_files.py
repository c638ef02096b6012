"""CSV files as a source: pyarrow reads the values, block by block, and what it refuses is found row by row."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace.checkpoint_storage.location import is_remote
from headrace.common.typeinfo import TypeInformation
from headrace.datastream.connectors.bad_rows import BadRowPolicy, BadRows
from headrace.datastream.connectors.csv_records import CsvRecord, CsvRecords, count_lines
from headrace.datastream.connectors.file_readers import FileRows, FilesSource
from headrace.datastream.connectors.readable_files import ReadableFiles
from headrace.datastream.output_tag import OutputTag

_BLOCK_BYTES = 256 << 10
_HEADER_BYTES = 4 << 10  # read for the header line, before the first block
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to ([^:]+): (.*)", re.DOTALL)
_INVALID_VALUE = re.compile(r"invalid value '(.*)'", re.DOTALL)
_COLUMN_COUNT = re.compile(r"Expected (\d+) columns, got (\d+)")


class CsvFileSource(FilesSource):
    """Typed rows of CSV files with a header line."""

    _kind = "csv"

    def __init__(
        self,
        paths: str | Path | list[str],
        columns: dict[str, TypeInformation] | None = None,
        delimiter: str = ",",
        null_values: list[str] | None = None,
        on_bad_row: str | OutputTag = "fail",
        files: ReadableFiles | None = None,
    ) -> None:
        super().__init__(paths, BadRowPolicy(on_bad_row), files)
        if len(delimiter) != 1 or len(delimiter.encode()) != 1 or delimiter in '"\r\n':
            raise ValueError(f"read_csv: delimiter must be one ASCII character, got {delimiter!r}")
        self._delimiter = delimiter
        self._null_values = ["", "NA"] if null_values is None else null_values
        declared = {name: arrow_type(info) for name, info in (columns or {}).items()}
        inferred = self._inferred_schema(self._paths[0])
        missing = sorted(set(declared) - set(inferred.names))
        if missing:
            raise ValueError(f"{self._paths[0]}: has no columns {missing}; it has {inferred.names}")
        self._declared = frozenset(declared)
        self._arrow_schema = pa.schema([(field.name, declared.get(field.name, field.type)) for field in inferred])

    def _schema(self) -> _core.Schema:
        return _core.Schema.from_arrow(self._arrow_schema)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], FileRows | None]:
        return _CsvFile(self, path, position, BadRows(self._bad_rows, path)).read

    def _inferred_schema(self, path: str) -> pa.Schema:
        """Names from the header and types from the rows in the file's first megabyte; rows that are bad do not count."""
        import pyarrow.csv

        try:
            with pyarrow.csv.open_csv(
                self._files.arrow_stream(path) if is_remote(path) else path,
                read_options=pyarrow.csv.ReadOptions(use_threads=False),
                parse_options=self._parse_options(invalid_row_handler=lambda _: "skip"),
                convert_options=self._convert_options(None),
            ) as reader:
                return reader.schema
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV file with a header line: {error}") from error

    def _parse_options(self, **options: Any) -> Any:
        import pyarrow.csv

        return pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, **options)

    def _convert_options(self, schema: pa.Schema | None) -> Any:
        import pyarrow.csv

        return pyarrow.csv.ConvertOptions(column_types=schema, null_values=self._null_values, strings_can_be_null=True)


class _CsvFile:
    """Reads one file. The position is `<offset of a block>:<its first line>:<rows of it that were read>`."""

    def __init__(self, source: CsvFileSource, path: str, position: bytes, bad_rows: BadRows) -> None:
        self._source = source
        self._path = path
        self._bad_rows = bad_rows
        self._schema = source._arrow_schema
        self._convert_options = source._convert_options(self._schema)
        self._parse_options = source._parse_options()
        self._records = CsvRecords(source._delimiter)
        offset, line, rows = map(int, (position or b"0:1:0").split(b":"))
        self._offset, self._line, self._rows_done = offset, line, rows
        self._to_pass_over = rows
        self._next_offset, self._next_line = offset, line  # behind the block that is read
        self._file = source._files.arrow_stream(path)  # decompresses by the file's ending
        self._ahead = b""
        self._pending: list[pa.RecordBatch] = []
        if offset == 0:
            self._skip_header()
        else:
            self._skip_bytes(offset)

    def read(self, max_rows: int) -> FileRows | None:
        """Rows of one batch at most; None at the end."""
        while not self._pending:
            # A block whose bad rows were handed out before the position is passed over with them.
            if not self._next_block():
                return None
            if not self._pending and (bad := self._bad_rows.take()):
                return FileRows([], self._position_behind_block(), bad)
        batch = self._pending[0]
        rows, rest = batch.slice(0, max_rows), batch.slice(max_rows)
        self._pending[:1] = [rest] if rest.num_rows else []
        self._rows_done += rows.num_rows
        position = self._position() if self._pending else self._position_behind_block()
        return FileRows(rows, position, self._bad_rows.take())

    def _position(self) -> bytes:
        return f"{self._offset}:{self._line}:{self._rows_done}".encode()

    def _position_behind_block(self) -> bytes:
        return f"{self._next_offset}:{self._next_line}:0".encode()

    def _skip_bytes(self, count: int) -> None:
        if self._file.seekable():
            self._file.seek(count)
            return
        while count > 0 and (skipped := len(self._file.read(min(count, _BLOCK_BYTES)))):
            count -= skipped

    def _skip_header(self) -> None:
        data, at_end = b"", False
        header: CsvRecord | None = None
        while header is None and not at_end:
            more = self._file.read(_HEADER_BYTES)
            data, at_end = data + more, not more
            whole = len(data) if at_end else self._records.whole_bytes(data)
            header = next(self._records.split(data[:whole], 1), None)
        end = header.end if header else len(data)
        self._check_header(data[:end])
        self._ahead = data[end:]
        self._next_offset, self._next_line = end, 1 + count_lines(data[:end])

    def _check_header(self, header: bytes) -> None:
        import pyarrow.csv

        try:
            names = pyarrow.csv.read_csv(pa.BufferReader(header), parse_options=self._parse_options).column_names
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self._path}: not a CSV file with a header line: {error}") from error
        if names != self._schema.names:
            first = self._source._paths[0]
            raise ValueError(f"{self._path}: its columns {names} are not those of {first}: {self._schema.names}")

    def _next_block(self) -> bool:
        """Reads the next block into `_pending`; false at the end of the file."""
        data, at_end, whole = self._ahead, False, 0
        while not at_end and whole == 0:
            more = self._file.read(_BLOCK_BYTES)
            data, at_end = data + more, not more
            whole = len(data) if at_end else self._records.whole_bytes(data)
        if not data:
            return False
        block, self._ahead = data[:whole], data[whole:]
        self._offset, self._line, self._rows_done = self._next_offset, self._next_line, 0
        self._next_offset += whole
        self._next_line += count_lines(block)
        self._pending = [batch for table in self._tables_of(block) for batch in table.combine_chunks().to_batches()]
        if self._to_pass_over:
            self._pass_over_rows()
        return True

    def _pass_over_rows(self) -> None:
        self._bad_rows.take()  # they went out with the first rows
        self._rows_done = self._to_pass_over
        while self._to_pass_over and self._pending:
            passed = min(self._to_pass_over, self._pending[0].num_rows)
            self._to_pass_over -= passed
            rest = self._pending[0].slice(passed)
            self._pending[:1] = [rest] if rest.num_rows else []

    def _tables_of(self, block: bytes) -> list[pa.Table]:
        if not block.strip(b"\r\n"):
            return []
        try:
            return [self._parse(block)]
        except pa.ArrowInvalid:
            return self._around_bad_rows(block, list(self._records.split(block, self._line)))

    def _around_bad_rows(self, block: bytes, records: list[CsvRecord]) -> list[pa.Table]:
        """Tables of the good rows among `records`, found by halving."""
        text = block[records[0].start : records[-1].end]
        try:
            return [self._parse(text)]
        except pa.ArrowInvalid as error:
            if len(records) == 1:
                self._bad_rows.add(records[0].line, text, self._explain(str(error)))
                return []
        half = len(records) // 2
        return self._around_bad_rows(block, records[:half]) + self._around_bad_rows(block, records[half:])

    def _parse(self, text: bytes) -> pa.Table:
        import pyarrow.csv

        return pyarrow.csv.read_csv(
            pa.BufferReader(text),
            read_options=pyarrow.csv.ReadOptions(
                column_names=self._schema.names, use_threads=False, block_size=max(len(text), 1)
            ),
            parse_options=self._parse_options,
            convert_options=self._convert_options,
        )

    def _explain(self, error: str) -> str:
        """Pyarrow's message about one row, in the words of the file's columns."""
        if counts := _COLUMN_COUNT.search(error):
            return f"expected {counts[1]} columns, got {counts[2]}"
        if conversion := _CONVERSION.search(error):
            name = self._schema.names[int(conversion[1])]
            value = _INVALID_VALUE.search(conversion[3])
            cause = f"column {name!r}: " + (f"{value[1]!r} is no {conversion[2]}" if value else conversion[3])
            if name in self._source._declared:
                return cause
            return f"{cause}, the type that the first rows have (columns={{{name!r}: ...}} declares another)"
        return error


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
