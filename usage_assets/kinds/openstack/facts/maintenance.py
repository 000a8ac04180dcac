"""Rule 8: leases for maintenance, whose machines can't be reserved meanwhile."""

import polars as pl

from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.intervals import following, intersect, materialize, step_function, subtract
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.machines import HOST, merged
from usage_assets.kinds.openstack.site.model import Maintenance

# sums of flavors carry dust in the digits after these
_DECIMALS = 9
COMMITTED, MAINTENANCE = "committed", "maintenance"
_SPAN = ("start_at", "end_at")


def is_maintenance(declared: Maintenance | None) -> pl.Expr:
    """Whether a lease (project_id, name) is for maintenance by the site's file."""
    if declared is None:
        return pl.lit(value=False)
    by_name = pl.lit(value=False) if declared.lease_name is None else pl.col("name").str.contains(declared.lease_name)
    return (pl.col("project_id").is_in(list(declared.projects)) | by_name).fill_null(value=False)


def reservations(inputs: Inputs, declared: Maintenance | None) -> pl.LazyFrame:
    """month, reservation_id, lease_id and is_maintenance of each reservation."""
    known = inputs["blazar_reservations"].select("month", "lease_id", reservation_id="id")
    leases = inputs["blazar_leases"].select("month", lease_id="id", is_maintenance=is_maintenance(declared))
    return known.join(leases, on=["month", "lease_id"], how="left").with_columns(
        pl.col("is_maintenance").fill_null(value=False)
    )


def taken(reservable: pl.LazyFrame, whole: pl.LazyFrame, parts: pl.LazyFrame) -> pl.LazyFrame:
    """`reservable` (pieces with hostname and resources) less what leases for maintenance hold.

    `whole` are machines held as a whole, each once: their time is gone. `parts` are flavors held on machines: their
    amounts are taken off the machine's, down to 0; an unknown amount (null) stays unknown.
    """
    left = subtract(reservable, whole.filter(pl.col("metric") == MAINTENANCE).select(*HOST, *_SPAN), on=HOST)
    flavors = parts.filter(pl.col("metric") == MAINTENANCE).select(*HOST, *_SPAN, *RESOURCE_NAMES)
    steps = step_function(flavors, by=HOST, amounts=RESOURCE_NAMES).sort(*HOST, "at")
    held = materialize(
        steps.with_columns(until=following("at", HOST))
        .filter(pl.col("until").is_not_null())
        .select(*HOST, *(pl.col(name).alias(f"held_{name}") for name in RESOURCE_NAMES), start_at="at", end_at="until")
    )
    left = materialize(left)
    columns = left.collect_schema().names()
    reduced = intersect(left, held, on=HOST).with_columns(
        (pl.col(name) - pl.col(f"held_{name}")).round(_DECIMALS).clip(lower_bound=0).alias(name)
        for name in RESOURCE_NAMES
    )
    pieces = pl.concat([subtract(left, held.select(*HOST, *_SPAN), on=HOST), reduced.select(columns)])
    return merged(pieces, [name for name in columns if name not in _SPAN])
