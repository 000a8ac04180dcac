"""Scope of the usage timeline of an OpenStack site: its metrics, resources, node types and gaps."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from usage_assets.intervals import materialize
from usage_assets.kinds.openstack.facts import Inputs, read_raw
from usage_assets.kinds.openstack.facts.devices import device_types
from usage_assets.kinds.openstack.facts.labels import labelled
from usage_assets.kinds.openstack.facts.machines import host_labels, host_rows
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES
from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.facts.sources import sources_of_total
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.site.rules import INVENTORY
from usage_assets.sites.base import Gap
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Reader

NODE_TYPE_INPUTS = (
    *("nova_compute_nodes", "blazar_computehosts", "host_capabilities"),
    *("blazar_devices", "device_capabilities"),
)
"""The frames of `read_raw` that `month_node_types` uses."""
_MACHINE_RESOURCES = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb", "gpus")

_CAPACITY = ("nova_compute_nodes", "blazar_devices")
_RESERVABLE = (*_CAPACITY, "blazar_computehosts")
_COMMITTED = (
    *(*_RESERVABLE, "blazar_computehost_allocations", "blazar_device_allocations"),
    *("blazar_reservations", "blazar_leases"),
)
_SERVERS = ("nova_instances", "zun_container")
_EVENTS = ("nova_instance_actions", "nova_instance_actions_events")
_BOOKED = (*_SERVERS, "nova_api_request_specs")
# the raw tables of each metric: a known gap of one of them makes the metric unknown
SOURCES_OF: dict[str, tuple[str, ...]] = {
    "total": _CAPACITY,
    "reservable": _RESERVABLE,
    "committed": _COMMITTED,
    "maintenance": _COMMITTED,
    "occupied_reservation": (*_BOOKED, *_COMMITTED),
    "occupied_ondemand": _BOOKED,
    "occupied_unknown": _BOOKED,
    "occupied_maintenance": (*_BOOKED, *_COMMITTED),
    # of all bookings: what makes one of them unknown makes activity unknown
    "active": (*_BOOKED, *_EVENTS, *_COMMITTED),
}
# metrics that a site with maintenance counts apart from
_IN_MAINTENANCE = {"committed": "maintenance", "occupied_reservation": "occupied_maintenance"}


def counted_metrics(site: OpenStackSite) -> tuple[str, ...]:
    """The metrics that the site's databases can count, in the order of the registry."""
    has = set(site.databases)
    metrics = {"total"}
    if "blazar" in has:
        metrics |= {"reservable", "committed"}
    if has & {"nova", "zun"}:
        metrics |= {"occupied_ondemand", "occupied_unknown", "active"}
        if "blazar" in has:
            metrics |= {"occupied_reservation"}
    if site.maintenance is not None:
        metrics |= {part for whole, part in _IN_MAINTENANCE.items() if whole in metrics}
    return tuple(name for name in SOURCES_OF if name in metrics)


def usage_scope(site: OpenStackSite) -> Scope:
    """The scope of the site's usage timeline."""
    machines = _MACHINE_RESOURCES if _lists_machines(site) else ()
    devices = ("devices",) if {"blazar", "zun"} & set(site.databases) else ()
    # a cloud of machines may have edge devices in its Blazar: facts count them, so does the timeline
    is_cloud = "nova" in site.databases and "zun" not in site.databases
    counted = counted_metrics(site)
    known = known_gaps(site)
    gaps: dict[str, tuple[Gap, ...]] = {
        metric: tuple(gap for gap in known if gap.source in _sources(metric, counted)) for metric in counted
    }
    return Scope(
        site=site.key,
        bucket_minutes=site.bucket_minutes,
        counted=counted,
        resources=(*machines, *devices),
        gaps=gaps,
        utilization_of=site.utilization_of,
        only_if_counted=devices if is_cloud else (),
        untold=_untold(site, counted, (*machines, *devices)),
    )


def _lists_machines(site: OpenStackSite) -> bool:
    return "nova" in site.databases or any(source.name == INVENTORY for source in sources_of_total(site))


def _untold(site: OpenStackSite, counted: Sequence[str], resources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Per resource the counted metrics that no source of the site has it for: of devices, without Zun, their use."""
    has = set(site.databases)
    held = [name for name in counted if name.startswith("occupied") or name == "active"]
    leased = [name for name in counted if name in {"reservable", "committed", "maintenance"}]
    of_devices = [*([] if "blazar" in has else ["total", *leased]), *([] if "zun" in has else held)]
    of_machines = [*([] if "blazar" in has else leased), *([] if "nova" in has else held)]
    return {name: tuple(of_devices if name == "devices" else of_machines) for name in resources}


def known_gaps(site: OpenStackSite) -> tuple[Gap, ...]:
    """The known gaps of the site's sources; one of the machines that exist is a gap of all sources of total at once."""
    first, *others = (
        [gap for gap in site.known_gaps if gap.source == source.name] for source in sources_of_total(site)
    )
    shared = [gap.model_copy(update={"source": "nova_compute_nodes"}) for gap in first]
    for gaps in others:
        shared = [
            one.model_copy(update={"start": max(one.start, other.start), "end": min(one.end, other.end)})
            for one in shared
            for other in gaps
            if max(one.start, other.start) < min(one.end, other.end)
        ]
    return (*shared, *(gap for gap in site.known_gaps if gap.source != "nova_compute_nodes"))


def _sources(metric: str, counted: tuple[str, ...]) -> tuple[str, ...]:
    """The raw tables of a metric at a site with these counted metrics."""
    if metric == "reservable" and "maintenance" in counted:
        return SOURCES_OF["maintenance"]
    if metric == "active" and "occupied_reservation" not in counted:
        return (*_BOOKED, *_EVENTS)
    return SOURCES_OF[metric]


def month_node_types(site: OpenStackSite, raw: Inputs) -> pl.DataFrame:
    """month, node_type of the Blazar hosts and devices in each month's own raw rows (context rows left out).

    Machines without a Blazar host have their type in the facts.
    """
    begin = pl.col("month").cast(pl.Datetime("us"))
    month = {"start_at": begin, "end_at": begin.dt.offset_by("1mo")}
    hosts = materialize(host_rows(raw))
    own = hosts.filter(~pl.col("is_context")).select("month", "row_id", "hostname", **month)
    typed = declared_types(labelled(own, host_labels(raw, hosts), "row_id"), site.node_types, raw[MACHINE_NAMES])
    devices = labelled(raw["blazar_devices"].select("month", owner_id="id", **month), device_types(raw), "owner_id")
    both = pl.concat([typed.select("month", "node_type"), devices.select("month", "node_type")])
    return both.unique().sort("month", "node_type").collect()


def stored_node_types(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
    """month_node_types() of the months' stored raw rows."""
    return month_node_types(site, read_raw(reader, site.key, months, only=NODE_TYPE_INPUTS))
