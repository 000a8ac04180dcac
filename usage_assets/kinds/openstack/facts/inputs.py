"""Inputs of the facts: the columns that they use of the raw tables, joined and parsed where the text is long.

Names of the frames are those of the raw tables; `server_terminations`, `server_events` and the
capabilities are joins of two or three.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.kinds.openstack.facts.deletions import with_deletions
from usage_assets.kinds.openstack.facts.exclusions import read_exclusions, with_exclusions
from usage_assets.kinds.openstack.facts.gpus import with_flavor_gpus
from usage_assets.kinds.openstack.facts.inventory import inventory_of_months, read_inventory
from usage_assets.kinds.openstack.facts.labels import CAPABILITY
from usage_assets.kinds.openstack.facts.names import with_identities
from usage_assets.kinds.openstack.raw.personal import READABLE_SPEC, SPEC_PATHS
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.warehouse import Reader

Inputs = dict[str, pl.LazyFrame]

_TIMES = ("created_at", "updated_at", "deleted_at", "gone_at")
MARKED = (*_TIMES, "deleted")
_SIZE = ("vcpus", "memory_mb")
_INSTANCE = (
    *("id", "uuid", *MARKED, "project_id", "user_id", "launched_at", "terminated_at"),
    *(*_SIZE, "root_gb", "ephemeral_gb", "node", "vm_state"),
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "nova_compute_nodes": (
        *("id", *MARKED, "host", "hypervisor_hostname", "hypervisor_type"),
        *(*_SIZE, "local_gb", "cpu_allocation_ratio", "is_context"),
    ),
    "nova_services": ("id", *MARKED, "host", "binary", "is_context"),
    "nova_instances": _INSTANCE,
    "nova_cell0_instances": _INSTANCE,
    "blazar_leases": ("id", *MARKED, "project_id", "user_id", "start_date", "end_date", "name"),
    "blazar_reservations": ("id", *MARKED, "lease_id", "resource_type"),
    "blazar_computehosts": ("id", *MARKED, *_SIZE, "local_gb", "hypervisor_hostname", "is_context"),
    "blazar_computehost_allocations": ("id", *MARKED, "compute_host_id", "reservation_id"),
    "blazar_instance_reservations": ("id", *MARKED, "reservation_id", *_SIZE, "disk_gb", "resource_properties"),
    "blazar_devices": ("id", *MARKED, "name", "device_type", "reservable"),
    "blazar_device_allocations": ("id", *MARKED, "device_id", "reservation_id"),
    "zun_container": (
        *("id", "uuid", *_TIMES, "project_id", "user_id", "status", "started_at"),
        *("host", "annotations", "capsule_id"),
    ),
}

# where flavors stand, and the column that holds their extra specs
_FLAVORS = {"nova_api_request_specs": "extra_specs", "blazar_instance_reservations": "resource_properties"}
SHELVING = ("compute_shelve_instance", "compute_shelve_offload_instance", "compute_unshelve_instance")
POWERED_OFF = tuple(f"compute_{step}_instance" for step in ("stop", "pause", "suspend", "soft_delete"))
"""Events after which a server does not run."""
POWERED_ON = tuple(
    f"compute_{step}_instance" for step in ("start", "reboot", "resume", "unpause", "unshelve", "restore")
)
"""Events after which a server runs, whatever kept it off; a rebuild is none: it leaves a stopped server stopped."""
_WANTED = tuple(dict.fromkeys((*SHELVING, *POWERED_OFF, *POWERED_ON)))
# months are contiguous, and a range lets the storage skip what lies outside
_SCOPE = "site = $site AND month BETWEEN $first AND $last"

# one parse per text: a text that is no JSON gives null
_SPECS = f"""
WITH parsed AS (
  SELECT month, instance_uuid, coalesce(created_at, updated_at) AS created_at, id,
         TRY(json_extract(spec, [{", ".join(f"'{path}'" for path in SPEC_PATHS)}])) AS p, spec
  FROM raw.nova_api_request_specs WHERE {_SCOPE}
)
SELECT month, instance_uuid, created_at, id, {READABLE_SPEC} AS is_readable,
       coalesce(nullif(p[1]::VARCHAR, 'null'), nullif(p[2]::VARCHAR, 'null')) AS hint,
       p[3] ->> '$' AS flavor, p[4]::VARCHAR AS extra_specs
FROM parsed
"""

_STEPS = """
SELECT e.month, a.instance_uuid AS uuid, e.event, e.start_time, e.id, e.host
FROM raw.nova_instance_actions_events e
JOIN raw.nova_instance_actions a ON a.site = e.site AND a.month = e.month AND a.id = e.action_id
WHERE e.site = $site AND e.month BETWEEN $first AND $last AND a.site = $site AND a.month BETWEEN $first AND $last
  AND e.result = 'Success' AND e.start_time IS NOT NULL
"""

_TERMINATIONS = f"""
SELECT month, uuid, min(start_time) AS terminated
FROM ({_STEPS} AND e.event = 'compute_terminate_instance') GROUP BY month, uuid
"""

_EVENTS = f"""
{_STEPS} AND starts_with(e.event, 'compute_')
  AND (e.event IN ({", ".join(f"'{event}'" for event in _WANTED)})
       OR (a.month, a.instance_uuid) IN (SELECT month, uuid FROM raw.nova_instances
                                         WHERE {_SCOPE} AND node IS NULL))
