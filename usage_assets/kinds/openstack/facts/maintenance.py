"""Rule 8: leases that keep machines for maintenance, and what they take from what may be reserved."""

import polars as pl

from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.intervals import intersect, is_first, materialize, step_function, subtract
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.machines import HOST, merged
from usage_assets.kinds.openstack.site.model import Maintenance

# sums of flavors carry dust in the digits after these
_DECIMALS = 9
COMMITTED, MAINTENANCE = "committed", "maintenance"


def is_maintenance(declared: Maintenance | None) -> pl.Expr:
    """Of a lease (project_id, name): whether the site's file says that it is for maintenance."""
    if declared is None:
        return pl.lit(value=False)
    named = pl.lit(value=False) if declared.lease_name is None else pl.col("name").str.contains(declared.lease_name)
    return (pl.col("project_id").is_in(list(declared.projects)) | named).fill_null(value=False)


def reservations(inputs: Inputs, declared: Maintenance | None) -> pl.LazyFrame:
    """month, reservation_id, lease_id of each reservation, and whether its lease is for maintenance."""
    known = inputs["blazar_reservations"].select("month", "lease_id", reservation_id="id")
    if declared is None:
        return known.with_columns(is_maintenance=pl.lit(value=False))
    leases = inputs["blazar_leases"].select("month", lease_id="id", is_maintenance=is_maintenance(declared))
    return known.join(leases, on=["month", "lease_id"], how="left").with_columns(
        pl.col("is_maintenance").fill_null(value=False)
    )


def taken(reservable: pl.LazyFrame, whole: pl.LazyFrame, parts: pl.LazyFrame) -> pl.LazyFrame:
    """What is left to reserve: `reservable` (pieces with hostname and resources) less what maintenance holds.

    `whole` are machines held as a whole, each once: their time is gone. `parts` are flavors held on machines: their
    amounts are taken off the machine's, down to 0; an amount that nobody knows stays unknown.
    """
    left = subtract(reservable, whole.filter(pl.col("metric") == MAINTENANCE).select(*HOST, *_SPAN), on=HOST)
    flavors = parts.filter(pl.col("metric") == MAINTENANCE).select(*HOST, *_SPAN, *RESOURCE_NAMES)
    steps = step_function(flavors, by=HOST, amounts=RESOURCE_NAMES).sort(*HOST, "at")
    until = pl.when(~is_first(HOST).shift(-1).fill_null(value=True)).then(pl.col("at").shift(-1))
    held = materialize(
        steps.with_columns(until=until)
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


_SPAN = ("start_at", "end_at")
