"""The sources of which machines exist (rule 1), and which of them is believed when."""

from collections.abc import Mapping

import polars as pl

from usage_assets.intervals import Ranked, fill_between, materialize, resolve
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.machines import (
    HOST,
    covered,
    filled_types,
    machine_rows,
    segments,
    sizes_of_hosts,
    types_of_hosts,
)
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES, meanings
from usage_assets.kinds.openstack.facts.rows import born
from usage_assets.kinds.openstack.facts.sizes import SIZES, size_or
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.site.rules import INVENTORY, LEGACY_COUNTS, MetricSource

NOVA, SERVICES = "nova_compute_nodes", "nova_services"
_DEFAULT = (MetricSource(name=NOVA, policy="authoritative"),)
Rows = Mapping[str, pl.LazyFrame]


def sources_of_total(site: OpenStackSite) -> tuple[MetricSource, ...]:
    """The sources with machines that the site lists for total, in order; by default Nova's hypervisors alone."""
    listed = site.sources.get("total", _DEFAULT)
    return tuple(source for source in listed if source.name != LEGACY_COUNTS)


def rows_of_sources(site: OpenStackSite, inputs: Inputs) -> dict[str, pl.LazyFrame]:
    """By source, those of total in order, the rows that say a machine exists; Nova's are always there, for sizes.

    Columns: row, month, is_context, row_id, hostname, created, start_at, end_at (open = null), is_metal, vcpus,
    memory_mb, disk_gb, ratio (what the source does not tell is null); of the inventory also node_type and gpus.
    """
    makers = {NOVA: machine_rows, SERVICES: _service_rows, INVENTORY: _inventory_rows}
    return {name: materialize(makers[name](inputs)) for name in [*(s.name for s in sources_of_total(site)), NOVA]}


def known_machines(site: OpenStackSite, rows: Rows) -> pl.LazyFrame:
    """When each machine exists, by the sources' policies: disjoint segments per month and hostname, with `source`.

    A segment has the size of its own row; what that does not tell is Nova's, of the row nearest in time.
    """
    listed = sources_of_total(site)
    found = [segments(rows[source.name]).with_columns(source=pl.lit(source.name)) for source in listed]
    if [source.name for source in listed] == [NOVA]:
        return found[0]
    ranked = [Ranked(one, source.policy) for one, source in zip(found, listed, strict=True)]
    of_nova = materialize(segments(rows[NOVA]))
    columns = [*HOST, "row", "row_id", "source", "start_at", "end_at", "is_metal", *SIZES, "ratio"]
    counting = [
        (one if source.name == NOVA else _sized(one, of_nova)).select(columns)
        for one, source in zip(resolve(ranked, by=HOST), listed, strict=True)
    ]
    return pl.concat(counting, how="vertical_relaxed")


def types_of_machines(
    inputs: Inputs, hosts: pl.LazyFrame, alive: pl.LazyFrame, rows: Rows, bounds: pl.LazyFrame
) -> pl.LazyFrame:
    """Type and GPUs of machines at every instant of the month: Blazar's, else those of the inventory.

    `hosts` is host_rows(), `alive` its segments().
    """
    of_blazar = types_of_hosts(inputs, hosts, alive, bounds)
    if INVENTORY not in rows:
        return of_blazar
    names = {"node_type": "said_type", "gpus": "said_gpus"}
    said = materialize(filled_types(segments(rows[INVENTORY]), bounds).rename(names))
    both = covered(of_blazar, said).with_columns(
        node_type=pl.coalesce("node_type", "said_type"), gpus=pl.coalesce("gpus", "said_gpus")
    )
    alone = said.join(of_blazar.select(HOST).unique(), on=list(HOST), how="anti").rename(
        {new: old for old, new in names.items()}
    )
    columns = [*HOST, "start_at", "end_at", "node_type", "gpus"]
    return pl.concat([both.select(columns), alone.select(columns)], how="vertical_relaxed")


def sizes_of_machines(alive: pl.LazyFrame, rows: Rows, bounds: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Who is asked for a size that a machine's own row lacks, in order: Blazar (`alive`), then the inventory."""
    asked = [alive, *([segments(rows[INVENTORY])] if INVENTORY in rows else [])]
    return [materialize(sizes_of_hosts(each, bounds)) for each in asked]


def _service_rows(inputs: Inputs) -> pl.LazyFrame:
    """nova-compute services that are hypervisors themselves: those of bare metal serve many machines."""
    nodes = inputs[NOVA].with_columns(
        is_metal=pl.col("hypervisor_type").str.to_lowercase().eq("ironic").fill_null(value=False),
        created=born("updated_at", "deleted_at"),
    )
    serving = ["month", "host"]
    of_metal = nodes.filter("is_metal").select(serving).unique()
    names = (
        nodes.filter(~pl.col("is_metal") & pl.col("hypervisor_hostname").is_not_null())
        .sort("created", "id", nulls_last=False)
        .group_by(serving)
        .agg(pl.col("hypervisor_hostname").last())
    )
    known = meanings(inputs[SERVICES].select("month", name="host"), inputs[MACHINE_NAMES])
    created = born("updated_at", "deleted_at")
    return (
        inputs[SERVICES]
        .with_row_index("row")
        .filter(pl.col("binary") == "nova-compute")
        .join(of_metal, on=serving, how="anti")
        .join(names, on=serving, how="left")
        .join(known, left_on=serving, right_on=["month", "name"], how="left")
        .select(
            "row",
            "month",
            "is_context",
            pl.col(f"^{EXCLUDED}$"),
            row_id="id",
            hostname=pl.coalesce("hypervisor_hostname", "identity", "host"),
            created=created,
            start_at=created,
            end_at=pl.min_horizontal("deleted_at", "gone_at"),
            is_metal=pl.lit(value=False),
            **{name: pl.lit(None, dtype=pl.Float64) for name in (*SIZES, "ratio")},
        )
    )


def _inventory_rows(inputs: Inputs) -> pl.LazyFrame:
    return (
        inputs[INVENTORY]
        .with_row_index("row")
        .select(
            "row",
            "month",
            "is_context",
            "hostname",
            *SIZES,
            "node_type",
            "gpus",
            row_id="line",
            created="in_service_from",
            start_at="in_service_from",
            end_at="in_service_to",
            is_metal=pl.lit(None, dtype=pl.Boolean),
            ratio=pl.lit(None, dtype=pl.Float64),
        )
    )


def _sized(pieces: pl.LazyFrame, of_nova: pl.LazyFrame) -> pl.LazyFrame:
    """Segments of another source, completed by what Nova says of the machine at the nearest time.

    A machine that Nova never saw is bare metal where all that it knows is.
    """
    names = (*SIZES, "ratio", "is_metal")
    nearest = fill_between(of_nova, by=HOST, nearest=True).select(
        *HOST, "start_at", "end_at", *(pl.col(name).alias(f"nova_{name}") for name in names)
    )
    virtual = of_nova.filter(~pl.col("is_metal")).select("month").unique().with_columns(is_virtual=pl.lit(value=True))
    return (
        covered(pieces, nearest)
        .join(virtual, on="month", how="left")
        .with_columns(
            *(size_or(name, f"nova_{name}").alias(name) for name in SIZES),
            ratio=pl.coalesce("ratio", "nova_ratio", pl.lit(1.0)),
            is_metal=pl.coalesce("is_metal", "nova_is_metal", pl.col("is_virtual").is_null()),
        )
    )