"""

_BORN = "coalesce(c.created_at, c.updated_at, c.deleted_at)"
# as in with_deletions: without a date a row was deleted with its last change; without that it does not count
_ENDED = "coalesce(c.deleted_at, CASE WHEN c.deleted THEN c.updated_at END)"
_CAPABILITIES = f"""
SELECT c.month, c.{{owner}} AS owner_id, coalesce(c.capability_name, p.property_name) AS name,
       nullif(arg_max(c.capability_value, ({_BORN}, c.id)), '') AS value,
       CASE WHEN count(*) > 1 OR count({_ENDED}) > 0 OR count(c.gone_at) > 0 THEN
         list(struct_pack(id := c.id, value := nullif(c.capability_value, ''), start_at := {_BORN},
                          end_at := least({_ENDED}, c.gone_at))) END AS history
FROM raw.{{table}} c
LEFT JOIN raw.blazar_resource_properties p ON p.site = c.site AND p.month = c.month AND p.id = c.property_id
WHERE c.site = $site AND c.month BETWEEN $first AND $last
  AND coalesce(c.capability_name, p.property_name) IN (SELECT unnest($names::VARCHAR[]))
  AND c.capability_value IS NOT NULL AND NOT coalesce(c.deleted AND {_ENDED} IS NULL, false)
GROUP BY ALL
"""

_TYPES = pl.Schema(
    dict.fromkeys(("instance_uuid", "hint", "flavor", "extra_specs", "uuid", "event", "host"), pl.String())
    | dict.fromkeys(("created_at", "terminated", "start_time"), pl.Datetime("us"))
    | {"month": pl.Date(), "id": pl.Int64(), "is_readable": pl.Boolean()}
)
_EVENT_TABLES = ("nova_instance_actions_events", "nova_instance_actions")
_SPEC_COLUMNS = ("month", "instance_uuid", "created_at", "id", "is_readable", "hint", "flavor", "extra_specs")
_EVENT_COLUMNS = ("month", "uuid", "event", "start_time", "id", "host")
_QUERIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "nova_api_request_specs": (_SPECS, ("nova_api_request_specs",), _SPEC_COLUMNS),
    "server_terminations": (_TERMINATIONS, _EVENT_TABLES, ("month", "uuid", "terminated")),
    "server_events": (_EVENTS, (*_EVENT_TABLES, "nova_instances"), _EVENT_COLUMNS),
}
"""Frames made by a query: the query, the raw tables that it reads, and its columns."""
_CAPABILITIES_OF = {
    "host_capabilities": ("computehost_id", "blazar_computehost_extra_capabilities"),
    "device_capabilities": ("device_id", "blazar_device_extra_capabilities"),
}
_LABELS = ("node_type", "gpu.gpu_count", "machine_name")


def read_inputs(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> Inputs:
    """The inputs of a site's months, with the exclusions of the site's file and its inventory.

    flavor_gpus, which depends on the site's file, stands in place of the texts of flavors.
    """
    frames = read_raw(reader, site.key, months, beside=inventories(site, months))
    frames = with_exclusions(frames, read_exclusions(reader, site, months, frames))
    for name, extra_specs in _FLAVORS.items():
        frames[name] = with_flavor_gpus(frames[name], extra_specs, site)
    return frames


def inventories(site: OpenStackSite, months: Sequence[date]) -> Inputs:
    """The sources that the site's file lists beside raw tables: the operator's inventory."""
    return {
        source.name: inventory_of_months(read_inventory(site.key, source.file), months, site.first_month)
        for source in site.sources.get("total", ())
        if source.file is not None
    }


def read_raw(
    reader: Reader,
    site: str,
    months: Sequence[date],
    only: Collection[str] | None = None,
    *,
    beside: Mapping[str, pl.LazyFrame] | None = None,
) -> Inputs:
    """The inputs of a site's months; a table that is not there yet is an empty frame.

    `only` names the frames that are wanted, `beside` are inputs from elsewhere. A machine has the same name wherever it
    is named: see `names`.
    """
    frames: Inputs = dict(beside or {})
    for name, columns in COLUMNS.items():
        if only is None or name in only:
            rows = reader.frame(BY_NAME[name].table, site, months, columns=("month", *columns)).lazy()
            # deletions of servers also follow from their events, which are joined later
            frames[name] = with_deletions(rows) if "deleted" in columns and columns is not _INSTANCE else rows
    for name, (query, tables, names) in _QUERIES.items():
        if only is None or name in only:
            schema = {column: _TYPES[column] for column in names}
            frames[name] = _queried(reader, query, tables, schema, _range(site, months))
    for name in _CAPABILITIES_OF:
        if only is None or name in only:
            frames[name] = read_capabilities(reader, site, months, name, _LABELS)
    return with_identities(frames)


def read_capabilities(
    reader: Reader, site: str, months: Sequence[date], frame: str, names: Collection[str]
) -> pl.LazyFrame:
    """CAPABILITY rows of these names; `frame` is host_capabilities or device_capabilities."""
    owner, table = _CAPABILITIES_OF[frame]
    query, tables = _CAPABILITIES.format(owner=owner, table=table), (table, "blazar_resource_properties")
    return _queried(reader, query, tables, CAPABILITY, _range(site, months) | {"names": sorted(names)})


def _range(site: str, months: Sequence[date]) -> dict[str, object]:
    return {"site": site, "first": min(months, default=None), "last": max(months, default=None)}


def _queried(
    reader: Reader, query: str, tables: Collection[str], schema: Mapping[str, pl.DataType], params: Mapping[str, object]
) -> pl.LazyFrame:
    """The rows of a query; none where one of its tables is not there yet."""
    if not all(reader.has(BY_NAME[table].table) for table in tables):
        return pl.LazyFrame(schema=schema)
    return reader.sql(query, params).cast(pl.Schema(schema)).lazy()
