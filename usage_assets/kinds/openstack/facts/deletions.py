"""Deletion times of rows that their service holds as deleted without a date.

Rows that were dumped before the mark `deleted` was read along (null) count by their dates alone.
"""

import polars as pl

SOFT_DELETED = "soft-delete"
"""vm_state of a server that may still be restored: it holds what it held, and does not run."""
_GONE = "deleted"

_marked = pl.col("deleted").fill_null(value=False)
_no_date = pl.col("deleted_at").is_null()


def with_deletions(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with deleted_at where their service holds them as deleted without it: their last change.

    `is_endless` marks those of which that is not known either. They have no created_at, so that they are rejected as
    rows without a usable time and nothing rests on them.
    """
    undated = _marked & _no_date
    endless = undated & pl.col("updated_at").is_null()
    return rows.with_columns(
        created_at=pl.when(~endless).then("created_at"),
        deleted_at=pl.when(undated).then("updated_at").otherwise("deleted_at"),
        is_endless=endless,
    )


def with_deletions_of_servers(servers: pl.LazyFrame) -> pl.LazyFrame:
    """The servers (vm_state, terminated_at, and `terminated` from their events) with deleted_at and is_endless.

    One that is held as deleted without a date was deleted when it was terminated, else with its last change;
    `is_endless` where no time is known. deleted_at of a server that may still be restored is no end: Nova sets it when
    the soft delete is asked for.
    """
    undated = (_marked | (pl.col("deleted").is_not_null() & (pl.col("vm_state") == _GONE))).fill_null(value=False)
    unknown = undated & _no_date & pl.min_horizontal("terminated_at", "terminated").is_null()
    return servers.with_columns(
        deleted_at=pl.when(unknown).then("updated_at").when(~waits_to_be_restored()).then("deleted_at"),
        is_endless=unknown & pl.col("updated_at").is_null(),
    )


def waits_to_be_restored() -> pl.Expr:
    """Of a server: it was soft-deleted and is there still; never null."""
    return ((pl.col("vm_state") == SOFT_DELETED) & ~pl.col("deleted")).fill_null(value=False)
