"""A cost export as CSV and Parquet, written as its rows are made."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from usage_assets.kinds.service.reports.content import UsageReport
from usage_assets.kinds.service.reports.focus import COLUMNS
from usage_assets.kinds.service.reports.forms import csv_of

_INSTANTS = [name for name, kind in COLUMNS.items() if isinstance(kind, pl.Datetime)]


def names(report: UsageReport) -> tuple[str, str]:
    """The files of an export: CSV and Parquet."""
    return f"{report.stem}_focus.csv", f"{report.stem}_focus.parquet"


def write_rows(parts: Iterable[pl.DataFrame], csv: Path, parquet: Path) -> None:
    """Write rows, part by part, as CSV and as Parquet; instants in CSV are in ISO 8601 with a Z."""
    empty = pl.DataFrame(schema=COLUMNS)
    schema: pa.Schema = empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    with csv.open("wb") as text, pq.ParquetWriter(parquet, schema, compression="zstd") as table:
        text.write(csv_of(empty))
        for part in parts:
            utc = part.with_columns(pl.col(_INSTANTS).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
            text.write(csv_of(utc, header=False))
            table.write_table(part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema))
