"""Ints in order (PyFlink's `pyflink.datastream.connectors.number_seq`)."""

from __future__ import annotations

from headrace import _core
from headrace.datastream.connectors.source import Source


class NumberSequenceSource(Source):
    """The ints from `start` to `end`, both included, as LONG. Runs in parallel over ranges.

    Raises:
        ValueError: `end` is before `start`.
    """

    _kind = "number_sequence"

    def __init__(self, start: int, end: int) -> None:
        if end < start:
            raise ValueError(f"NumberSequenceSource: end {end} is before start {start}")
        self._start = start
        self._end = end

    def _schema(self) -> _core.Schema:
        return _core.Schema(("int64",))

    def _make(self, schema: _core.Schema) -> _core.Source:
        return _core.number_sequence_source(self._start, self._end)
