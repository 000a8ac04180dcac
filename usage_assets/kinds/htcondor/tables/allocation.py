"""Allocation: who was offered how many GPUs, and how many of them jobs held, by class, device, memory and tier.

Every function takes the cube of a window and gives a table with its metadata. The columns that all end with are
`figures.FIGURES`; a table's docstring says what a row is, and which columns come before.
"""

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.rules import TIERS
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import FIGURES, SUMS, added, figures
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of, dense, label, names_of, ordered
from usage_assets.kinds.htcondor.tables.options import Result


def allocation_by_class(cube: Cube) -> Result:
    """A row per class, all devices: class, label, FIGURES. Functions 5 and 6.

    Of the legacy set Priority, Shared, Backfill, and Interactive apart; then `primary` and `backfill`, the sums of
    their classes, and `total`, in which each GPU is offered once: backfill runs on GPUs that primary slots offer too.
    """
    classed = cube.sums.with_columns(class_of(cube.options.classes).alias("class"))
    sides = added(cube.sums.with_columns(pl.col("side").alias("class")), ["class"])
    rows = pl.concat([added(classed, ["class"]), sides, _total(cube)])
    named = dense(rows, (*names_of(cube.options.classes), "primary", "backfill", TOTAL))
    return Result(_finished(cube, named, "class", label()), cube.metadata())


def cluster_totals(cube: Cube) -> Result:
    """One row, all devices: FIGURES of the whole pool; each GPU is offered once and held in any slot. Function 8."""
    return Result(_finished(cube, _total(cube).drop("class")), cube.metadata())


SUMMARY: dict[str, tuple[int, str]] = {
    TOTAL: (0, "TOTAL (primary and secondary)"),
    "prioritized": (0, "Prioritized TOTAL"),
    classes.PRIORITIZED_RESEARCHER: (1, classes.LABELS[classes.PRIORITIZED_RESEARCHER]),
    classes.PRIORITIZED_HOSTED: (1, classes.LABELS[classes.PRIORITIZED_HOSTED]),
    classes.BACKFILL_RESEARCHER: (1, "Secondary (backfill), researcher owned"),
    classes.BACKFILL_HOSTED: (1, "Secondary (backfill), hosted"),
    classes.OPEN: (0, "Open capacity TOTAL"),
    "open_flagship": (1, TIERS[0]),
    "open_standard": (1, TIERS[1]),
    classes.BACKFILL_OPEN: (1, "Secondary (backfill), open capacity"),
    classes.INTERACTIVE: (0, classes.LABELS[classes.INTERACTIVE]),
}
"""Rows of the summary: how far a report indents them, and what people read."""


def allocation_summary(cube: Cube) -> Result:
    """The rows that a report begins with, all devices: row, level (indentation), label, FIGURES.

    TOTAL counts what jobs held in primary and backfill slots, and offers each GPU once. Prioritized and open TOTAL are
    of primary slots; the secondary rows below them are what backfill lent of the same machines.
    """
    named = pl.col("class").cast(pl.String())
    prioritized = pl.when(named.is_in(classes.PRIORITIZED)).then(pl.lit("prioritized"))
    tiers = pl.when(named == classes.OPEN).then(pl.lit("open_") + pl.col("tier").cast(pl.String()).str.to_lowercase())
    parts = [
        added(cube.sums.with_columns(row.alias("class")).drop_nulls("class"), ["class"])
        for row in (named, prioritized, tiers)
    ]
    rows = dense(pl.concat([*parts, _total(cube)]), tuple(SUMMARY)).rename({"class": "row"})
    shown = [pl.Series("level", [level for level, _ in SUMMARY.values()], dtype=pl.Int64)]
    shown.append(pl.Series("label", [text for _, text in SUMMARY.values()]))
    return Result(_finished(cube, rows, "row", *shown), cube.metadata())


def allocation_by_device(cube: Cube) -> Result:
    """A row per class and device, after them `total` of each class: class, label, device, FIGURES. Functions 9, 10.

    The class `total` comes last and counts each GPU once. Devices by display name, Unknown among them; filtered
    families are left out unless all devices are asked for.
    """
    which = cube.options.classes
    device = pl.col("device").cast(pl.String())
    classed = cube.shown(cube.sums).with_columns(class_of(which).alias("class"), device)
    whole = cube.shown(cube.once).with_columns(pl.lit(TOTAL).alias("class"), device)
    each = pl.concat([added(part, ["class", "device"]) for part in (classed, whole)]).with_columns(_last=pl.lit(0))
    total = each.group_by("class").agg(pl.lit(TOTAL).alias("device"), pl.col(SUMS).sum(), pl.lit(1).alias("_last"))
    rows = pl.concat([each, total])
    rows = ordered(rows, (*names_of(which), TOTAL), "_last", "device").drop("_last")
    return Result(_finished(cube, rows, "class", label(), "device"), cube.metadata(filtered=True))


def allocation_by_memory(cube: Cube) -> Result:
    """A row per memory band of primary slots, all classes together, then `total`: band, FIGURES. Function 11.

    Filtered families are left out unless all devices are asked for.
    """
    rows = _with_total(cube.shown(cube.sums.filter(pl.col("side") == "primary")), "band")
    present = set(rows["band"])
    bands = tuple(name for name in (*cube.pool.band_labels, TOTAL) if name in present or name == TOTAL)
    return Result(_finished(cube, dense(rows, bands, "band"), "band"), cube.metadata(filtered=True))


def open_tiers(cube: Cube) -> Result:
    """A row per tier of open capacity, then `total`, all devices: tier, FIGURES."""
    sums = cube.sums.filter(pl.col("class").cast(pl.String()) == classes.OPEN)
    rows = dense(_with_total(sums, "tier"), (*TIERS, TOTAL), "tier")
    return Result(_finished(cube, rows, "tier"), cube.metadata())


def _with_total(sums: pl.DataFrame, by: str) -> pl.DataFrame:
    """Sums per value of a column, then `total`."""
    values = (pl.col(by).cast(pl.String()), pl.lit(TOTAL).alias(by))
    return pl.concat([added(sums.with_columns(value), [by]) for value in values])


def _total(cube: Cube) -> pl.DataFrame:
    return added(cube.once, []).select(pl.lit(TOTAL).alias("class"), *SUMS)


def _finished(cube: Cube, sums: pl.DataFrame, *keys: str | pl.Expr | pl.Series) -> pl.DataFrame:
    """The keys of each row and its FIGURES."""
    return figures(sums, cube.observed).select(*keys, *FIGURES)
