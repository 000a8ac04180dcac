"""Rule 3: machines and flavors held by leases. An allocation runs while its lease does, within what is reservable."""

import polars as pl

from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.intervals import assign_owner, intersect
from usage_assets.kinds.openstack.facts.capacity import machine_resources
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.machines import HOST, merged
from usage_assets.kinds.openstack.facts.maintenance import COMMITTED, MAINTENANCE, is_maintenance
from usage_assets.kinds.openstack.facts.node_types import SIZES
from usage_assets.kinds.openstack.facts.rows import (
    NEVER_RAN,
    NO_START,
    Outcome,
    born,
    latest,
    lives,
    resources,
    spans,
    with_own_span,
)
from usage_assets.kinds.openstack.site.model import Maintenance

PHYSICAL = "physical:host"
BY_FLAVOR = ("virtual:instance", "flavor:instance")
_ALLOCATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "blazar_computehost_allocations": ("compute_host_id", (PHYSICAL, *BY_FLAVOR)),
    "blazar_device_allocations": ("device_id", ("device",)),
}
"""Tables of allocations: the column of the host or device, and the types of reservations that hold one."""
_PIECE = ("row", "metric", "start_at", "end_at", "node_type")


def allocation_rows(
    inputs: Inputs, bounds: pl.LazyFrame, *, source: str, owners: pl.LazyFrame, maintenance: Maintenance | None
) -> pl.LazyFrame:
    """Allocations with their span, see with_own_span().

    An allocation runs from the latest of lease start, lease creation and its own creation to the earliest of lease end,
    lease deletion and its own deletion; without a lease, from its creation to its deletion. `owners` has month, row_id
    and node (hostname or device name) of the hosts or devices. Leases for `maintenance` have a metric of their own.
    """
    resource, types = _ALLOCATIONS[source]
    leases = inputs["blazar_leases"].select(
        "month",
        "project_id",
        "user_id",
        lease_id="id",
        lease_start=pl.max_horizontal("start_date", born("start_date", "updated_at", "deleted_at")),
        lease_end=pl.min_horizontal("end_date", "deleted_at", "gone_at"),
        has_lease=pl.lit(value=True),
        is_endless_lease="is_endless",
        is_maintenance=is_maintenance(maintenance),
    )
    reservations = inputs["blazar_reservations"].select(
        "month", "lease_id", "resource_type", reservation_id="id", has_reservation=pl.lit(value=True)
    )
    own = lives(inputs[source], "reservation_id", "is_endless", owner_id=resource)
    is_endless = pl.col("is_endless") | (pl.col("is_endless_lease") & pl.col("end_at").is_null())
    rows = (
        own.join(reservations, on=["month", "reservation_id"], how="left")
        .join(leases, on=["month", "lease_id"], how="left")
        .join(owners.select("month", "node", owner_id="row_id"), on=["month", "owner_id"], how="left")
        .with_columns(
            joined_blazar_reservations=pl.col("has_reservation").is_not_null(),
            joined_blazar_leases=pl.col("has_lease").is_not_null(),
            joined_owners=pl.col("node").is_not_null(),
            metric=pl.when("is_maintenance").then(pl.lit(MAINTENANCE)).otherwise(pl.lit(COMMITTED)),
            source=pl.lit(source),
            entity_id="row_id",
            # where the end of a deleted lease is unknown, its allocations count to their own ends
            start_at=pl.when(~is_endless.fill_null(value=False)).then(pl.max_horizontal("lease_start", "created")),
            end_at=pl.min_horizontal("lease_end", "end_at"),
        )
    )
    return with_own_span(
        rows,
        bounds,
        ("null_key", pl.col("owner_id").is_null() | pl.col("reservation_id").is_null()),
        ("no_reservation", pl.col("has_reservation").is_null()),
        ("no_lease", pl.col("has_lease").is_null()),
        # a reservation of another kind (network, floating IP) holds no machine
        ("no_reservation", ~pl.col("resource_type").is_in(types).fill_null(value=False)),
        ("unknown_host", pl.col("node").is_null()),
        ("bad_time", NO_START),
        ("never_ran", NEVER_RAN),
    )


def held(rows: pl.LazyFrame, machines: pl.LazyFrame) -> pl.LazyFrame:
    """When each allocation holds its machine, allocations of the same machine overlapping, with the machine's size.

    `machines` is reservable_machines().
    """
    own = spans(rows).select(
        *("month", "row", "row_id", "metric", "created", "reservation_id", "resource_type", "start_at", "end_at"),
        hostname="node",
    )
    return intersect(own, machines.drop("row"), on=HOST)


def whole_machines(holdings: pl.LazyFrame) -> pl.LazyFrame:
    """Machines that leases hold as a whole, at each instant once: by the latest allocation. `holdings` is held()."""
    whole = assign_owner(holdings.filter(pl.col("resource_type") == PHYSICAL), by=HOST, rank=["created", "row_id"])
    return whole.select(*HOST, *_PIECE, *machine_resources())


def parts_of_machines(inputs: Inputs, holdings: pl.LazyFrame) -> pl.LazyFrame:
    """Flavors that leases hold on machines, each allocation by itself. `holdings` is held()."""
    renamed = {f"flavor_{name}": name for name in SIZES}
    rows = inputs["blazar_instance_reservations"]
    flavors = latest(rows, ["month", "reservation_id"], "flavor_gpus", **renamed)
    size = {name: pl.col(f"flavor_{name}") for name in SIZES}
    share = pl.when(pl.col("vcpus") > 0).then(size["vcpus"] / pl.col("vcpus"))
    amounts = resources(nodes=share, vcpus_overcommit=size["vcpus"], gpus=pl.col("flavor_gpus"), **size)
    held_in_part = holdings.filter(pl.col("resource_type").is_in(BY_FLAVOR))
    return held_in_part.join(flavors, on=["month", "reservation_id"], how="left").select(*HOST, *_PIECE, *amounts)


def committed(rows: pl.LazyFrame, holdings: pl.LazyFrame, whole: pl.LazyFrame, parts: pl.LazyFrame) -> Outcome:
    """A whole machine is committed once, to the latest allocation; a flavor counts with its size, each by itself.

    What leases for maintenance hold is metric maintenance instead. `rows` is allocation_rows(), `holdings` is held().
    Source: blazar_computehost_allocations.
    """
    pieces = merged(pl.concat([whole, parts]).drop(*HOST, "metric"), ["row", "node_type", *RESOURCE_NAMES])
    return Outcome(rows, pieces, lost=((pl.lit("orphan"), holdings), (pl.lit("duplicate"), pieces)))
