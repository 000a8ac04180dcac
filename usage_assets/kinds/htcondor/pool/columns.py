"""The rules of a pool over columns: each distinct value is asked once, machines and devices are few."""

from collections.abc import Callable
from typing import Any

import polars as pl

from usage_assets.kinds.htcondor.pool.rules import Pool


def display_name(pool: Pool, device: pl.Expr) -> pl.Expr:
    """What people call the devices."""
    return _asked(device, pool.display_name, pl.String())


def is_filtered(pool: Pool, device: pl.Expr) -> pl.Expr:
    """Whether the devices are of a family that some tables leave out."""
    return _asked(device, pool.is_filtered, pl.Boolean())


def tier(pool: Pool, device: pl.Expr) -> pl.Expr:
    """Flagship or Standard."""
    return _asked(device, pool.tier, pl.String())


def band(pool: Pool, memory_mb: pl.Expr) -> pl.Expr:
    """The memory bands."""
    return _asked(memory_mb, pool.band, pl.String())


def is_hosted(pool: Pool, machine: pl.Expr) -> pl.Expr:
    """Whether the machines are on the hosted list."""
    return _asked(machine, pool.is_hosted, pl.Boolean())


def mask_reason(pool: Pool, machine: pl.Expr) -> pl.Expr:
    """Why the machines are out of the statistics, null where they are not."""
    return _asked(machine, pool.mask_reason, pl.String())


def _asked(values: pl.Expr, ask: Callable[[Any], Any], result: pl.DataType) -> pl.Expr:
    """The answers for a column, null included."""

    def answer(column: pl.Series) -> pl.Series:
        known = column.unique()
        answers = pl.Series([ask(value) for value in known], dtype=result)
        asked = pl.DataFrame({"value": known, "answer": answers})
        return column.to_frame("value").join(asked, on="value", how="left", nulls_equal=True, maintain_order="left")[
            "answer"
        ]

    return values.map_batches(answer, return_dtype=result, is_elementwise=True)
