"""Rules 1 and 2: which machines exist, and which of them Blazar may reserve."""

import polars as pl

from usage_assets.intervals import clip, intersect, materialize, merge_touching
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED
from usage_assets.kinds.openstack.facts.machines import HOST, existing, merged
from usage_assets.kinds.openstack.facts.rows import Outcome, never_ran, reason, resources, spans, with_own_span
from usage_assets.kinds.openstack.facts.sizes import SIZES, lacks_size, size_or

_SPECIFIC = ["month", "row", "hostname", "node_type", "gpus", "ratio", *SIZES]


def machine_resources() -> list[pl.Expr]:
    """Resources of a whole machine: one node with its size, vCPUs also as the scheduler counts them."""
    return resources(
        nodes=1.0,
        vcpus=pl.col("vcpus"),
        vcpus_overcommit=pl.col("vcpus") * pl.col("ratio"),
        memory_mb=pl.col("memory_mb"),
        disk_gb=pl.col("disk_gb"),
        gpus=pl.col("gpus"),
    )


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
    """The stretches in which a machine is reservable: it exists, and the row of its Blazar host (row) covers it.

    `alive` is segments() of the Blazar hosts.
    Columns: month, row, hostname, start_at, end_at, size of the Blazar host (what it lacks is the machine's), ratio of
    the machine at that time, node_type, gpus; disjoint per hostname.
    """
    of_blazar = materialize(
        clip(alive.join(bounds, on="month"), pl.col("month_start"), pl.col("limit_at")).select(
            "month", "row", "hostname", "start_at", "end_at", *SIZES
        )
    )
    # where a host row covers the instant, the machine's type is that of the row
    told = [*HOST, "ratio", "node_type", "gpus"]
    there = materialize(existing(machine_profile).select(*told, *SIZES, "start_at", "end_at"))
    described = merge_touching(there.drop(SIZES), by=told)
    sized = intersect(of_blazar.filter(~lacks_size()), described, on=HOST)
    own = there.rename({name: f"own_{name}" for name in SIZES})
    unsized = intersect(of_blazar.filter(lacks_size()), own, on=HOST).with_columns(
        size_or(name, f"own_{name}").alias(name) for name in SIZES
    )
    columns = [*_SPECIFIC, "start_at", "end_at"]
    return merged(pl.concat([sized.select(columns), unsized.select(columns)], how="vertical_relaxed"), _SPECIFIC)


def whole(machines: pl.LazyFrame) -> pl.LazyFrame:
    """Pieces of machines with their resources; `machines` is reservable_machines()."""
    return machines.select(*HOST, "row", "start_at", "end_at", "node_type", *machine_resources())


def reservable(hosts: pl.LazyFrame, pieces: pl.LazyFrame, existence: pl.LazyFrame, bounds: pl.LazyFrame) -> Outcome:
    """A machine is reservable while it exists and a computehosts row of its hostname covers the instant.

    `pieces` is whole() of reservable_machines(), less what maintenance holds; `existence` the parts of the profile that
    exist. Source: blazar_computehosts.
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
        "month",
        "row",
        pl.col(f"^{EXCLUDED}$"),
        metric=pl.lit(metric),
        source=pl.lit(source),
        entity_id="hostname",
        node="hostname",
        original_start_at="start_at",
        original_end_at="end_at",
        node_type=pl.lit(None, dtype=pl.String),
        project_id=pl.lit(None, dtype=pl.String),
        user_id=pl.lit(None, dtype=pl.String),
        reservation_id=pl.lit(None, dtype=pl.String),
        lease_id=pl.lit(None, dtype=pl.String),
    )
    return with_own_span(described, bounds).with_columns(
        reason(
            ("bad_time", pl.col("original_start_at").is_null()),
            ("null_key", pl.col("entity_id").is_null()),
            ("never_ran", never_ran()),
        )
    )
