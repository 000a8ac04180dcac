"""The sections of a report, in the order of `SECTIONS`; numbers come from the tables."""

from collections.abc import Callable, Mapping
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
    """A part of a report: remarks and tables, or a sentence where there are no rows."""

    key: str
    title: str
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    empty: str = "Nothing."


Build = Callable[[Cube, Wording], Section]


@dataclass(frozen=True)
class _Listed:
    """A section that shows the rows of one table, instants by the pool's clocks.

    `heads` are its columns and their heads; `labelled` is the column whose class or category `label` calls in the words
    of the report. `{backfill}` stands for the report's word.
    """

    key: str
    title: str
    table: Callable[[Cube], Result]
    heads: Mapping[str, str]
    empty: str
    notes: tuple[str, ...] = ()
    labelled: str = ""

    def __call__(self, cube: Cube, words: Wording) -> Section:
        rows = self.table(cube).frame
        if self.labelled:
            rows = rows.with_columns(label=_worded(self.labelled, words))
        heads = {name: head.format(backfill=words.backfill) for name, head in self.heads.items()}
        shown = () if rows.is_empty() else (grid(rows, heads, timezone=cube.pool.timezone),)
        return Section(self.key, self.title, shown, self.notes, self.empty)


def real_slots(cube: Cube, words: Wording) -> Section:
    """GPUs offered and held, each once in the total."""
    summary = allocation.allocation_summary(cube)
    rows = summary.frame.with_columns(is_total=pl.col("level") == 0, label=_worded("row", words))
    # classes that a pool does not have are no news, apart from those that every report has
    rows = rows.filter((pl.col("row") != classes.INTERACTIVE) | (pl.col("available_hours_observed") > 0))
    figures = _figures(words)
    del figures["drained_percent"]
    note = (
        f"TOTAL counts what jobs held in primary and in {words.backfill} slots, and offers each GPU once. "
        f"{words.backfill} runs on GPUs that primary slots offer too, so rows do not add up to it."
    )
    heads = {"label": "Class", **figures, "refusing_avg": "Prevented (avg.)"}
    return Section("real_slots", "Real slots", (grid(rows, heads),), (note,))


def by_memory(cube: Cube, words: Wording) -> Section:
    """Primary slots by band of memory."""
    found = allocation.allocation_by_memory(cube)
    rows = found.frame.filter((pl.col("available_hours_observed") > 0) | (pl.col("band") == TOTAL))
    table = _totalled(rows, {"band": "Memory", **_figures(words)}, "band")
    return Section("memory", "Primary slots by memory", (table,), _filtered(found))


def model_users(cube: Cube, words: Wording) -> Section:
    """GPU-hours of the users of one model."""
    model = cube.options.model
    grids = _of_users(users.model_users(cube).frame, cube, words)
    empty = f"No job held a GPU called {model} in this period."
    return Section("model_users", f"{model} by slot type and user", grids, empty=empty)


def backfill_users(cube: Cube, words: Wording) -> Section:
    """GPU-hours of the users of backfill."""
    found = users.backfill_users(cube)
    title, grids = f"{words.backfill} by slot type and user", _of_users(found.frame, cube, words)
    return Section("backfill_users", title, grids, _filtered(found), "No job held a GPU there in this period.")


def by_device(cube: Cube, words: Wording) -> Section:
    """Every class by device, the class first as a whole."""
    found = allocation.allocation_by_device(cube)
    heads = {"device": "Device", **_figures(words)}
    grids = []
    for name in (TOTAL, *names_of(cube.options.classes)):
        rows = found.frame.filter(pl.col("class") == name)
        if rows["available_hours_observed"].sum() > 0:
            grids.append(_totalled(rows, heads, "device", title=_class_title(name, words)))
    return Section("devices", f"{words.allocation} by device", tuple(grids), _filtered(found), "No GPU was seen.")


