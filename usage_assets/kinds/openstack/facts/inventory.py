"""The operator's inventory: machines with type, size, and the time in which they were in service."""

import csv
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import polars as pl

from usage_assets.core.errors import SiteError
from usage_assets.core.yaml_files import masked
from usage_assets.kinds.openstack.site.model import OpenStackSite

INVENTORY_SCHEMA: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "hostname": pl.String(),
    "node_type": pl.String(),
    **dict.fromkeys(("vcpus", "memory_mb", "disk_gb", "gpus"), pl.Float64()),
    **dict.fromkeys(("in_service_from", "in_service_to"), pl.Datetime("us")),
}
"""Grain: a stay in service of a machine. Columns not in the file are null; instants are UTC, a null end is open."""

_REQUIRED = ("hostname", "in_service_from")
_AMOUNTS = ("vcpus", "memory_mb", "disk_gb", "gpus")
_INSTANTS = ("in_service_from", "in_service_to")
_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f")
_READERS = {
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),
    ".json": lambda path: pl.read_json(path, infer_schema_length=None),
    ".parquet": pl.read_parquet,
}


def read_inventory(site: str, path: Path) -> pl.DataFrame:
    """The machines of the file, as INVENTORY_SCHEMA; SiteError with line and column of the first fault."""
    where = f"site {site}, inventory {path}"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        msg = f"{where}: can't read {path.suffix or 'a file without suffix'}; write it as {', '.join(_READERS)}"
        raise SiteError(msg)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        msg = f"{where}: is no regular file; put it there, or correct sources in {site}.yaml"
        raise SiteError(msg)
    try:
        found = reader(path)
    except OSError as error:
        msg = f"{where}: can't be read ({error.strerror or error}); put it there, or correct sources in {site}.yaml"
        raise SiteError(msg) from error
    except pl.exceptions.PolarsError as error:
        line, reason = _broken_line(path) or ("", str(error).strip().splitlines()[0])
        msg = (
            f"{where}{line}: is no {path.suffix[1:].upper()} table ({reason}); write one row per machine under column "
            "names"
        )
        raise SiteError(masked(msg)) from error
    allowed = [name for name in INVENTORY_SCHEMA if name != "line"]
    unknown = [name for name in found.columns if name not in allowed]
    missing = [name for name in _REQUIRED if name not in found.columns]
    if unknown or missing:
        fault = f"has no column {missing[0]}" if missing else f"has a column {unknown[0]} that is not known"
        msg = (
            f"{where}, line 1: {fault}; columns are {', '.join(allowed)}, of which {' and '.join(_REQUIRED)} are needed"
        )
        raise SiteError(msg)
    # a CSV's first row stands in its second line
    first = 2 if path.suffix.lower() == ".csv" else 1
    texts = found.select(
        (_text(found, name) if name in found.columns else pl.lit(None, dtype=pl.String)).alias(name) for name in allowed
    ).with_row_index("line", offset=first)
    parsed = texts.with_columns(
        *(pl.col(name).cast(pl.Float64, strict=False) for name in _AMOUNTS),
        *(_parsed_instant(name).alias(name) for name in _INSTANTS),
    )
    for name in _AMOUNTS:
        good = parsed[name].is_finite() & (parsed[name] >= 0)
        _refuse(where, texts, name, ~good.fill_null(value=False), "a number that is not negative")
    for name in _INSTANTS:
        _refuse(where, texts, name, parsed[name].is_null(), "a date as 2019-05-01, or 2019-05-01 12:00 in UTC")
    return parsed.select(pl.col(name).cast(dtype) for name, dtype in INVENTORY_SCHEMA.items())


def _broken_line(path: Path) -> tuple[str, str] | None:
    """Line and fault of a broken CSV file; None if they can't be found."""
    if path.suffix.lower() != ".csv":
        return None
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data[: error.start].count(b"\n")
        return f", line {line}", "a character that is not UTF-8"
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    before = 1
    try:
        width = len(next(rows, []))
        for row in rows:
            if len(row) > width:
                return f", line {before + 1}", f"{len(row)} cells under {width} column names"
            before = rows.line_num
    except csv.Error as error:
        return f", line {before + 1}", f"{error}: a quote that is not closed, or stands within a cell"
    return None


def describe_inventory(site: str, path: Path) -> str:
    """One sentence on the content of the file; SiteError as read_inventory."""
    machines = read_inventory(site, path)
    first = machines["in_service_from"].min()
    since = f", the first in service from {first:%Y-%m-%d}" if isinstance(first, datetime) else ""
    now = machines["in_service_to"].is_null().sum()
    return f"{path}: {machines['hostname'].n_unique()} machines in {len(machines)} rows, {now} without an end{since}"


def describe_inventories(site: OpenStackSite) -> list[str]:
    """describe_inventory() of each inventory that the site's file names."""
    return [describe_inventory(site.key, file) for file in site.files]


def inventory_of_months(inventory: pl.DataFrame, months: Sequence[date], first_month: date) -> pl.LazyFrame:
    """The inventory as a raw table would hold it: each month has all rows, those that do not touch it as context.

    A row without a start lies in the site's first month.
    """
    start, end = pl.col("in_service_from"), pl.col("in_service_to")
    month = pl.col("month").cast(pl.Datetime("us"))
    touches = (start < month.dt.offset_by("1mo")) & (end.is_null() | (end >= month) | (start >= month))
    every = pl.LazyFrame({"month": list(months)}, schema={"month": pl.Date}).join(inventory.lazy(), how="cross")
    return every.with_columns(is_context=~pl.coalesce(touches, pl.col("month") == first_month))


def _text(found: pl.DataFrame, name: str) -> pl.Expr:
    """The cells of a column as text, blanks as null; instants with a zone as UTC."""
    dtype = found.schema[name]
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _parsed_instant(name: str) -> pl.Expr:
    text = pl.col(name).str.replace("T", " ", literal=True).str.strip_suffix("Z")
    return pl.coalesce(text.str.to_datetime(form, time_unit="us", strict=False) for form in _FORMATS)


def _refuse(where: str, texts: pl.DataFrame, name: str, bad: pl.Series, wanted: str) -> None:
    """Raise for the first filled cell of a column that is bad."""
    faults = texts.filter(bad & texts[name].is_not_null())
    if not faults.is_empty():
        line, found = faults.row(0, named=True)["line"], faults[name][0]
        more = f" (and {len(faults) - 1} more such cells)" if len(faults) > 1 else ""
        msg = (
            f"{where}, line {line}, column {name}: found {found!r}, expected {wanted}{more}; correct or empty the cell"
        )
        raise SiteError(masked(msg))
