"""Sections: what a report tells, one function each, in the order of `SECTIONS`; numbers come from the tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.reports.grid import Grid, grid
from usage_assets.kinds.htcondor.site.reports import Wording
from usage_assets.kinds.htcondor.tables import allocation, draining, hosts, users
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.labels import TOTAL, names_of
from usage_assets.kinds.htcondor.tables.options import Result


@dataclass(frozen=True)
class Section:
    """One part of a report: remarks and tables, or a sentence where there is nothing to show."""

    key: str
    title: str
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    empty: str = "Nothing."


Build = Callable[[Cube, Wording], Section]
_ALL = "All classes"


def real_slots(cube: Cube, words: Wording) -> Section:
    """What was offered and held, each GPU once in the total."""
    summary = allocation.allocation_summary(cube)
    rows = summary.frame.with_columns(is_total=pl.col("level") == 0, label=_worded("row", words))
    # classes that a pool does not have are no news, apart from those that every report has
    rows = rows.filter((pl.col("row") != classes.INTERACTIVE) | (pl.col("available_hours_observed") > 0))
    share, held = f"{words.allocation} %", _held(words)
    heads = {
        "label": "Class",
        "allocated_percent": share,
        "allocated_avg": held,
        "drained_avg": "Drained (avg.)",
        "available_avg": "Available (avg.)",
        "refusing_avg": "Prevented (avg.)",
    }
    note = (
        f"TOTAL counts what jobs held in primary and in {words.backfill} slots, and offers each GPU once. "
        f"{words.backfill} runs on GPUs that primary slots offer too, so rows do not add up to it."
    )
    return Section("real_slots", "Real slots", (grid(rows, heads),), (note,))


def by_memory(cube: Cube, words: Wording) -> Section:
    """Primary slots by band of memory."""
    found = allocation.allocation_by_memory(cube)
    rows = found.frame.filter((pl.col("available_hours_observed") > 0) | (pl.col("band") == TOTAL))
    heads = {"band": "Memory", **_figures(words)}
    table = _titled(grid(rows, heads, total="band"), {TOTAL: "TOTAL"})
    return Section("memory", "Primary slots by memory", (table,), _filtered(found))


def model_users(cube: Cube, words: Wording) -> Section:
    """GPU-hours of the users of one model."""
    model = cube.options.model
    grids = _of_users(users.model_users(cube).frame, cube, words)
    return Section(
        "model_users",
        f"{model} by slot type and user",
        grids,
        empty=f"No job held a GPU called {model} in this period.",
    )


def backfill_users(cube: Cube, words: Wording) -> Section:
    """GPU-hours of the users of backfill."""
    found = users.backfill_users(cube)
    return Section(
        "backfill_users",
        f"{words.backfill} by slot type and user",
        _of_users(found.frame, cube, words),
        _filtered(found),
        "No job held a GPU there in this period.",
    )


def never_active(cube: Cube, words: Wording) -> Section:
    """Machines that no primary job used."""
    rows = hosts.never_active(cube).frame
    heads = {
        "machine": "Machine",
        "devices": "Devices",
        "gpus": "GPUs",
        "available_hours_observed": "GPU-hours available",
        "backfill_hours_observed": f"GPU-hours of {words.backfill}",
        "last_seen": "Last seen",
    }
    return Section(
        "never_active",
        "Machines with no active primary GPU",
        _some(grid(rows, heads, timezone=cube.pool.timezone)),
        empty="Primary jobs held a GPU of every machine.",
    )


def by_device(cube: Cube, words: Wording) -> Section:
    """Every class by device, the class first as a whole."""
    found = allocation.allocation_by_device(cube)
    heads = {"device": "Device", **_figures(words)}
    grids = []
    for name in (TOTAL, *names_of(cube.options.classes)):
        rows = found.frame.filter(pl.col("class") == name)
        if rows["available_hours_observed"].sum() > 0:
            table = grid(rows, heads, total="device", title=_class_title(name, words))
            grids.append(_titled(table, {TOTAL: "TOTAL"}))
    return Section("devices", f"{words.allocation} by device", tuple(grids), _filtered(found), "No GPU was seen.")


def machine_categories(cube: Cube, words: Wording) -> Section:
    """The class of each machine's slots."""
    rows = hosts.machine_categories(cube).frame.with_columns(label=_worded("category", words))
    heads = {
        "label": "Category",
        "machine": "Machine",
        "devices": "Devices",
        "gpus": "GPUs",
        "available_hours_observed": "GPU-hours seen",
        "percent": "% of the machine",
    }
    note = "A machine whose slots changed their class, or are of several, has a row of each."
    return Section("machines", "Machine categories", _some(grid(rows, heads)), (note,), "No machine was seen.")


def draining_hosts(cube: Cube, words: Wording) -> Section:  # noqa: ARG001 - all sections are called alike
    """Machines with GPUs that were drained."""
    heads = {
        "machine": "Machine",
        "devices": "Devices",
        "gpus": "GPUs",
        "episodes": "Times",
        "first_at": "First seen",
        "last_at": "Last seen",
        "gpu_hours_observed": "GPU-hours drained",
        "is_open": "Still drained",
    }
    rows = draining.draining_by_host(cube).frame
    table = _some(grid(rows, heads, timezone=cube.pool.timezone))
    return Section("draining", "Draining", table, empty="No GPU was drained.")


