"""JSON-lines files as a source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace import _core
from headrace.datastream.connectors.bad_rows import BadRowPolicy, BadRows
from headrace.datastream.connectors.file_readers import FileLines, FileRows, FilesSource
from headrace.datastream.connectors.readable_files import ReadableFiles
from headrace.datastream.output_tag import OutputTag


class JsonLinesSource(FilesSource):
    """One JSON value a line: as Python objects, or as typed rows where the stream has a type."""

    _kind = "json_lines"

    def __init__(
        self, paths: str | Path | list[str], on_bad_row: str | OutputTag = "fail", files: ReadableFiles | None = None
    ) -> None:
        super().__init__(paths, BadRowPolicy(on_bad_row), files)

    def _schema(self) -> _core.Schema:
        return _core.Schema(None)

    def _open_file(self, path: str, position: bytes, schema: _core.Schema) -> Callable[[int], FileRows | None]:
        return _JsonFile(FileLines(self._files, path, position), schema, BadRows(self._bad_rows, path)).read


class _JsonFile:
    def __init__(self, lines: FileLines, schema: _core.Schema, bad_rows: BadRows) -> None:
        self._lines = lines
        self._schema = schema
        self._typed = schema.type_desc is not None
        self._names = schema.names if schema.shape == "row" else None
        self._bad_rows = bad_rows

    def read(self, max_rows: int) -> FileRows | None:
        """See `FilesSource._open_file`."""
        rows: list[Any] = []
        places: list[tuple[int, bytes]] = []
        while len(rows) < max_rows and (got := self._lines.next_lines(1)):
            place = (self._lines.line_number, got[0])
            if not got[0].strip():
                continue
            try:
                rows.append(self._parse(got[0]))
                places.append(place)
            except ValueError as error:
                self._bad_rows.add(*place, str(error))
        if self._typed:
            self._put_aside_unfit(rows, places)
        bad = self._bad_rows.take()
        return FileRows(rows, self._lines.position(), bad) if rows or bad else None

    def _parse(self, line: bytes) -> Any:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error
        if self._names is None:
            return value
        if not isinstance(value, dict):
            raise ValueError(f"expected an object with the fields {self._names}")
        return _core.Row(**{name: value.get(name) for name in self._names})

    def _put_aside_unfit(self, rows: list[Any], places: list[tuple[int, bytes]]) -> None:
        """Takes rows out that are not of the stream's type."""
        unfit = self._schema.unfit(rows)
        for number, why in unfit:
            self._bad_rows.add(*places[number], why)
        for number, _ in reversed(unfit):
            del rows[number]
