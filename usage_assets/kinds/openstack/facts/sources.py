"""Sources of the machines that exist (rule 1), and which of them counts when."""

from collections.abc import Mapping

import polars as pl

from usage_assets.intervals import Ranked, fill_between, materialize, resolve
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.machines import (
    HOST,
    covered,
    filled_types,
    is_ironic,
    machine_rows,
    segments,
    types_of_hosts,
    within_month,
)
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES, identities_of
from usage_assets.kinds.openstack.facts.node_types import SIZES, size_or
from usage_assets.kinds.openstack.facts.rows import born, lives
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
    """Rows of machines that exist by source, those of total in order; Nova's are always there, for sizes.

    Columns: row, month, is_context, row_id, hostname, created, start_at, end_at (open = null), is_metal, vcpus,
    memory_mb, disk_gb, ratio (null where the source lacks it); of the inventory also node_type and gpus.
    """
    readers = {NOVA: machine_rows, SERVICES: _service_rows, INVENTORY: _inventory_rows}
    return {name: materialize(readers[name](inputs)) for name in [*(s.name for s in sources_of_total(site)), NOVA]}


def known_machines(site: OpenStackSite, rows: Rows) -> pl.LazyFrame:
    """When each machine exists, by the sources' policies: disjoint segments per month and hostname, with `source`.

    A segment has the size of its own row; where that has none, that of Nova's row nearest in time.
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
    listed = materialize(filled_types(segments(rows[INVENTORY]), bounds))
    both = covered(of_blazar, listed.rename({"node_type": "listed_type", "gpus": "listed_gpus"})).with_columns(
        node_type=pl.coalesce("node_type", "listed_type"), gpus=pl.coalesce("gpus", "listed_gpus")
    )
    alone = listed.join(of_blazar.select(HOST).unique(), on=list(HOST), how="anti")
    return pl.concat([both.select(alone.collect_schema().names()), alone], how="vertical_relaxed")


def sizes_of_machines(alive: pl.LazyFrame, rows: Rows, bounds: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Sizes for machines whose own row lacks them, by preference: Blazar's (`alive`), then those of the inventory.

    They cover every instant of the month; a gap has the size that is nearest in time.
    """
    columns = [*HOST, "start_at", "end_at", *SIZES]
    return [
        materialize(within_month(fill_between(each, by=HOST, nearest=True), bounds).select(columns))
        for each in (alive, *(segments(rows[name]) for name in rows if name == INVENTORY))
    ]


def _service_rows(inputs: Inputs) -> pl.LazyFrame:
    """nova-compute services that are hypervisors themselves: those of bare metal serve many machines."""
    nodes = inputs[NOVA].with_columns(is_metal=is_ironic(), created=born("updated_at", "deleted_at"))
    service = ["month", "host"]
    of_metal = nodes.filter("is_metal").select(service).unique()
    names = (
        nodes.filter(~pl.col("is_metal") & pl.col("hypervisor_hostname").is_not_null())
        .sort("created", "id", nulls_last=False)
        .group_by(service)
        .agg(pl.col("hypervisor_hostname").last())
    )
    known = identities_of(inputs[SERVICES].select("month", name="host"), inputs[MACHINE_NAMES])
    services = (
        inputs[SERVICES]
        .filter(pl.col("binary") == "nova-compute")
        .join(of_metal, on=service, how="anti")
        .join(names, on=service, how="left")
        .join(known, left_on=service, right_on=["month", "name"], how="left")
    )
    unknown = dict.fromkeys((*SIZES, "ratio"), pl.lit(None, dtype=pl.Float64))
    name = pl.coalesce("hypervisor_hostname", "identity", "host")
    return lives(services, "is_context", hostname=name, is_metal=pl.lit(value=False), **unknown)


def _inventory_rows(inputs: Inputs) -> pl.LazyFrame:
    return (
        inputs[INVENTORY]
        .with_row_index("row")
        .with_columns(
            row_id="line",
            created="in_service_from",
            start_at="in_service_from",
            end_at="in_service_to",
            is_metal=pl.lit(None, dtype=pl.Boolean),
            ratio=pl.lit(None, dtype=pl.Float64),
        )
    )


def _sized(pieces: pl.LazyFrame, of_nova: pl.LazyFrame) -> pl.LazyFrame:
    """Segments of another source, completed by Nova's row of the machine that is nearest in time.

    A machine that Nova never had is bare metal where all that it has are.
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
