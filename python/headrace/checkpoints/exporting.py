"""A state of a checkpoint as a file: Parquet, CSV or Arrow IPC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from headrace import _core
from headrace.checkpoints.stored import StoredState

FORMATS = {"parquet": ".parquet", "csv": ".csv", "arrow": ".arrow"}


def export_state(state: StoredState, target: str | Path, file_format: str | None = None) -> int:
    """Writes a state's rows to a file, batch by batch; the file appears when it is complete.

    Args:
        state: What to write.
        target: The file; one that is there is replaced.
        file_format: "parquet", "csv" or "arrow" (an IPC file); None: what the file's name ends in. In CSV, structs,
            lists and maps are JSON texts.

    Returns:
        The number of rows.

    Raises:
        InvalidArgumentError: the format is unknown.
    """
    path = Path(target)
    chosen = file_format or next((name for name, end in FORMATS.items() if path.name.endswith(end)), None)
    if chosen not in FORMATS:
        raise _core.InvalidArgumentError(
            f"{path}: export writes {', '.join(FORMATS)}; name the file accordingly or say which format"
        )
    partial = path.with_name(f".{path.name}.partial")
    rows = 0
    with state.to_batches() as batches:
        schema = _flat_schema(batches.schema) if chosen == "csv" else batches.schema
        try:
            with _writer(chosen, partial, schema) as writer:
                for batch in batches:
                    writer.write_batch(_flat(batch, schema) if chosen == "csv" else batch)
                    rows += batch.num_rows
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return rows


def _writer(file_format: str, path: Path, schema: pa.Schema) -> Any:
    if file_format == "parquet":
        return pa.parquet.ParquetWriter(path, schema)
    if file_format == "csv":
        return pa.csv.CSVWriter(path, schema)
    return pa.ipc.new_file(str(path), schema)


def _is_flat(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_binary(kind) and not pa.types.is_duration(kind)


def _flat_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(one.name, one.type if _is_flat(one.type) else pa.string()) for one in schema])


def _flat(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else pa.array([_text(one) for one in column.to_pylist()], pa.string())
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.record_batch(columns, schema=schema)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (dict, list, tuple)) else str(value)
