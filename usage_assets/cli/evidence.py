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
    """The last dumps of a site, youngest at the end; of one table with its months."""
    with Warehouse.default().read() as reader:
        rows = dumps(reader, site.key, months=None if month is None else [month], table=table)
        names = sorted(last_dumps(reader, site.key))
    if table is not None and names and table not in names:
        msg = f"site {site.key} has no dump of {table}; there are: {', '.join(names)}"
        raise typer.BadParameter(msg, param_hint="--table")
    each = _numbered(rows).filter(pl.col("dump") >= pl.col("dump").max() - last + 1)
    found = each if table is not None else _summed(each)
    if as_json:
        kept = found.drop("dump", "site", "is_latest", "occurrence", strict=False)
        print(json.dumps(kept.to_dicts(), indent=2, default=_plain))  # noqa: T201 - for other programs: nothing folded
        return
    if found.is_empty():
        console.print(f"site {site.key}: no dump yet; usage-assets backfill --site {site.key} ...")
        return
    what = table or "all raw tables"
    lines = table_of_lines(
        f"{site.name} ({site.key}), dumps of {what}",
        "read at (UTC)", "months", "tables", "rows", "new", "changed", "moved", "gone", "",
    )  # fmt: skip
    for column in lines.columns[2:8]:
        column.justify = "right"
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
    noted = each.filter(pl.col("note").is_not_null(), pl.col("dump") == pl.col("dump").max())
    for row in noted.unique(["table_name", "note"], maintain_order=True).iter_rows(named=True):
        console.print(f"- {row['table_name']}: {row['note']}")


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the number of their dump, oldest first.

    A run dumps once, with a time per server that it read; of older releases only the time is known.
    """
    once = pl.int_range(pl.len()).over("run_id", "table_name", "month")
    return (
        rows.with_columns(occurrence=pl.when(pl.col("run_id").is_null()).then(None).otherwise(once))
        .with_columns(
            read_at=pl.when(pl.col("run_id").is_null())
            .then("extracted_at")
            .otherwise(pl.col("extracted_at").max().over("run_id", "occurrence"))
        )
        .with_columns(dump=pl.struct("read_at", "run_id", "occurrence").rank("dense").cast(pl.Int64))
        .drop("read_at")
    )


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per dump: by the youngest of its clocks all that it gave is there."""
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

    folder, name = settings.as_of_dir(), f"{site.key}-{at:%Y%m%dT%H%M%S}"
    # made here in any case: locks and scratch files are nothing to leave in a folder of someone else
    path = folder / (f"{name}.duckdb" if output is None else f".{name}.{os.getpid()}.duckdb")
    source = Warehouse.default()
    if output is not None and output.exists():
        raise typer.BadParameter(f"{output} is there already; name another file", param_hint="--output")
    start = max(first or site.first_month, site.first_month)
    end = last or month_of(at.date())
    if start > end:
        raise typer.BadParameter(f"{start:%Y-%m} comes after {end:%Y-%m}", param_hint="--from")
    made = rebuild(site, at, months_between(start, end), source, path)
    title = f"{site.name} ({site.key}) as of {at:%Y-%m-%d %H:%M:%S} UTC, {ranges(made.months)}"
    with Warehouse(path).read() as reader:
        then = hours(reader, site.key, made.months)
    with source.read() as reader:
        now = hours(reader, site.key, made.months)
    console.print(_compared(title, then, now))
    if made.never:
        console.print(f"not read by then, and left out: {ranges(made.never)}")
    for names in sorted(set(made.partly.values())):
        months = [month for month, lacks in made.partly.items() if lacks == names]
        text = f"{ranges(months)}: not read by then, so what needs them waits: {', '.join(names)}"
        console.print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.move(path, output))
    console.print(f"{path}")


def _compared(title: str, then: pl.DataFrame, now: pl.DataFrame) -> Table:
    """Hours of each metric then and now, in the order of the metrics."""
    from usage_assets.kinds import kind_metrics
    from usage_assets.timelines.metrics import metrics_with

    lines = table_of_lines(title, "metric", "resource", "hours then", "hours now", "now - then")
    for column in lines.columns[2:]:
        column.justify = "right"
    old, new = (dict(zip(zip(f["metric"], f["resource"], strict=True), f["hours"], strict=True)) for f in (then, now))
    for resource in _RESOURCES:
        for metric in metrics_with(kind_metrics()).by_name:
            key = metric, resource
            before, after = old.get(key), new.get(key)
            if not before and not after:
                continue
            differ = None if before is None or after is None else after - before
            changed = differ is not None and abs(differ) >= _SHOWN_HOURS
            cells = [f"{value:,.2f}" if value is not None else "" for value in (before, after)]
            lines.add_row(
                metric, resource, *cells, f"{differ:+,.2f}" if changed else "", style="yellow" if changed else None
            )
    return lines
