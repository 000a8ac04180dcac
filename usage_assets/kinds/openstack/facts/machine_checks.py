"""Checks of machines: one spelling of a name, known sizes, labels that nobody overwrote; and of servers on them."""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.openstack.facts.inputs import inventories, read_raw
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES, NAMED, identities_of
from usage_assets.kinds.openstack.facts.node_types import SIZES
from usage_assets.kinds.openstack.facts.occupied import SHELVED_OFFLOADED, shelved_by_state
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.finding import GOOD, Finding, few
from usage_assets.warehouse import Reader

_MONTHS = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
_NAMING = tuple(name for name in NAMED if name in BY_NAME)
_SERVERS = ("nova_instances", "nova_cell0_instances")
_SHOWN = 10

_SIZELESS = f"""
SELECT month, list_sort(list(DISTINCT entity_id)), {", ".join(f"bool_or({name} IS NULL)" for name in SIZES)}
FROM {INTERVALS.qualified} WHERE {_MONTHS} AND metric = 'total' AND source <> 'blazar_devices'
AND ({" OR ".join(f"{name} IS NULL" for name in SIZES)}) GROUP BY month
"""

_OF_SERVERS = f"{_MONTHS} AND starts_with(metric, 'occupied') AND source IN {_SERVERS}"
_NODES_OF_SERVERS = f"""
SELECT month, entity_id, node FROM {INTERVALS.qualified} WHERE {_OF_SERVERS}
UNION
SELECT month, entity_id, node FROM {REJECTS.qualified} WHERE {_OF_SERVERS} AND reason IN ('orphan', 'unknown_host')
"""

# of a row that the source overwrote, each month keeps the value of then
_OVERWRITTEN = """
WITH labels AS (
  SELECT c.month, c.id, c.{owner} AS owner, coalesce(c.capability_name, p.property_name) AS name,
         c.capability_value AS v
  FROM raw.{table} c
  LEFT JOIN raw.blazar_resource_properties p ON p.site = c.site AND p.month = c.month AND p.id = c.property_id
  WHERE c.site = $site
  AND coalesce(c.capability_name, p.property_name) IN ('node_type', 'gpu.gpu_count', 'machine_name')
), newest AS (
  SELECT id, max(month) AS month, arg_max(struct_pack(v := v), month).v AS v FROM labels GROUP BY id
)
SELECT labels.month, coalesce(o.{called}, labels.owner) AS machine, labels.name, labels.v AS here, newest.v AS later,
       newest.month AS newest
FROM labels JOIN newest ON newest.id = labels.id
LEFT JOIN raw.{owners} o ON o.site = $site AND o.month = labels.month AND o.id = labels.owner
WHERE labels.v IS DISTINCT FROM newest.v AND labels.month IN (SELECT unnest($months::DATE[]))
ORDER BY ALL
"""
_LABELLED = (
    ("blazar_computehost_extra_capabilities", "computehost_id", "blazar_computehosts", "hypervisor_hostname"),
    ("blazar_device_extra_capabilities", "device_id", "blazar_devices", "name"),
)

