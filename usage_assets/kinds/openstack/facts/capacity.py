"""Rules 1 and 2: which machines exist, and which of them Blazar may reserve."""

import polars as pl

from usage_assets.intervals import intersect, materialize, merge_touching
from usage_assets.kinds.openstack.facts.machines import HOST, existing, merged, within_month
from usage_assets.kinds.openstack.facts.node_types import SIZES, lacks_size, size_or
from usage_assets.kinds.openstack.facts.rows import (
    IF_EXCLUDED,
    NEVER_RAN,
    NO_START,
    Outcome,
    resources,
    spans,
    with_own_span,
)

_SPECIFIC = ["month", "row", "hostname", "node_type", "gpus", "ratio", *SIZES]


def machine_resources() -> list[pl.Expr]:
    """Resources of a whole machine: one node with its size, vCPUs also as the scheduler counts them."""
    amounts = {name: pl.col(name) for name in (*SIZES, "gpus")}
    return resources(nodes=1.0, vcpus_overcommit=pl.col("vcpus") * pl.col("ratio"), **amounts)


def total(machines: pl.LazyFrame, machine_profile: pl.LazyFrame, bounds: pl.LazyFrame, *, source: str) -> Outcome:
    """A machine exists while a row of its sources covers the instant; it counts once, sized by the latest row.

    Grain: month, hostname and stretch of one size and type. Source: nova_compute_nodes, or another that the site lists.
    """
    rows = _described(machines, bounds, metric="total", source=source)
    of_source = existing(machine_profile.filter(pl.col("source") == source))
    owned_pieces = of_source.select(*_SPECIFIC, "start_at", "end_at")
    pieces = merged(owned_pieces, _SPECIFIC).select("row", "start_at", "end_at", "node_type", *machine_resources())
    return Outcome(rows, pieces, lost=((pl.lit("duplicate"), pieces),))


def reservable_machines(alive: pl.LazyFrame, machine_profile: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """When machines are reservable: they exist, and the row of their Blazar host (row) covers the instant.

    `alive` is segments() of the Blazar hosts. Columns: month, row, hostname, start_at, end_at, size of the Blazar host
    (where it has none the machine's), ratio of the machine at that time, node_type, gpus; disjoint per hostname.
    """
    of_blazar = materialize(within_month(alive, bounds).select(*HOST, "row", "start_at", "end_at", *SIZES))
    # where a host row covers the instant, the machine's type is that of the row
    attributes = [*HOST, "ratio", "node_type", "gpus"]
    there = materialize(existing(machine_profile).select(*attributes, *SIZES, "start_at", "end_at"))
    described = merge_touching(there.drop(SIZES), by=attributes)
    sized = intersect(of_blazar.filter(~lacks_size()), described, on=HOST)
    own = there.rename({name: f"own_{name}" for name in SIZES})
    unsized = intersect(of_blazar.filter(lacks_size()), own, on=HOST).with_columns(
        size_or(name, f"own_{name}").alias(name) for name in SIZES
    )
    columns = [*_SPECIFIC, "start_at", "end_at"]
    return merged(pl.concat([sized.select(columns), unsized.select(columns)], how="vertical_relaxed"), _SPECIFIC)


def reservable(hosts: pl.LazyFrame, pieces: pl.LazyFrame, existence: pl.LazyFrame, bounds: pl.LazyFrame) -> Outcome:
    """A machine is reservable while it exists and a computehosts row of its hostname covers the instant.

    `pieces` is reservable_machines() with machine_resources(), less what maintenance holds; `existence` is existing().
    Source: blazar_computehosts.
    """
    rows = _described(hosts, bounds, metric="reservable", source="blazar_computehosts")
    within = intersect(
        spans(rows).select("row", "month", "start_at", "end_at", hostname="node"),
        existence.select(*HOST, "start_at", "end_at"),
        on=HOST,
    )
    pieces = pieces.drop(HOST)
    return Outcome(rows, pieces, lost=((pl.lit("orphan"), within), (pl.lit("duplicate"), pieces)))


def _described(rows: pl.LazyFrame, bounds: pl.LazyFrame, *, metric: str, source: str) -> pl.LazyFrame:
    described = rows.filter(~pl.col("is_context")).select(
        *("month", "row", "start_at", "end_at", IF_EXCLUDED),
        metric=pl.lit(metric),
        source=pl.lit(source),
        entity_id="hostname",
        node="hostname",
    )
    return with_own_span(
        described, bounds, ("bad_time", NO_START), ("null_key", pl.col("entity_id").is_null()), ("never_ran", NEVER_RAN)
    )
