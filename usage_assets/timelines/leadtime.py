"""Lead times of leases as points in time: requested, effective and projected, per node type."""

import polars as pl

from usage_assets.timelines.tables import LEADTIME, LEADTIME_TYPES


def leadtime(leases: pl.DataFrame) -> pl.DataFrame:
    """Rows of timelines.leadtime, from rows of facts.leases; a lease has a point of each type that it has hours of."""
    of_types = [
        leases.lazy().select(
            "site",
            "month",
            "node_type",
            timestamp="created_at",
            leadtime_type=pl.lit(name),
            value=pl.col(f"{name}_hours"),
        )
        for name in LEADTIME_TYPES
    ]
    key = list(LEADTIME.unique_key)
    return (
        pl.concat(of_types)
        .filter(pl.col("value").is_not_null())
        .group_by(key)
        .agg(pl.col("value").median())
        .sort(key)
        .select(LEADTIME.names)
        .collect()
    )