def refusing_hosts(cube: Cube, words: Wording) -> Section:  # noqa: ARG001
    """Machines that refused new jobs, and why."""
    heads = {
        "machine": "Machine",
        "reason": "Reason",
        "gpus": "GPUs",
        "first_seen": "First seen",
        "last_seen": "Last seen",
        "is_still_set": "Still set",
        "gpu_hours_refusing": "GPU-hours prevented",
    }
    rows = draining.refusing_hosts(cube).frame
    table = _some(grid(rows, heads, timezone=cube.pool.timezone))
    return Section("refusing", "Machines that prevent new jobs", table, empty="No machine prevented jobs.")


def excluded_hosts(cube: Cube, words: Wording) -> Section:  # noqa: ARG001
    """Machines out of the statistics."""
    heads = {"machine": "Machine", "reason": "Reason", "gpus": "GPUs", "last_seen": "Last seen"}
    rows = hosts.excluded_hosts(cube).frame
    table = _some(grid(rows, heads, timezone=cube.pool.timezone))
    return Section("excluded", "Excluded hosts", table, empty="No host is excluded.")


SECTIONS: tuple[Build, ...] = (
    real_slots,
    by_memory,
    model_users,
    backfill_users,
    never_active,
    by_device,
    machine_categories,
    draining_hosts,
    refusing_hosts,
    excluded_hosts,
)
"""The sections in the order in which a report shows them; the methodology and the footer come after them."""


def _figures(words: Wording) -> dict[str, str]:
    return {
        "allocated_percent": f"{words.allocation} %",
        "allocated_avg": _held(words),
        "drained_avg": "Drained (avg.)",
        "drained_percent": "Drained %",
        "available_avg": "Available (avg.)",
    }


def _held(words: Wording) -> str:
    return "Allocated (avg.)" if words.allocation == "Allocation" else f"{words.allocation} (avg.)"


def _of_users(frame: pl.DataFrame, cube: Cube, words: Wording) -> tuple[Grid, ...]:
    """Users of all classes first, then of each; each with its sum at the top."""
    heads = {
        "user": "User",
        "gpu_hours_observed": "GPU-hours observed",
        "gpu_hours_estimated": "GPU-hours estimated",
        "percent": "% of total",
        "percent_of_class": "% of slot type",
    }
    grids = []
    for name in (TOTAL, *names_of(cube.options.classes)):
        mine = frame.filter(pl.col("class") == name).sort("gpu_hours_observed", "user", descending=[True, False])
        if mine.is_empty():
            continue
        numbers = [column for column in heads if column != "user"]
        first = mine.select(pl.lit("TOTAL").alias("user"), *(pl.col(column).sum() for column in numbers))
        rows = pl.concat(
            [first.with_columns(is_total=pl.lit(value=True)), mine.select(*heads).with_columns(is_total=pl.lit(False))]
        )
        title = _ALL if name == TOTAL else _class_title(name, words)
        if name == TOTAL:
            rows, shown = rows.drop("percent_of_class"), {k: v for k, v in heads.items() if k != "percent_of_class"}
        else:
            shown = heads
        grids.append(grid(rows, shown, title=title))
    return tuple(grids)


def class_titles(words: Wording) -> dict[str, str]:
    """What a report calls each class."""
    return {
        TOTAL: "All slots, each GPU once",
        **classes.LABELS,
        classes.BACKFILL_RESEARCHER: f"{words.backfill}, researcher owned",
        classes.BACKFILL_HOSTED: f"{words.backfill}, hosted",
        classes.BACKFILL_OPEN: f"{words.backfill}, open capacity",
        hosts.BACKFILL_ONLY: f"{words.backfill} slots only",
    }


def _class_title(name: str, words: Wording) -> str:
    return class_titles(words).get(name, name)


def _worded(column: str, words: Wording) -> pl.Expr:
    """Labels with the report's own words for classes of backfill."""
    names = (*classes.BACKFILL, hosts.BACKFILL_ONLY)
    replaced = pl.col("label")
    for name in names:
        replaced = pl.when(pl.col(column) == name).then(pl.lit(_class_title(name, words))).otherwise(replaced)
    return replaced


def _titled(table: Grid, names: dict[str, str]) -> Grid:
    rows = [type(row)((names.get(row.cells[0], row.cells[0]), *row.cells[1:]), row.level, row.is_total)
            if row.is_total else row for row in table.rows]  # fmt: skip
    return Grid(table.columns, tuple(rows), table.title)


def _some(table: Grid) -> tuple[Grid, ...]:
    return (table,) if table.rows else ()


def _filtered(found: Result) -> tuple[str, ...]:
    """The families that a table leaves out, and which devices of the period that were."""
    about = found.metadata
    if not about.filtered_families:
        return ()
    gone: Sequence[str] = about.filtered_devices or ("none of the period's devices",)
    return (f"Without the families {', '.join(about.filtered_families)}: {', '.join(gone)}.",)
