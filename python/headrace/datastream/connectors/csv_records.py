"""Where the records of a CSV file begin and end, without reading their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_RECORD = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")


class CsvRecord(NamedTuple):
    """Bytes [start, end) of a block, line end included, and the number of the line where they start."""

    start: int
    end: int
    line: int


class CsvRecords:
    """Finds records: quoted fields may hold line ends, and a quote inside an unquoted field is a character as any.

    Args:
        delimiter: One character between fields.
    """

    def __init__(self, delimiter: str) -> None:
        # A quote behind a delimiter or line end, or the first byte. The literal comes first: the search is faster so.
        opening = rb'"(?:(?<=[\r\n' + re.escape(delimiter.encode()) + rb']")|(?<![\x00-\xff]"))'
        # A quoted field, also one whose end is not there yet.
        self._quoted = re.compile(opening + rb'[^"]*(?:""[^"]*)*(?:"|\Z)')

    def whole_bytes(self, data: bytes) -> int:
        """How many bytes of `data`, which starts with a record, are whole records; the rest may go on."""
        end = data.rfind(b"\n") + 1
        if b'"' not in data:
            return end
        quoted = [field.span() for field in self._quoted.finditer(data)]
        while quoted and end:
            first, behind = quoted.pop()
            if first < end <= behind:
                end = data.rfind(b"\n", 0, first) + 1
            elif behind < end:
                break
        return end

    def split(self, data: bytes, first_line: int) -> Iterator[CsvRecord]:
        """The records of `data`; empty lines are none."""
        line = first_line
        for match in _RECORD.finditer(self._masked(data)):
            start, end = match.span()
            text = data[start:end]
            if text.strip(b"\r\n"):
                yield CsvRecord(start, end, line)
            line += count_lines(text)

    def _masked(self, data: bytes) -> bytes:
        return self._quoted.sub(lambda field: b"x" * len(field[0]), data) if b'"' in data else data


def count_lines(data: bytes) -> int:
    """Line ends in `data`; of files with carriage returns alone, those."""
    return data.count(b"\n") or data.count(b"\r")
