"""Tables of the dimensions: hours per host, project and user, alike for every kind of site."""

from usage_assets.schema import Column, Rule, Table, at, real, text

NOBODY = "none"
"""The project or user of what belongs to nobody."""

_RESOURCE = text("resource", "nodes, vcpus, vcpus_overcommit, memory_mb, disk_gb, gpus or devices", nullable=False)


def _hours(name: str, description: str) -> Column:
    return real(name, f"{description}; null in a known gap or where unknown", "resource-hours")


_HELD: tuple[Column, ...] = (
    _hours("committed_hours", "Held by leases"),
    _hours("occupied_hours", "Held by servers and containers, however booked"),
    _hours("idle_hours", "Committed less what is occupied within reservations"),
)
_SHARES: tuple[Column, ...] = tuple(
    real(
        f"{name}_share",
        f"Part of the site's {name} hours of that resource and period; null where the site has none",
        "1",
    )
    for name in ("committed", "occupied")
)
_NOT_NEGATIVE = Rule(
    "hours are not negative",
    "coalesce(committed_hours, 0) >= 0 AND coalesce(occupied_hours, 0) >= 0",
    "Nobody holds less than nothing; idle may be negative where servers run in a reservation of others",
)

USAGE_BY_HOST = Table(
    name="usage_by_host",
    stage="timelines",
    description="Hours per machine or device, by days and by the month, from facts alone. A host has rows while it "
    "exists or is held, one per resource of which it has any hours. Days have nodes, vcpus, gpus and devices only: the "
    "other resources follow from the machine's size and would triple the table; the month has every resource.",
    key=("period", "timestamp", "node", "node_type", "resource"),
    columns=(
        text("period", "day or month", nullable=False),
        at("timestamp", "Start of the day or of the month", nullable=False),
        text("node", "Hostname, or name of the device; unknown where a server names none", nullable=False),
        text("node_type", "Type of the machine at that time; a host may have had several", nullable=False),
        _RESOURCE,
        _hours("total_hours", "It existed"),
        _hours("reservable_hours", "It could be reserved"),
        *_HELD,
        *_SHARES,
    ),
    rules=(
        Rule("period is known", "period IN ('day', 'month')", "The two periods"),
        Rule("lies in its month", "timestamp >= month AND timestamp < month + INTERVAL 1 MONTH", "Self-contained"),
        _NOT_NEGATIVE,
    ),
)


def _by(holder: str, *columns: Column) -> Table:
    """The table of the hours that each project or user holds in a month."""
    return Table(
        name=f"usage_by_{holder}",
        stage="timelines",
        description=f"Hours per {holder} and month, from facts alone: one row per resource of which it has any hours.",
        key=(f"{holder}_id", "resource"),
        columns=(*columns, _RESOURCE, *_HELD, *_SHARES),
        rules=(_NOT_NEGATIVE,),
    )


USAGE_BY_PROJECT = _by(
    "project",
    text("project_id", "Keystone project, none where nobody's; a hash with hash_names", nullable=False),
    text("project_name", "Its name by the site's file or Keystone, null where neither says it"),
)
USAGE_BY_USER = _by("user", text("user_id", "Keystone user; none = nobody's; a hash with hash_names", nullable=False))
