"""Lead times of leases as points in time: requested, effective and projected, per node type."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets.facts.tables import LEASES
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Built
from usage_assets.timelines.tables import LEADTIME, LEADTIME_TYPES
from usage_assets.warehouse import Reader


def read(reader: Reader, site: Site, months: Sequence[date]) -> pl.DataFrame:
    """The leases of some months."""
    return reader.frame(LEASES, site.key, months)


def make(site: Site, months: Sequence[date], leases: pl.DataFrame, extracted: Mapping[date, datetime]) -> Built:  # noqa: ARG001
    """The points of some months."""
    return Built(leadtime(leases))


def leadtime(leases: pl.DataFrame) -> pl.DataFrame:
    """Rows of timelines.leadtime from rows of facts.leases: a point for each type of lead time that a lease has."""
    key = list(LEADTIME.unique_key)
    return (
        leases.lazy()
        .unpivot(
            on=list(LEADTIME_TYPES),
            index=["site", "month", "node_type", "created_at"],
            variable_name="leadtime_type",
            value_name="value",
        )
        .rename({"created_at": "timestamp"})
        .filter(pl.col("value").is_not_null())
        .group_by(key)
        .agg(pl.col("value").median())
        .sort(key)
        .select(LEADTIME.names)
        .collect()
    )
