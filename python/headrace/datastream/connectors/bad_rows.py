"""What a file source does with a row that it cannot read."""

from __future__ import annotations

from headrace import _core
from headrace._core import Row
from headrace.common.typeinfo import Types
from headrace.datastream.output_tag import OutputTag
from headrace.datastream.transformation import schema_of

BAD_ROW_TYPE = Types.ROW_NAMED(
    ["file", "line", "text", "error"], [Types.STRING(), Types.LONG(), Types.STRING(), Types.STRING()]
)
"""Type of the records that a side output of bad rows has."""

_TEXT_MAX = 80


class BadRowPolicy:
    """`on_bad_row` of the file sources.

    Args:
        on_bad_row: "fail" ends the job, naming file and line; "skip" passes the row over; an OutputTag sends a Row of
            `file`, `line` (of its first character, from 1), `text` and `error` to that side output. Rows passed over
            or sent aside are counted in the metric `<source>.user.bad_rows`.

    Raises:
        ValueError: another string.
        TypeError: neither a string nor an OutputTag.
    """

    def __init__(self, on_bad_row: str | OutputTag) -> None:
        if isinstance(on_bad_row, str):
            if on_bad_row not in ("fail", "skip"):
                raise ValueError(f"on_bad_row: expected 'fail', 'skip' or an OutputTag, got {on_bad_row!r}")
        elif not isinstance(on_bad_row, OutputTag):
            raise TypeError(f"on_bad_row: expected 'fail', 'skip' or an OutputTag, got {type(on_bad_row).__name__}")
        self.fails = on_bad_row == "fail"
        self.tag_id = on_bad_row.tag_id if isinstance(on_bad_row, OutputTag) else ""

    @property
    def side_schema(self) -> _core.Schema | None:
        """Schema of the side output, None without one."""
        return schema_of(BAD_ROW_TYPE) if self.tag_id else None


class BadRows:
    """The bad rows of one file since they were last taken."""

    def __init__(self, policy: BadRowPolicy, path: str) -> None:
        self._policy = policy
        self._path = path
        self._rows: list[Row] = []

    def add(self, line: int, text: bytes, error: str) -> None:
        """Notes a row.

        Raises:
            ValueError: the policy is to fail; the message names file, line, cause and row (shortened).
        """
        shown = text.decode("utf-8", "replace").rstrip("\r\n")
        if self._policy.fails:
            short = shown if len(shown) <= _TEXT_MAX else shown[: _TEXT_MAX - 1] + "…"
            raise ValueError(
                f"{self._path}, line {line}: {error}: {short!r} (to read on past such rows, set on_bad_row='skip' or to an OutputTag)"
            )
        self._rows.append(Row(file=self._path, line=line, text=shown, error=error))

    def take(self) -> list[Row]:
        """The rows noted since the last call."""
        rows, self._rows = self._rows, []
        return rows
