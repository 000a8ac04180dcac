"""Sizes of machines: what is one, and what stands in where a row has none. Unknown is null, never 0."""

import polars as pl

SIZES = ("vcpus", "memory_mb", "disk_gb")


def is_size(name: str) -> pl.Expr:
    """Whether an amount is a size: Nova and Blazar write 0 where they do not know it."""
    return pl.col(name).fill_null(0) > 0


def lacks_size() -> pl.Expr:
    """Whether a row lacks any of the SIZES."""
    return pl.any_horizontal(~is_size(name) for name in SIZES)


def size_or(name: str, other: str) -> pl.Expr:
    """A size, else the other one, else null."""
    return pl.when(is_size(name)).then(name).when(is_size(other)).then(other)
