"""Check of an operator's inventory: are the machines that it has in service those of the databases."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.intervals import close, subtract
from usage_assets.kinds.openstack.facts.inputs import read_raw
from usage_assets.kinds.openstack.facts.inventory import inventory_of_months, read_inventory
from usage_assets.kinds.openstack.facts.machines import machine_rows, within_month
from usage_assets.kinds.openstack.facts.rows import month_bounds
from usage_assets.kinds.openstack.raw.tables import tables_of
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.site.rules import INVENTORY
from usage_assets.specs.finding import GOOD, Finding, few
from usage_assets.warehouse import Reader
from usage_assets.warehouse.readiness import extracted_at

_NOVA, _BLAZAR = "nova_compute_nodes", "blazar_computehosts"
_MACHINE = ["month", "hostname"]
_COUNTED = f"""
SELECT DISTINCT month, entity_id AS hostname FROM {INTERVALS.qualified}
WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND metric = 'total' AND source <> '{INVENTORY}'
AND node IS NOT NULL
"""


def inventory(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """A month fails when only one side has a machine: an addition or a removal that the other forgot.

    Only at sites that list an inventory among the sources of total. The other side is the dumped rows of Nova and
    Blazar and the machines that any further source counts, whatever its policy. Time in a known gap of Nova's machines
    is left out: the gap is why there is an inventory.
    """
    out = dict.fromkeys(window.months, GOOD)
    if INVENTORY not in site.listed_sources:
        return out
    listed, existing, known = _sides(reader, site, window.months)
    only_there = _names(listed.join(known, on=_MACHINE, how="anti"))
    only_here = _names(existing.join(listed, on=_MACHINE, how="anti"))
    for month in {*only_there, *only_here}:
        sides = (
            ("only_in_inventory", only_there, "in service by the inventory that the databases do not know"),
            ("only_in_databases", only_here, "in the databases that the inventory does not have in service"),
        )
        texts = [
            f"{len(found[month])} machine(s) {text}: {few(found[month])}" for _, found, text in sides if month in found
        ]
        names = {name: tuple(found[month]) for name, found, _ in sides if month in found}
        figures = {name: len(found.get(month, ())) for name, found, _ in sides}
        out[month] = Finding(False, "; ".join(texts), figures, names)
    return out


def _sides(
    reader: Reader, site: OpenStackSite, months: Sequence[date]
) -> tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame]:
    """Month and hostname of machines in service by the inventory, of those in Nova, and of all that databases know."""
    (file,) = (source.file for source in site.sources["total"] if source.name == INVENTORY and source.file is not None)
    inventory_rows = {INVENTORY: inventory_of_months(read_inventory(site.key, file), months, site.first_month)}
    raw = read_raw(reader, site.key, months, only=(_NOVA, _BLAZAR), beside=inventory_rows)
    bounds = month_bounds(months, extracted_at(reader, site, months, tables_of(site.databases)))
    in_service = raw[INVENTORY].select(*_MACHINE, start_at="in_service_from", end_at="in_service_to")
    of_nova = machine_rows(raw).filter(~pl.col("is_context"))
    known = [
        of_nova.select(_MACHINE),
        raw[_BLAZAR].filter(~pl.col("is_context")).select("month", hostname="hypervisor_hostname"),
    ]
    if reader.has(INTERVALS):
        known.append(reader.sql(_COUNTED, {"site": site.key, "months": list(months)}).lazy())
    return _alive(in_service, site, bounds), _alive(of_nova, site, bounds), pl.concat(known).unique()


def _alive(rows: pl.LazyFrame, site: OpenStackSite, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Month and hostname of the rows that cover some time of their month outside the known gaps of Nova's machines."""
    spans = close(rows.filter(pl.all_horizontal(pl.col("hostname", "start_at").is_not_null())))
    gaps = [(gap.start, gap.end) for gap in site.known_gaps if gap.source == _NOVA]
    holes = pl.LazyFrame(gaps, schema={"start_at": pl.Date, "end_at": pl.Date}, orient="row").cast(pl.Datetime("us"))
    within = within_month(spans, bounds).select(*_MACHINE, "start_at", "end_at")
    return subtract(within, holes.join(bounds.select("month"), how="cross"), on=["month"]).select(_MACHINE).unique()


def _names(machines: pl.LazyFrame) -> dict[date, list[str]]:
    """The machines' names by month, in order."""
    found = machines.sort(_MACHINE).group_by("month", maintain_order=True).agg("hostname").collect()
    return dict(found.iter_rows())
