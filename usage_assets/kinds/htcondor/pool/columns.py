"""The rules of a pool over columns."""

from collections.abc import Callable
from typing import Any

import polars as pl

from usage_assets.kinds.htcondor.pool import classes


def applied(rule: Callable[[Any], Any], values: pl.Expr, result: pl.DataType) -> pl.Expr:
    """Values of a rule of a `Pool` for a column, null included; evaluated once per distinct value, for they are few."""

    def of_column(column: pl.Series) -> pl.Series:
        known = column.unique()
        found = pl.Series([rule(value) for value in known], dtype=result)
        table = pl.DataFrame({"value": known, "found": found})
        rows = column.to_frame("value").join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        return rows["found"]

    return values.map_batches(of_column, return_dtype=result, is_elementwise=True)


def primary_class(is_hosted: pl.Expr, has_projects: pl.Expr, is_interactive: pl.Expr) -> pl.Expr:
    """The class of a primary slot: the hosted list decides alone, then the projects of the slot at that poll."""
    return (
        pl.when(is_hosted)
        .then(pl.lit(classes.PRIORITIZED_HOSTED))
        .when(has_projects)
        .then(pl.lit(classes.PRIORITIZED_RESEARCHER))
        .when(is_interactive)
        .then(pl.lit(classes.INTERACTIVE))
        .otherwise(pl.lit(classes.OPEN))
    )


def backfill_class(is_hosted: pl.Expr, has_projects: pl.Expr) -> pl.Expr:
    """The class of a backfill slot; `has_projects`: some primary slot of the machine has projects at that poll."""
    return (
        pl.when(is_hosted)
        .then(pl.lit(classes.BACKFILL_HOSTED))
        .when(has_projects)
        .then(pl.lit(classes.BACKFILL_RESEARCHER))
        .otherwise(pl.lit(classes.BACKFILL_OPEN))
    )