_MACHINE = {"machine": "Machine", "devices": "Devices", "gpus": "GPUs"}
_SEEN = {"first_seen": "First seen", "last_seen": "Last seen"}
SECTIONS: tuple[Build, ...] = (
    real_slots,
    by_memory,
    model_users,
    backfill_users,
    _Listed(
        "never_active",
        "Machines with no active primary GPU",
        hosts.never_active,
        {
            **_MACHINE,
            "available_hours_observed": "GPU-hours available",
            "backfill_hours_observed": "GPU-hours of {backfill}",
            "last_seen": "Last seen",
        },
        "Primary jobs held a GPU of every machine.",
    ),
    by_device,
    _Listed(
        "machines",
        "Machine categories",
        hosts.machine_categories,
        {"label": "Category", **_MACHINE, "available_hours_observed": "GPU-hours seen", "percent": "% of the machine"},
        "No machine was seen.",
        ("A machine whose slots changed their class, or are of several, has a row of each.",),
        labelled="category",
    ),
    _Listed(
        "draining",
        "Draining",
        draining.draining_by_host,
        {
            **_MACHINE,
            "episodes": "Times",
            "first_at": "First seen",
            "last_at": "Last seen",
            "gpu_hours_observed": "GPU-hours drained",
            "is_open": "Still drained",
        },
        "No GPU was drained.",
    ),
    _Listed(
        "refusing",
        "Machines that prevent new jobs",
        draining.refusing_hosts,
        {
            "machine": "Machine",
            "reason": "Reason",
            "gpus": "GPUs",
            **_SEEN,
            "is_still_set": "Still set",
            "gpu_hours_refusing": "GPU-hours prevented",
        },
        "No machine prevented jobs.",
    ),
    _Listed(
        "excluded",
        "Excluded hosts",
        hosts.excluded_hosts,
        {"machine": "Machine", "reason": "Reason", "gpus": "GPUs", "last_seen": "Last seen"},
        "No host is excluded.",
    ),
)
"""The sections in the order in which a report shows them; the methodology and the footer come after them."""


def _figures(words: Wording) -> dict[str, str]:
    """Columns of allocation and their heads."""
    held = "Allocated" if words.allocation == "Allocation" else words.allocation
    return {
        "allocated_percent": f"{words.allocation} %",
        "allocated_avg": f"{held} (avg.)",
        "drained_avg": "Drained (avg.)",
        "drained_percent": "Drained %",
        "available_avg": "Available (avg.)",
    }


def _of_users(frame: pl.DataFrame, cube: Cube, words: Wording) -> tuple[Grid, ...]:
    """Users of all classes first, then of each; each with its sum at the top."""
    numbers = {
        "gpu_hours_observed": "GPU-hours observed",
        "gpu_hours_estimated": "GPU-hours estimated",
        "percent": "% of total",
    }
    grids = []
    for name in (TOTAL, *names_of(cube.options.classes)):
        rows = frame.filter(pl.col("class") == name).sort("gpu_hours_observed", "user", descending=[True, False])
        if rows.is_empty():
            continue
        shown = numbers if name == TOTAL else {**numbers, "percent_of_class": "% of slot type"}
        first = rows.select(pl.lit("TOTAL").alias("user"), pl.col(*shown).sum(), is_total=pl.lit(value=True))
        rows = pl.concat([first, rows.select("user", *shown, is_total=pl.lit(value=False))])
        title = "All classes" if name == TOTAL else _class_title(name, words)
        grids.append(grid(rows, {"user": "User", **shown}, title=title))
    return tuple(grids)


def class_titles(words: Wording) -> dict[str, str]:
    """Titles of the classes in a report."""
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
    titles = class_titles(words)
    own = {name: titles[name] for name in (*classes.BACKFILL, hosts.BACKFILL_ONLY)}
    return pl.coalesce(pl.col(column).replace_strict(own, default=None, return_dtype=pl.String()), "label")


def _totalled(frame: pl.DataFrame, heads: Mapping[str, str], column: str, title: str = "") -> Grid:
    """A grid whose rows called total come first, as TOTAL."""
    is_total = pl.col(column) == TOTAL
    name = pl.when(is_total).then(pl.lit("TOTAL")).otherwise(column)
    frame = frame.with_columns(name.alias(column), is_total=is_total).sort(~pl.col("is_total"), maintain_order=True)
    return grid(frame, heads, title=title)


def _filtered(found: Result) -> tuple[str, ...]:
    """The families that a table leaves out, and which devices of the period that were."""
    about = found.metadata
    if not about.filtered_families:
        return ()
    devices = ", ".join(about.filtered_devices) or "none of the period's devices"
    return (f"Without the families {', '.join(about.filtered_families)}: {devices}.",)
