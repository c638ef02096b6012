"""Arrow columns whose layout the engine has no kernels for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_LAYOUTS = {
    pa.large_string(): pa.string(), pa.string_view(): pa.string(), pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(), pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(), pa.date64(): pa.date32(), pa.float16(): pa.float32(),
}  # fmt: skip


def engine_layout(data: Any) -> Any:
    """The data with columns whose layout the engine has no kernels for (polars' strings) cast; the others uncopied."""
    table = pa.table(data) if hasattr(data, "__arrow_c_stream__") else pa.Table.from_batches([pa.record_batch(data)])
    for index, field in enumerate(table.schema):
        if field.type in _LAYOUTS:
            table = table.set_column(index, field.name, table.column(index).cast(_LAYOUTS[field.type]))
    return table
