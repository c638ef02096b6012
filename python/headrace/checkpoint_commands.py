"""`headrace checkpoint list|show|verify|diff|export|copy|erase-key`."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace import checkpoint_storage
from headrace._core import InvalidArgumentError
from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoints.copying import copy_checkpoint
from headrace.checkpoints.difference import diff_checkpoints
from headrace.checkpoints.erasing import erase_key
from headrace.checkpoints.exporting import FORMATS, export_state
from headrace.checkpoints.intervals import LoggedInterval
from headrace.checkpoints.listing import interval_decisions, list_checkpoints
from headrace.checkpoints.stored import StoredOperator, read_checkpoint
from headrace.checkpoints.verification import verify_checkpoint

_PIPE_WIDTH = 160  # of tables that go to no terminal
_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"]
_UNIT = 1024


def add_to(groups: Any) -> None:
    """Adds the command to the parser of `headrace`."""
    parser = groups.add_parser("checkpoint", help="look at stored checkpoints and check them")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    where = "a checkpoint, a savepoint, or a job's directory (its newest checkpoint)"

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        made.set_defaults(run=run)
        return made

    one = command("list", _list, "list the checkpoints of a directory")
    one.add_argument("path", help="a job's directory, or the directory of several jobs; or a job's URI")
    one.add_argument("--decisions", type=int, default=20, help="how many of the last adapted intervals to show (20)")
    one = command("show", _show, "show the operators, states, offsets and pending commits of a checkpoint")
    one.add_argument("path", help=where)
    one.add_argument("operator", nargs="?", help="uid or name: show the rows of one of its states")
    one.add_argument("state", nargs="?", help="name of the state")
    one.add_argument("--rows", type=int, default=20, help="how many rows to show (20)")
    one = command("verify", _verify, "read every byte of all checkpoints at a path; exit 1 on damage")
    one.add_argument("path", help="a checkpoint or savepoint, or a job's directory: all its checkpoints")
    one = command("diff", _diff, "compare the keys and bytes of each state of two checkpoints")
    one.add_argument("before", help=where)
    one.add_argument("after", help=where)
    one.add_argument("operator", nargs="?", help="uid or name: list the keys of one of its states that differ")
    one.add_argument("state", nargs="?", help="name of the state")
    one.add_argument("--rows", type=int, default=20, help="how many keys to list (20)")
    one = command("export", _export, "write a state to a Parquet, CSV or Arrow file")
    one.add_argument("path", help=where)
    one.add_argument("operator", help="uid or name")
    one.add_argument("state", help="name of the state")
    one.add_argument("target", help="the file to write")
    one.add_argument("--format", choices=list(FORMATS), help="unless the file's name says it")
    one = command("copy", _copy, "copy a checkpoint to another directory or URI and verify the copy")
    one.add_argument("source", help=where)
    one.add_argument("target", help="directory or URI to copy to; credentials are those of the environment")
    one = command(
        "erase-key", _erase_key, "remove one key from the checkpoints of a job that does not run; exit 1 if none has it"
    )
    one.add_argument("path", help="a job's directory (all its checkpoints) or a savepoint; a path or a URI")
    one.add_argument("key", help="the key as the program has it, a text unless --type says otherwise")
    one.add_argument(
        "--type", choices=list(_KEY_TYPES), default="str", help="of the key (str); literal: as in Python source"
    )
    one.add_argument("--operator", help="uid or name of the one operator that forgets it")
    one.add_argument(
        "--job-is-gone",
        action="store_true",
        help="of a URI: no job runs there, though the last did not say that it ended",
    )


def _list(options: argparse.Namespace) -> int:
    listed = list_checkpoints(options.path)
    table = _table("id", "job", "kind", "created", "state", "written", "stored", "files", "manifest")
    for one in listed:
        if one.problem is None and one.created is not None:
            sizes = [_size(one.state_bytes), _size(one.written_bytes), _size(one.stored_bytes)]
            created = one.created.strftime("%Y-%m-%d %H:%M:%S")
            _row(table, one.id, one.job, one.kind, created, *sizes, one.files, Path(one.path).name)
    _print(table)
    decisions = interval_decisions(options.path)
    if decisions and options.decisions > 0:
        _print_decisions(decisions[-options.decisions :])
    problems = [one for one in listed if one.problem is not None]
    for one in problems:
        _print(f"cannot be used: {one.problem}")
    return 1 if problems else 0


def _print_decisions(decisions: list[LoggedInterval]) -> None:
    table = _table("after", "decided", "interval", "why", "written", "took", "changes", "budget", "shortest", "optimum")
    for one in decisions:
        times = [f"{milliseconds} ms" for milliseconds in (one.budget_ms, one.optimum_ms)]
        rates = [f"{_size(round(rate))}/s" for rate in (one.change_rate, one.budget_rate)]
        decided = one.decided.strftime("%Y-%m-%d %H:%M:%S")
        took = f"{one.seconds * 1000:.0f} ms"
        _row(
            table,
            one.checkpoint,
            decided,
            f"{one.interval_ms} ms",
            one.why,
            _size(round(one.bytes)),
            took,
            *rates,
            *times,
        )
    _print(table)


def _show(options: argparse.Namespace) -> int:
    checkpoint = read_checkpoint(options.path)
    if options.operator is not None:
        return _show_operator(checkpoint[options.operator], options.state, options.rows)
    _print(
        f"{checkpoint.kind} {checkpoint.id} of job '{checkpoint.job}', {checkpoint.created:%Y-%m-%d %H:%M:%S} UTC: "
        f"state {_size(checkpoint.state_bytes)}, stored {_size(checkpoint.stored_bytes)} in {len(checkpoint.files)} "
        f"files in {checkpoint.directory}"
    )
    table = _table("operator", "name", "kind", "parallelism", "state", "type", "rows", "bytes")
    for operator in checkpoint.operators().values():
        head = [operator.uid, operator.name, operator.kind, operator.parallelism]
        if not len(operator):
            _row(table, *head, "", "", "", _size(sum(operator.state_bytes)))
        for state in operator.values():
            _row(table, *head, state.name, state.declared, state.rows, _size(state.bytes))
            head = ["", "", "", ""]
    _print(table)
    offsets = checkpoint.source_offsets()
    if offsets:
        table = _table("source", "split", "rows read", "finished")
        for split in offsets:
            _row(table, split["operator"], split["id"], split["rows_read"], "yes" if split["finished"] else "no")
        _print(table)
    commits = checkpoint.pending_commits()
    if commits:
        table = _table("file committed by this checkpoint", "bytes")
        for commit in commits:
            _row(table, commit["final_path"], commit["size_bytes"])
        _print(table)
    return 0


def _show_operator(operator: StoredOperator, state_name: str | None, rows: int) -> int:
    if state_name is None:
        table = _table("state", "kind", "declared", "column", "type", "was")
        for name, state in operator.items():
            head = [name, state.kind, state.declared]
            for field in state.schema:
                _row(table, *head, field.name, field.type, state.types[field.name])
                head = ["", "", ""]
        _print(table)
        return 0
    state = operator[state_name]
    table = _table(*state.schema.names)
    left = rows
    for batch in state.to_batches():
        for row in batch.slice(0, left).to_pylist():
            _row(table, *row.values())
        left -= min(left, batch.num_rows)
        if left == 0:
            break
    _print(table)
    return 0


def _verify(options: argparse.Namespace) -> int:
    report = verify_checkpoint(options.path)
    table = _table("checkpoint", "whole", "manifest")
    for one in report.checkpoints:
        _row(table, one.id or "?", "yes" if one.whole else "no", one.path)
    _print(table)
    _print(str(report))
    for path in report.unreferenced:
        _print(f"no checkpoint names {path}")
    return 0 if report.ok else 1


def _diff(options: argparse.Namespace) -> int:
    difference = diff_checkpoints(options.before, options.after)
    if options.operator is not None:
        if options.state is None:
            raise KeyError("diff of an operator needs the name of a state too")
        changes = difference.keys(options.operator, options.state)
        table = _table(*changes.column_names)
        for row in changes.slice(0, options.rows).to_pylist():
            _row(table, *row.values())
        _print(table)
        _print(f"{changes.num_rows} keys differ")
        return 0
    table = _table("operator", "state", "added", "changed", "removed", "unchanged", "bytes before", "bytes after")
    for row in difference.to_arrow().to_pylist():
        counts = [row[f"keys_{what}"] for what in ("added", "changed", "removed", "unchanged")]
        _row(table, row["operator"], row["state"], *counts, row["bytes_before"], row["bytes_after"])
    _print(table)
    return 0


def _export(options: argparse.Namespace) -> int:
    state = read_checkpoint(options.path)[options.operator][options.state]
    rows = export_state(state, options.target, options.format)
    _print(f"{rows} rows in {options.target}")
    return 0


def _copy(options: argparse.Namespace) -> int:
    if is_remote(options.source) or is_remote(options.target):
        _print(checkpoint_storage.copy(options.source, options.target).path)
    else:
        _print(copy_checkpoint(options.source, options.target))
    return 0


def _erase_key(options: argparse.Namespace) -> int:
    try:
        key = _KEY_TYPES[options.type](options.key)
    except (ValueError, SyntaxError):
        raise InvalidArgumentError(f"the key {options.key!r} is no {options.type}") from None
    erased = erase_key(options.path, key, operator=options.operator, job_is_gone=options.job_is_gone)
    if not erased.rows:
        _print(f"no checkpoint has the {options.type} {key!r} (--type says what a key is)")
        return 1
    _print(f"{erased.rows} rows erased; {erased.checkpoints} checkpoints and {erased.files} files written anew")
    return 0


def _bool(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_KEY_TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _bool,
    "literal": ast.literal_eval,
}


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= _UNIT and unit + 1 < len(_UNITS):
        value, unit = value / _UNIT, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: Any) -> None:
    table.add_row(*(escape(str(cell)) for cell in cells))


def _print(what: Table | str) -> None:
    console = Console()
    if isinstance(what, str):
        console.print(what, markup=False, highlight=False, soft_wrap=True)
        return
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(what)
