"""Machines at an instant: whether they exist, their size, their type. Identity is the hostname."""

from collections.abc import Mapping, Sequence

import polars as pl

from usage_assets.intervals import assign_owner, clip, close, fill_between, intersect, materialize, merge_touching
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.labels import labelled, labels
from usage_assets.kinds.openstack.facts.node_types import SIZES, declared_types, lacks_size, size_or
from usage_assets.kinds.openstack.facts.rows import less_excluded, lives
from usage_assets.kinds.openstack.site.model import NodeType

HOST = ("month", "hostname")
_PROFILED = (
    *(*HOST, "source", "row", "start_at", "end_at", "real_start_at", "real_end_at"),
    *("is_metal", *SIZES, "ratio"),
)


def machine_rows(inputs: Inputs) -> pl.LazyFrame:
    """All compute_nodes rows: lives(), is_context, hostname, is_metal, size and ratio (of overcommit)."""
    ratio = pl.col("cpu_allocation_ratio")
    return lives(
        inputs["nova_compute_nodes"],
        *("is_context", "vcpus", "memory_mb"),
        hostname="hypervisor_hostname",
        is_metal=is_ironic(),
        disk_gb="local_gb",
        ratio=pl.when(ratio > 0).then(ratio).otherwise(1.0),
    )


def is_ironic() -> pl.Expr:
    """Whether a hypervisor is a bare-metal machine."""
    return pl.col("hypervisor_type").str.to_lowercase().eq("ironic").fill_null(value=False)


def host_rows(inputs: Inputs) -> pl.LazyFrame:
    """All computehosts rows: lives(), is_context, hostname and size."""
    columns = ("is_context", "vcpus", "memory_mb")
    return lives(inputs["blazar_computehosts"], *columns, hostname="hypervisor_hostname", disk_gb="local_gb")


def segments(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Disjoint segments per month and hostname: at each instant the row with the latest created, then id."""
    alive = close(rows.filter(pl.col("hostname").is_not_null() & pl.col("start_at").is_not_null()))
    return assign_owner(less_excluded(alive), by=HOST, rank=["created", "row_id"])


def types_of_hosts(inputs: Inputs, hosts: pl.LazyFrame, alive: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Type and GPUs of machines by Blazar's capabilities; see filled_types().

    `hosts` is host_rows(), `alive` its segments().
    """
    return filled_types(labelled(alive, host_labels(inputs, hosts), "row_id"), bounds)


def host_labels(inputs: Inputs, hosts: pl.LazyFrame) -> pl.LazyFrame:
    """node_type and gpus of Blazar's hosts over time, see labels()."""
    owners = hosts.select("month", owner_id="row_id", ended="end_at")
    found = labels(inputs["host_capabilities"], {"node_type": "node_type", "gpu.gpu_count": "gpus"}, owners)
    return found.with_columns(pl.col("gpus").str.strip_chars().cast(pl.Float64, strict=False))


def filled_types(pieces: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Type and GPUs of machines at every instant of the month, from disjoint pieces; a gap has the piece before it."""
    return within_month(fill_between(pieces, by=HOST), bounds).select(*HOST, "start_at", "end_at", "node_type", "gpus")


def within_month(pieces: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Pieces cut to the observed part of their month, with the columns of `bounds`, which is month_bounds()."""
    return clip(pieces.join(bounds, on="month"), pl.col("month_start"), pl.col("limit_at"))


def profile(
    known: pl.LazyFrame,
    sizes: Sequence[pl.LazyFrame],
    host_types: pl.LazyFrame,
    bounds: pl.LazyFrame,
    *,
    node_types: Mapping[str, NodeType],
    names: pl.LazyFrame,
) -> pl.LazyFrame:
    """Attributes of every machine at every instant of the month, also where no row covers it.

    `known` is sources.known_machines(), `sizes` sources.sizes_of_machines(), `host_types` sources.types_of_machines().
    Grain: month, hostname, disjoint `[start_at, end_at)` from month_start to limit_at. Columns: source and row, its
    real_start_at and real_end_at (the machine exists only there), is_metal, vcpus, memory_mb, disk_gb, ratio,
    node_type and gpus. A gap has the row before it, else the row after. A size that the row lacks (null or 0) is that
    of the first of `sizes` that has it, else that of the site's file, else null.
    """
    pieces = materialize(within_month(fill_between(known, by=HOST), bounds).select(_PROFILED))
    for other in sizes:
        others = other.rename({name: f"other_{name}" for name in SIZES})
        filled = covered(pieces.filter(lacks_size()), others).with_columns(
            size_or(name, f"other_{name}").alias(name) for name in SIZES
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
