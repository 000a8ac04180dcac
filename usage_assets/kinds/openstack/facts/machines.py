"""What a machine is at an instant: whether it exists, its size, its type. Identity is the hostname."""

from collections.abc import Mapping, Sequence

import polars as pl

from usage_assets.intervals import assign_owner, clip, close, fill_between, intersect, materialize, merge_touching
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.labels import labelled, labels
from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.facts.rows import born, less_excluded
from usage_assets.kinds.openstack.facts.sizes import SIZES, lacks_size, size_or
from usage_assets.kinds.openstack.site.model import NodeType

HOST = ("month", "hostname")
_WITHIN = (pl.col("month_start"), pl.col("limit_at"))
_PROFILED = (
    *HOST,
    "source",
    "row",
    "start_at",
    "end_at",
    "real_start_at",
    "real_end_at",
    "is_metal",
    *SIZES,
    "ratio",
)


def machine_rows(inputs: Inputs) -> pl.LazyFrame:
    """All compute_nodes rows: row, row_id, hostname, created, start_at, end_at (open = null), size, ratio."""
    ratio = pl.col("cpu_allocation_ratio")
    created = born("updated_at", "deleted_at")
    return (
        inputs["nova_compute_nodes"]
        .with_row_index("row")
        .select(
            "row",
            "month",
            "is_context",
            pl.col(f"^{EXCLUDED}$"),
            row_id="id",
            hostname="hypervisor_hostname",
            created=created,
            start_at=created,
            end_at=pl.min_horizontal("deleted_at", "gone_at"),
            is_metal=pl.col("hypervisor_type").str.to_lowercase().eq("ironic").fill_null(value=False),
            vcpus="vcpus",
            memory_mb="memory_mb",
            disk_gb="local_gb",
            ratio=pl.when(ratio > 0).then(ratio).otherwise(1.0),
        )
    )


def host_rows(inputs: Inputs) -> pl.LazyFrame:
    """All computehosts rows with their life and size."""
    created = born("updated_at", "deleted_at")
    return (
        inputs["blazar_computehosts"]
        .with_row_index("row")
        .select(
            "row",
            "month",
            "is_context",
            pl.col(f"^{EXCLUDED}$"),
            row_id="id",
            hostname="hypervisor_hostname",
            created=created,
            start_at=created,
            end_at=pl.min_horizontal("deleted_at", "gone_at"),
            vcpus="vcpus",
            memory_mb="memory_mb",
            disk_gb="local_gb",
        )
    )


def segments(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Disjoint segments per month and hostname: at each instant the row with the latest created, then id."""
    alive = close(rows.filter(pl.col("hostname").is_not_null() & pl.col("start_at").is_not_null()))
    return assign_owner(less_excluded(alive), by=HOST, rank=["created", "row_id"])


def types_of_hosts(inputs: Inputs, hosts: pl.LazyFrame, alive: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Type and GPUs that Blazar says of its hosts at every instant of the month; see filled_types().

    `hosts` is host_rows(), `alive` its segments().
    """
    return filled_types(labelled(alive, host_labels(inputs, hosts), "row_id"), bounds)


def host_labels(inputs: Inputs, hosts: pl.LazyFrame) -> pl.LazyFrame:
    """What capabilities say of Blazar's hosts over time, see labels(): node_type and gpus."""
    owners = hosts.select("month", owner_id="row_id", ended="end_at")
    told = labels(inputs["host_capabilities"], {"node_type": "node_type", "gpu.gpu_count": "gpus"}, owners)
    return told.with_columns(pl.col("gpus").str.strip_chars().cast(pl.Float64, strict=False))


def filled_types(pieces: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Type and GPUs of machines at every instant of the month, from disjoint pieces; a gap has the piece before it."""
    return clip(fill_between(pieces, by=HOST).join(bounds, on="month"), *_WITHIN).select(
        *HOST, "start_at", "end_at", "node_type", "gpus"
    )


def sizes_of_hosts(alive: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Sizes that segments() tell of machines at every instant of the month; a gap has those of the nearest in time."""
    return clip(fill_between(alive, by=HOST, nearest=True).join(bounds, on="month"), *_WITHIN).select(
        *HOST, "start_at", "end_at", *SIZES
    )


def profile(
    known: pl.LazyFrame,
    sizes: Sequence[pl.LazyFrame],
    host_types: pl.LazyFrame,
    bounds: pl.LazyFrame,
    *,
    node_types: Mapping[str, NodeType],
    names: pl.LazyFrame,
) -> pl.LazyFrame:
    """What each machine ever seen is at every instant of the month, also where no row covers it.

    `known` is sources.known_machines(), `sizes` sources.sizes_of_machines(), `host_types` sources.types_of_machines().
    Grain: month, hostname, disjoint `[start_at, end_at)` from month_start to limit_at. Columns: source and row, its
    real_start_at and real_end_at (the machine exists only there), is_metal, vcpus, memory_mb, disk_gb, ratio,
    node_type and gpus. A gap has the row before it, else the row after. A size that the row lacks (null or 0) is what
    `sizes` tell in their order, else what the site's file says, else null.
    """
    pieces = materialize(clip(fill_between(known, by=HOST).join(bounds, on="month"), *_WITHIN).select(_PROFILED))
    for told in sizes:
        others = told.rename({name: f"told_{name}" for name in SIZES})
        filled = covered(pieces.filter(lacks_size()), others).with_columns(
            size_or(name, f"told_{name}").alias(name) for name in SIZES
        )
        pieces = materialize(pl.concat([pieces.filter(~lacks_size()), filled.select(_PROFILED)]))
    return declared_types(covered(pieces, host_types), node_types, names)


def existing(machine_profile: pl.LazyFrame) -> pl.LazyFrame:
    """The parts of the profile in which the machine exists: a row of a source that counts covers the instant."""
    return clip(machine_profile, pl.col("real_start_at"), pl.col("real_end_at"))


def covered(pieces: pl.LazyFrame, attributes: pl.LazyFrame) -> pl.LazyFrame:
    """Pieces cut where an attribute of their machine changes; machines without attributes have nulls."""
    pieces, attributes = materialize(pieces), materialize(attributes)
    unknown = pieces.join(attributes.select(*HOST).unique(), on=list(HOST), how="anti")
    return pl.concat([intersect(pieces, attributes, on=HOST), unknown], how="diagonal_relaxed")


def merged(pieces: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    """Pieces of one row alike in all of `by` that touch, as one: cut only where something changed."""
    marked = materialize(pieces.with_columns(_several=pl.col("row").is_duplicated()))
    single, several = marked.filter(~pl.col("_several")), marked.filter("_several").drop("_several")
    return pl.concat([single.drop("_several"), merge_touching(several, by=by)])
