"""How `usage-assets gpu` shows tables: as text of 100 columns, as a page, for programs; printed or into a file."""

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl
import typer

from usage_assets.cli.htcondor.request import Request
from usage_assets.cli.output import write_output
from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.reports.grid import WIDTH, Grid, Row, cell, column, text_lines
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables import hosts
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.formats import (
    as_csv,
    as_html,
    as_json,
    heading,
    label,
    period,
    readable,
    remarks,
)
from usage_assets.kinds.htcondor.tables.labels import LABELS, TOTAL, names_of
from usage_assets.kinds.htcondor.tables.options import Options, Result

_LESS = ("drained_percent", "available_hours_observed")
"""Figures that text leaves out, so that a row is a line."""
_KEYS = ("class", "device", "band", "tier", "user", "machine")


def show(
    request: Request,
    site: HTCondorSite,
    results: Mapping[str, Result],
    cube: Cube,
    *,
    single: str | None,
    lines: Sequence[str] = (),
) -> None:
    """Write tables in the format asked for, below `lines` or the window; CSV holds the table `single` alone."""
    title = f"{site.name} ({site.key})"
    metadata = cube.metadata()
    masked = ", ".join(f"{host} ({reason})" for host, reason in metadata.masked_hosts.items())
    notes = [line for one in results.values() for line in remarks(one.metadata)]
    about = [*(lines or period(metadata)), f"Masked hosts: {masked or 'none'}", *notes]
    about = [printable(line) for line in dict.fromkeys(about)]
    if request.format == "csv":
        if single is None:
            raise typer.BadParameter("CSV holds one table; name it by --table", param_hint="--format")
        sys.stderr.write("".join(f"{line}\n" for line in about))
        text = as_csv(results[single].frame)
    elif request.format == "json":
        text = as_json(results)
    elif request.format == "html":
        tables = {name: _totals_first(one) for name, one in results.items()}
        text = as_html(tables | {"excluded_hosts": hosts.excluded_hosts(cube)}, title=title)
    else:
        text = _text(printable(title), about, results)
    write_output(text, request.output)


def _text(title: str, about: Sequence[str], results: Mapping[str, Result]) -> str:
    lines = [title, "=" * len(title)]
    for line in about:
        lines += textwrap.wrap(line, WIDTH)
    for name, one in results.items():
        head = heading(name)
        lines += ["", head, "-" * len(head)]
        for table in _grids(_totals_first(one).frame):
            lines += ["", *text_lines(table)] if table.title else text_lines(table)
        lines += [] if one.frame.height else ["nothing"]
    return "\n".join(lines) + "\n"


def _grids(frame: pl.DataFrame) -> Iterator[Grid]:
    """A table as grids: one by class and device is a grid per class; without figures that a line has no room for."""
    frame = readable(frame.drop(_LESS, strict=False) if "allocated_percent" in frame.columns else frame)
    if frame.is_empty():
        return
    if frame.columns[0] == "class":  # shorter, so that a line has room
        shorter = pl.col("class").str.replace("Secondary (backfill)", "Backfill", literal=True)
        frame = frame.with_columns(shorter.str.replace(" (primary and secondary)", "", literal=True))
    if {"class", "device", "available_avg"} <= set(frame.columns):
        for (name,), part in frame.partition_by("class", as_dict=True, maintain_order=True).items():
            yield _grid(part.drop("class"), str(name))
    else:
        yield _grid(frame)


def _grid(frame: pl.DataFrame, title: str = "") -> Grid:
    columns = tuple(
        column(label(name) + (" (UTC)" if isinstance(kind, pl.Datetime) and name != "local_at" else ""), kind)
        for name, kind in frame.schema.items()
    )
    return Grid(columns, tuple(Row(tuple(map(cell, row))) for row in frame.iter_rows()), title)


def _totals_first(result: Result) -> Result:
    """The same table with its total rows first."""
    frame = result.frame
    key = next((name for name in _KEYS if name in frame.columns), None)
    if key is None or "bucket_at" in frame.columns or key == "user":
        return result
    if "device" in frame.columns and key == "class":
        # each class begins with its own sum; the pool as a whole comes before all
        whole, part = pl.col("class") != TOTAL, pl.col("device") != TOTAL
        order = frame["class"].unique(maintain_order=True)
        number = pl.col("class").replace_strict(order, range(len(order)), return_dtype=pl.Int64())
        return replace(result, frame=frame.sort(whole, number, part, maintain_order=True))
    sums = pl.col(key).is_in([TOTAL, "primary", "backfill"])
    rank = pl.when(pl.col(key) == TOTAL).then(0).when(sums).then(1).otherwise(2)
    return replace(result, frame=frame.sort(rank, maintain_order=True))


def side_by_side(frame: pl.DataFrame, options: Options) -> pl.DataFrame:
    """A row per bucket: GPUs available and allocated in all, and allocated by class of those that offered any."""
    base = frame.filter(pl.col("class") == TOTAL).select(
        "bucket_at",
        "local_at",
        pl.col("coverage").mul(100).alias("seen_percent"),
        "allocated_percent",
        pl.col("available_avg").alias("available"),
        pl.col("allocated_avg").alias("allocated"),
    )
    offered = set(frame.filter(pl.col("available_avg") > 0)["class"])
    for name in filter(offered.__contains__, names_of(options.classes)):
        held = frame.filter(pl.col("class") == name).select("bucket_at", pl.col("allocated_avg").alias(LABELS[name]))
        base = base.join(held, on="bucket_at", how="left", maintain_order="left")
    return base.drop("bucket_at")
