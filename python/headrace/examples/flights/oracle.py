"""The same results from one DuckDB query each, to compare the job's output with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.examples.flights.job import ALERT_COUNT, ALERT_DELAY_MINUTES, ALERT_SPAN_MS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STRIDE_ROWS = 1024
BOUND_MS = 2 * 3_600_000

# Row n sees the watermark made of all rows before the last multiple of the stride: the largest event time less the
# bound less 1 ms. A row is late for a window when that watermark has reached the window's last millisecond.
_WITH_WATERMARK = f"""
    WITH numbered AS (
        SELECT *, row_number() OVER () - 1 AS n FROM flights
    ), strides AS (
        SELECT n // {STRIDE_ROWS} AS stride, max(scheduled_ms) AS largest FROM numbered GROUP BY 1
    ), watermarks AS (
        SELECT stride + 1 AS stride, max(largest) OVER (ORDER BY stride) - {BOUND_MS} - 1 AS watermark FROM strides
    ), flights_seen AS (
        SELECT numbered.*, coalesce(watermark, -9223372036854775807) AS watermark
        FROM numbered LEFT JOIN watermarks ON numbered.n // {STRIDE_ROWS} = watermarks.stride
    )
"""


def windows(flights: pa.Table, airlines: dict[str, str], size_ms: int) -> list[str]:
    """Lines of the windows of one size, as `WithAirlineName` writes them, sorted."""
    connection = _connect(flights)
    connection.register("airlines", pa.table({"carrier": list(airlines), "name": list(airlines.values())}))
    rows = connection.execute(f"""
        {_WITH_WATERMARK}, placed AS (
            SELECT *, scheduled_ms // {size_ms} * {size_ms} AS window_start FROM flights_seen
        )
        SELECT window_start, window_start + {size_ms}, any_value(name), origin, count(*), avg(dep_delay), max(dep_delay)
        FROM placed JOIN airlines USING (carrier)
        WHERE window_start + {size_ms} - 1 > watermark
        GROUP BY window_start, carrier, origin
    """).fetchall()
    return sorted(
        f"{start},{end},{name},{origin},{count},{'' if mean is None else f'{mean:.6f}'},{'' if top is None else top}"
        for start, end, name, origin, count, mean, top in rows
    )


def late(flights: pa.Table, size_ms: int) -> list[str]:
    """Lines of the flights that are late for their window of one size, sorted."""
    rows = (
        _connect(flights)
        .execute(f"""
        {_WITH_WATERMARK}
        SELECT scheduled_ms, carrier, flight, origin, dep_delay FROM flights_seen
        WHERE scheduled_ms // {size_ms} * {size_ms} + {size_ms} - 1 <= watermark
    """)
        .fetchall()
    )
    return sorted(f"{at},{carrier},{flight},{origin},{delay}" for at, carrier, flight, origin, delay in rows)


def alerts(flights: pa.Table) -> list[str]:
    """Lines of the alerts, sorted: the delays from DuckDB, the counting by a plain loop."""
    rows = (
        _connect(flights)
        .execute(f"""
        {_WITH_WATERMARK}
        SELECT tailnum, scheduled_ms, carrier, flight, watermark FROM flights_seen
        WHERE dep_delay >= {ALERT_DELAY_MINUTES} AND tailnum IS NOT NULL ORDER BY n
    """)
        .fetchall()
    )
    recent: dict[str, list[int]] = {}
    lines = []
    for plane, at, carrier, flight, watermark in rows:
        # A timer at seen + 24 h has fired once the watermark reached it, and forgot the delay.
        kept = [s for s in recent.get(plane, []) if s + ALERT_SPAN_MS > watermark and abs(at - s) < ALERT_SPAN_MS]
        seen = sorted([*kept, at])
        if len(seen) >= ALERT_COUNT:
            lines.append(f"{plane},{at},{carrier},{flight},{seen[0]}")
            seen = []
        recent[plane] = seen
    return sorted(lines)


def all_outputs(flights: pa.Table, airlines: dict[str, str]) -> dict[str, list[str]]:
    """What `read_output` must give."""
    hour, day = 3_600_000, 86_400_000
    return {
        "alerts": alerts(flights),
        "daily": windows(flights, airlines, day),
        "daily-late": late(flights, day),
        "hourly": windows(flights, airlines, hour),
        "hourly-late": late(flights, hour),
    }


def _connect(flights: pa.Table) -> DuckDBPyConnection:
    import duckdb  # not needed to say that it is missing

    connection = duckdb.connect()
    connection.execute("SET threads = 1")  # row_number() in order of the table
    connection.register("flights", flights)
    return connection
