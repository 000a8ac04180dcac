"""A usage report as files: JSON with all of it, and CSV or Parquet with a file per table.

Files have no clock and no id of a run in them: the same report gives the same bytes.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_assets.kinds.service.reports.content import UsageReport

_INSTANT, _DAY = "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d"
_GROUP_ROWS = 100_000


def as_json(report: UsageReport) -> bytes:
    """All of a report as one JSON object, keys sorted: amounts of money as text, instants and days in ISO 8601, UTC."""
    head = {
        "site": report.site,
        "name": report.name,
        "currency": report.currency,
        "reporting_tz": report.reporting_tz,
        "data_version": report.version,
        "period": {"from": f"{report.period.start}", "to": f"{report.period.last}", "timezone": "UTC"},
        "provisional": list(report.provisional),
    }
    parts: dict[str, str] = {key: json.dumps(value, ensure_ascii=False, sort_keys=True) for key, value in head.items()}
    # polars writes the rows: a month may have 200,000 users
    parts["tables"] = _object({name: _rows(frame) for name, frame in report.tables.items()})
    return f"{_object(parts)}\n".encode()


def as_csv(report: UsageReport) -> dict[str, bytes]:
    """Name of a table -> CSV of it; an apostrophe stands before texts that a spreadsheet would take for a formula."""
    return {name: csv_of(frame) for name, frame in report.tables.items() if frame.width}


def as_parquet(report: UsageReport) -> dict[str, bytes]:
    """Name of a table -> Parquet of it."""
    return {name: parquet_of(frame) for name, frame in report.tables.items() if frame.width}


def csv_of(frame: pl.DataFrame, *, header: bool = True) -> bytes:
    """A frame as CSV."""
    inert = pl.col(pl.String).str.replace(r"^([=+\-@\t\r])", "'${1}")
    return _texts(frame).with_columns(inert).write_csv(include_header=header).encode()


def parquet_of(frame: pl.DataFrame) -> bytes:
    """A frame as Parquet, in row groups of a fixed size."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", row_group_size=_GROUP_ROWS)
    return buffer.getvalue()


def _rows(frame: pl.DataFrame) -> str:
    return _texts(frame).select(sorted(frame.columns)).write_json() if frame.width else "[]"


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Amounts of money, instants, days and lists as text."""
    return frame.select(_text(name, kind) for name, kind in frame.schema.items())


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.String)
    if isinstance(kind, pl.Datetime):
        return column.dt.strftime(_INSTANT)
    if isinstance(kind, pl.Date):
        return column.dt.strftime(_DAY)
    if isinstance(kind, (pl.List, pl.Struct)):
        return column.map_elements(_json_text, return_dtype=pl.String)
    return column


def _json_text(value: Any) -> str:
    plain = value.to_list() if isinstance(value, pl.Series) else value
    return json.dumps(plain, default=str, ensure_ascii=False, sort_keys=True)


def _object(parts: Mapping[str, str]) -> str:
    """A JSON object of values that are JSON already, keys sorted."""
    return "{" + ",".join(f"{json.dumps(key)}:{parts[key]}" for key in sorted(parts)) + "}"