# time that an allocation lost before or after what counts of it, next to which a machine without a Blazar row ends or
# begins: Blazar's row went on, so the machine seems to have changed its name
_RENAMED = f"""
WITH kept AS (
  SELECT month, entity_id AS allocation, any_value(node) AS node, min(start_at) AS since, max(end_at) AS until,
         greatest(any_value(original_start_at), month::TIMESTAMP) AS start_at, any_value(original_end_at) AS end_at
  FROM {INTERVALS.qualified}
  WHERE {_MONTHS} AND metric IN ('committed', 'maintenance') AND source = 'blazar_computehost_allocations'
  GROUP BY month, entity_id
), machines AS (
  SELECT month, entity_id AS node, min(start_at) AS start_at, max(end_at) AS end_at
  FROM {INTERVALS.qualified} WHERE {_MONTHS} AND metric = 'total' AND source <> 'blazar_devices' GROUP BY ALL
), seen AS (
  SELECT month, max(end_at) AS until FROM machines GROUP BY month
), others AS (
  SELECT m.* FROM machines m WHERE NOT EXISTS (
    SELECT 1 FROM {INTERVALS.qualified} r WHERE r.site = $site AND r.month = m.month AND r.metric = 'reservable'
    AND r.entity_id = m.node)
)
SELECT k.month, k.allocation, k.node, o.node AS other, epoch(k.since - k.start_at) / 3600 AS hours
FROM kept k JOIN others o ON o.month = k.month AND o.start_at < k.since
AND o.end_at BETWEEN k.since - INTERVAL 1 DAY AND k.since + INTERVAL 1 DAY
WHERE k.since - k.start_at > INTERVAL 1 DAY
UNION ALL
SELECT k.month, k.allocation, k.node, o.node, epoch(least(k.end_at, s.until) - k.until) / 3600
FROM kept k JOIN seen s ON s.month = k.month JOIN others o ON o.month = k.month AND o.end_at > k.until
AND o.start_at BETWEEN k.until - INTERVAL 1 DAY AND k.until + INTERVAL 1 DAY
WHERE least(k.end_at, s.until) - k.until > INTERVAL 1 DAY
ORDER BY ALL
"""


