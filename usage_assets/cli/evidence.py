"""`usage-assets dumps` and `as-of`: what was read when, and what was believed at a time."""

import json
import os
import shutil
from datetime import date, datetime
from pathlib import Path

import polars as pl
import typer
from rich.table import Table

from usage_assets.cli.access import table_of_lines
from usage_assets.cli.console import console
from usage_assets.core import settings
from usage_assets.core.months import month_of, months_between, ranges
from usage_assets.sites.base import Site
from usage_assets.sources.record import dumps, last_dumps
from usage_assets.warehouse import Warehouse

_SUMS = ("rows", "rows_new", "rows_changed", "rows_moved", "rows_gone", "shrank")
_SHOWN_HOURS = 0.005
_RESOURCES = ("nodes", "vcpus", "gpus", "devices")


def show_dumps(site: Site, *, table: str | None, month: date | None, last: int, as_json: bool) -> None:
    """The last dumps of a site, newest at the end; of one table with its months."""
    with Warehouse.default().read() as reader:
        rows = dumps(reader, site.key, months=None if month is None else [month], table=table)
        names = sorted(last_dumps(reader, site.key))
    if table is not None and names and table not in names:
        msg = f"site {site.key} has no dump of {table}; there are: {', '.join(names)}"
        raise typer.BadParameter(msg, param_hint="--table")
    by_month = _numbered(rows).filter(pl.col("dump") >= pl.col("dump").max() - last + 1)
    found = by_month if table is not None else _summed(by_month)
    if as_json:
        kept = found.drop("dump", "site", "is_latest", "occurrence", strict=False)
        print(json.dumps(kept.to_dicts(), indent=2, default=_plain))  # noqa: T201 - for other programs: nothing folded
        return
    if found.is_empty():
        console.print(f"site {site.key}: no dump yet; usage-assets backfill --site {site.key} ...")
        return
    numbers = ("tables", "rows", "new", "changed", "moved", "gone")
    title = f"{site.name} ({site.key}), dumps of {table or 'all raw tables'}"
    lines = table_of_lines(title, "read at (UTC)", "months", *numbers, "", numbers=numbers)
    for row in found.iter_rows(named=True):
        shrank = row["shrank"]
        lines.add_row(
            f"{row['extracted_at']:%Y-%m-%d %H:%M:%S}",
            ranges(row["months"]) if table is None else f"{row['month']:%Y-%m}",
            str(row["tables"]) if table is None else "",
            *(f"{row[name]:,}" if row[name] else "" for name in _SUMS[:-1]),
            f"shrank by {shrank:,}" if shrank else "",
            style="yellow" if shrank else None,
        )
    console.print(lines)
    noted = by_month.filter(pl.col("note").is_not_null(), pl.col("dump") == pl.col("dump").max())
    for row in noted.unique(["table_name", "note"], maintain_order=True).iter_rows(named=True):
        console.print(f"- {row['table_name']}: {row['note']}")


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the number of their dump, oldest first.

    A run dumps once, with a time per server that it read; dumps of older releases have no run, only a time.
    """
    has_run = pl.col("run_id").is_not_null()
    occurrence = pl.int_range(pl.len()).over("run_id", "table_name", "month")
    read_at = pl.when(has_run).then(pl.col("extracted_at").max().over("run_id", "occurrence")).otherwise("extracted_at")
    return rows.with_columns(occurrence=pl.when(has_run).then(occurrence)).with_columns(
        dump=pl.struct(read_at.alias("read_at"), "run_id", "occurrence").rank("dense").cast(pl.Int64)
    )


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per dump, with the last time at which one of its servers was read."""
    noted = pl.concat_str("table_name", pl.lit(": "), "note").drop_nulls()
    return (
        rows.sort("dump", "table_name", "month")
        .group_by("dump", maintain_order=True)
        .agg(
            pl.col("extracted_at").max(),
            pl.col("month").unique().sort().alias("months"),
            pl.col("table_name").n_unique().alias("tables"),
            *(pl.col(name).sum() for name in _SUMS),
            noted.unique(maintain_order=True).alias("notes"),
            pl.col("run_id").first(),
        )
    )


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else str(value)


def run_as_of(site: Site, at: datetime, *, first: date | None, last: date | None, output: Path | None) -> None:
    """Rebuild the site as it was believed to be at an instant, and compare its hours with those of today."""
    from usage_assets.orchestration.as_of import hours, rebuild

    folder, name = settings.data_dir() / "as_of", f"{site.key}-{at:%Y%m%dT%H%M%S}"
    # built here in any case: locks and scratch files do not belong into the folder of an output
    path = folder / (f"{name}.duckdb" if output is None else f".{name}.{os.getpid()}.duckdb")
    source = Warehouse.default()
    if output is not None and output.exists():
        raise typer.BadParameter(f"{output} is there already; name another file", param_hint="--output")
    start = max(first or site.first_month, site.first_month)
    end = last or month_of(at.date())
    if start > end:
        raise typer.BadParameter(f"{start:%Y-%m} comes after {end:%Y-%m}", param_hint="--from")
    built = rebuild(site, at, months_between(start, end), source, path)
    with Warehouse(path).read() as reader:
        then = hours(reader, site.key, built.months)
    with source.read() as reader:
        now = hours(reader, site.key, built.months)
    title = f"{site.name} ({site.key}) as of {at:%Y-%m-%d %H:%M:%S} UTC, {ranges(built.months)}"
    console.print(_compared(title, then, now))
    if built.never:
        console.print(f"not read by then, and left out: {ranges(built.never)}")
    for tables in sorted(set(built.partly.values())):
        months = ranges([month for month, missing in built.partly.items() if missing == tables])
        console.print(f"{months}: not read by then, so what needs them waits: {', '.join(tables)}")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.move(path, output))
    console.print(f"{path}")


def _compared(title: str, then: pl.DataFrame, now: pl.DataFrame) -> Table:
    """Hours of each metric then and now, in the order of the metrics."""
    from usage_assets.kinds import kind_metrics
    from usage_assets.timelines.metrics import metrics_with

    numbers = ("hours then", "hours now", "now - then")
    lines = table_of_lines(title, "metric", "resource", *numbers, numbers=numbers)
    old, new = (
        {(metric, resource): hours for metric, resource, hours in frame["metric", "resource", "hours"].rows()}
        for frame in (then, now)
    )
    for resource in _RESOURCES:
        for metric in metrics_with(kind_metrics()).by_name:
            before, after = (hours.get((metric, resource)) for hours in (old, new))
            if not before and not after:
                continue
            change = 0.0 if before is None or after is None else after - before
            is_shown = abs(change) >= _SHOWN_HOURS
            cells = ["" if value is None else f"{value:,.2f}" for value in (before, after)]
            cells.append(f"{change:+,.2f}" if is_shown else "")
            lines.add_row(metric, resource, *cells, style="yellow" if is_shown else None)
    return lines
