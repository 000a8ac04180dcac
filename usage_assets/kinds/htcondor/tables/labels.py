"""Names of rows: the classes of the set asked for, in the order in which tables show them."""

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.tables.options import ClassSet

TOTAL = "total"
INTERACTIVE = "Interactive"
LABELS: dict[str, str] = {
    **classes.LABELS,
    "Priority": "Prioritized",
    "Shared": "Open capacity",
    "Backfill": "Backfill",
    INTERACTIVE: "Interactive slots",
    "primary": "All primary slots",
    "backfill": "All backfill slots",
    TOTAL: "Total, each GPU once",
}
_LEGACY_OF = {**classes.LEGACY_OF, classes.INTERACTIVE: INTERACTIVE}


def names_of(which: ClassSet) -> tuple[str, ...]:
    """The classes of a set, in order."""
    return classes.CLASSES if which == "six" else (*classes.LEGACY, INTERACTIVE)


def class_of(which: ClassSet, column: str = "class") -> pl.Expr:
    """The classes of a column as the set names them."""
    named = pl.col(column).cast(pl.String())
    return named if which == "six" else named.replace_strict(_LEGACY_OF, default=None, return_dtype=pl.String())


def label(column: str = "class") -> pl.Expr:
    """Labels of the classes of a column."""
    return pl.col(column).replace(LABELS).alias("label")


def ordered(frame: pl.DataFrame, names: tuple[str, ...], *then: str, column: str = "class") -> pl.DataFrame:
    """Rows in the order of their class, then by further columns."""
    order = pl.col(column).replace_strict(names, range(len(names)), default=len(names), return_dtype=pl.Int64)
    return frame.sort(order, *(pl.col(name) for name in then), nulls_last=True)


def dense(frame: pl.DataFrame, names: tuple[str, ...], column: str = "class") -> pl.DataFrame:
    """A row for each name, in order; sums of names without rows are zero."""
    rows = pl.DataFrame({column: list(names)}, schema={column: pl.String()})
    return rows.join(frame, on=column, how="left", maintain_order="left").fill_null(0)