def spellings(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """A month fails when a machine's name is spelt in several ways: they are counted as one machine."""
    inventory = inventories(site, window.months)
    tables = [table for table in (*_NAMING, *_SERVERS) if reader.has(BY_NAME[table].table)]
    spelled = " UNION ".join(
        f"SELECT month, {NAMED.get(table, 'node')} AS name FROM raw.{table} WHERE {_MONTHS}" for table in tables
    )
    written = [each.select("month", name="hostname") for each in inventory.values()]
    if tables:
        written.append(reader.sql(spelled, _params(window)).lazy())
    if not written:
        return _findings(window, {}, "machines", "")
    every = pl.concat(written).drop_nulls().unique()
    names = read_raw(reader, window.site, window.months, only=_NAMING, beside=inventory)[MACHINE_NAMES]
    several = (
        every.join(identities_of(every, names).drop_nulls("identity"), on=["month", "name"])
        .group_by("month", "identity")
        .agg(pl.col("name").unique().sort())
        .filter(pl.col("name").list.len() > 1)
        .sort("month", "identity")
        .collect()
    )
    found: dict[date, list[str]] = {}
    for month, identity, spellings_of_it in several.iter_rows():
        found.setdefault(month, []).append(f"{identity} ({', '.join(spellings_of_it)})")
    text = "{n} machine(s) whose name is spelt in several ways, counted as one each: {few}"
    return _findings(window, found, "machines", text)


def nodes(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """A month fails when servers ran on a node that is no machine, or on an unknown one."""
    out = dict.fromkeys(window.months, GOOD)
    if not (reader.has(INTERVALS) and reader.has(REJECTS)):
        return out
    servers = reader.sql(_NODES_OF_SERVERS, _params(window))
    if servers.is_empty():
        return out
    inventory = inventories(site, window.months)
    names = read_raw(reader, window.site, window.months, only=_NAMING, beside=inventory)[MACHINE_NAMES]
    lost = (
        servers.lazy()
        .join(names.select("month", node="identity").unique(), on=["month", "node"], how="anti")
        .group_by("month")
        .agg(
            homeless=pl.col("entity_id").filter(pl.col("node").is_null()).unique().sort(),
            known=pl.col("entity_id").filter(pl.col("node").is_not_null()).n_unique(),
            nodes=pl.col("node").drop_nulls().unique().sort(),
        )
        .collect()
    )
    for month, homeless, known, found in lost.iter_rows():
        parts = []
        if known:
            parts.append(f"{known} server(s) ran on {len(found)} node(s) that are no machine: {few(found)}")
        if homeless:
            parts.append(f"{len(homeless)} server(s) have no node, and no event tells where they ran: {few(homeless)}")
        text = "; ".join(parts) + "; what they held of a machine is unknown"
        figures = {"servers_elsewhere": known, "servers_without_node": len(homeless)}
        listed = {"nodes": tuple(found), "servers_without_node": tuple(homeless)}
        out[month] = Finding(False, text, figures, {name: each for name, each in listed.items() if each})
    return out


def sizes(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001 - one signature
    """A month fails when the size of a machine is unknown: it counts as a node of unknown size."""
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(INTERVALS):
        return out
    for month, machines, *missing in reader.sql(_SIZELESS, _params(window)).iter_rows():
        lacking = [name for name, is_missing in zip(SIZES, missing, strict=True) if is_missing]
        text = (
            f"{len(machines)} machine(s) of unknown size ({', '.join(lacking)}): {few(machines)}; what is unknown "
            "is null; an inventory or node_types of the site's file may tell it"
        )
        out[month] = Finding(False, text, {"machines": len(machines)}, {"machines": tuple(machines)})
    return out


def labels(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001 - one signature
    """A month fails when a label (type, GPUs) differs from that of a later month though the row is the same.

    The source overwrote the row: each month goes by the value that was stored with it.
    """
    found: dict[date, list[str]] = {}
    for table, owner, owners, called in _LABELLED:
        if not all(reader.has(BY_NAME[name].table) for name in (table, owners, "blazar_resource_properties")):
            continue
        query = _OVERWRITTEN.format(table=table, owner=owner, owners=owners, called=called)
        for month, machine, name, here, later, newest in reader.sql(query, _params(window)).iter_rows():
            found.setdefault(month, []).append(f"{machine} {name} {here} here, {later} in {newest:%Y-%m}")
    text = (
        "{n} label(s) were overwritten at the source since this month was read: {few}; each "
        "month counts by its own, and a month that is read again takes the new one"
    )
    return _findings(window, found, "labels", text)


def renamed(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001 - one signature
    """A month fails when allocations lost more than a day because a machine seems to have been renamed."""
    found: dict[date, list[str]] = {}
    rows = reader.sql(_RENAMED, _params(window)).rows() if reader.has(INTERVALS) else []
    for month, allocation, node, other, hours in rows:
        found.setdefault(month, []).append(f"{allocation} on {node} ({hours:.0f} h, when there was {other})")
    text = (
        "{n} allocation(s) lost more than a day in which another hypervisor, unknown to Blazar, was "
        "there: {few}; if the machine was renamed, its time under the other name is not committed"
    )
    return _findings(window, found, "allocations", text)


def shelved_without_events(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Servers in state shelved_offloaded without an event of it: each in the month of its last change.

    Those changed before the site's first month are listed in that one.
    """
    out = dict.fromkeys(window.months, GOOD)
    columns = ("month", "uuid", "vm_state", "created_at", "updated_at")
    offloaded = f"vm_state = '{SHELVED_OFFLOADED}'"
    servers = reader.frame(BY_NAME[_SERVERS[0]].table, window.site, window.months, columns=columns, where=offloaded)
    if servers.is_empty():
        return out
    months = sorted(servers["month"].unique())
    events = read_raw(reader, window.site, months, only=("server_events",))["server_events"]
    found: dict[date, list[str]] = {}
    for month, uuid, since in shelved_by_state(servers.lazy(), events).sort("uuid").collect().iter_rows():
        if since is not None and max(since.date().replace(day=1), site.first_month) == month:
            found.setdefault(month, []).append(uuid)
    for month, names in found.items():
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        text = (
            f"{len(names)} server(s) are {SHELVED_OFFLOADED} and no event says since when (purged, or not granted): "
            f"{shown}; they count as holding no host since their row was last changed"
        )
        out[month] = Finding(False, text, {"servers": len(names)})
    return out


def _findings(window: Window, found: Mapping[date, Sequence[str]], kind: str, text: str) -> dict[date, Finding]:
    """A failed finding of each month in `found`; {n} in the text is the number of its entries, {few} the first ones."""
    return dict.fromkeys(window.months, GOOD) | {
        month: Finding(False, text.format(n=len(each), few=few(each)), {kind: len(each)}, {kind: tuple(each)})
        for month, each in found.items()
    }


def _params(window: Window) -> dict[str, object]:
    return {"site": window.site, "months": list(window.months)}
