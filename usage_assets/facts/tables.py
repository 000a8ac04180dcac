"""Tables of the facts stage: one shape for every kind of site."""

from usage_assets.schema import Column, Rule, Table, Type

RESOURCES: tuple[Column, ...] = (
    Column("nodes", Type.FLOAT, "Machines; of a part of one, its share by vCPUs", "nodes"),
    Column("vcpus", Type.FLOAT, "vCPUs without overcommit", "vCPUs"),
    Column("vcpus_overcommit", Type.FLOAT, "vCPUs as the scheduler counts them", "vCPUs"),
    Column("memory_mb", Type.FLOAT, "Memory", "MiB"),
    Column("disk_gb", Type.FLOAT, "Local disk", "GiB"),
    Column("gpus", Type.FLOAT, "GPUs", "GPUs"),
    Column("devices", Type.FLOAT, "Edge devices", "devices"),
)
RESOURCE_NAMES: tuple[str, ...] = tuple(column.name for column in RESOURCES)

_COLUMNS: tuple[Column, ...] = (
    Column("metric", Type.TEXT, "What was measured: total, reservable, committed, occupied_* ...", nullable=False),
    Column("source", Type.TEXT, "Raw table of the row that the interval is made of", nullable=False),
    Column("entity_id", Type.TEXT, "Hostname, allocation id, instance uuid, device id or container uuid"),
    Column("start_at", Type.INSTANT, "Start, within the month"),
    Column("end_at", Type.INSTANT, "End, within the month; never past the dump"),
    Column("original_start_at", Type.INSTANT, "Start before any cut"),
    Column("original_end_at", Type.INSTANT, "End before any cut; null = open"),
    Column("action", Type.TEXT, "kept, or clipped by a parent or a sibling (cuts at the month's edges are none)"),
    Column("node", Type.TEXT, "Hostname of the machine, or name of the device"),
    Column("node_type", Type.TEXT, "Type of the machine or device; unknown where nothing says it", nullable=False),
    Column("project_id", Type.TEXT, "Keystone project that holds it"),
    Column("user_id", Type.TEXT, "Keystone user that holds it"),
    Column("reservation_id", Type.TEXT, "Blazar reservation"),
    Column("lease_id", Type.TEXT, "Blazar lease"),
    *RESOURCES,
)

INTERVALS = Table(
    name="intervals",
    stage="facts",
    description="Who held what, from when to when, per metric. An interval is stored in each month it touches, cut to "
    "the month and where the machine's size or type changes.",
    key=("metric", "source", "entity_id", "start_at", "node_type"),
    columns=_COLUMNS,
    rules=(
        Rule("starts before it ends", "start_at < end_at", "Empty intervals are not stored"),
        Rule("has an entity", "entity_id IS NOT NULL AND start_at IS NOT NULL AND end_at IS NOT NULL", "No open rows"),
        Rule(
            "lies in its month",
            "start_at >= month AND end_at <= month + INTERVAL 1 MONTH",
            "A month's rows need no other month",
        ),
        Rule("action is known", "action IN ('kept', 'clipped')", "The two ways to be kept"),
        Rule(
            "amounts are not negative",
            " AND ".join(f"coalesce({name}, 0) >= 0" for name in RESOURCE_NAMES),
            "Nothing holds less than nothing",
        ),
    ),
)

REASONS: dict[str, str] = {
    "orphan": "no parent at that time",
    "null_key": "a column that names a parent or the entity is null",
    "no_lease": "its reservation's lease is not there",
    "no_reservation": "its reservation is not there",
    "never_ran": "starts at or after its end",
    "never_launched": "the server never ran",
    "unknown_host": "its host is not known",
    "bad_time": "has no usable time",
    "excluded": "taken out by a rule of the site's file",
    "duplicate": "another row already counts this time",
}

_ACTION_OF_REJECTS = Column("action", Type.TEXT, "Of excluded time: who took it out, and why; else null")

REJECTS = Table(
    name="rejects",
    stage="facts",
    description="What does not count, and why. start_at and end_at are the row's own span within the month, or the "
    "part of it that the reason speaks of: a row excluded for some time is kept, or rejected, for the rest.",
    key=(),
    columns=(
        *(_ACTION_OF_REJECTS if column.name == "action" else column for column in _COLUMNS),
        Column(
            "reason", Type.TEXT, "Why: " + "; ".join(f"{key} = {text}" for key, text in REASONS.items()), nullable=False
        ),
    ),
    rules=(
        Rule(
            "reason is known",
            "reason IN (" + ", ".join(f"'{reason}'" for reason in REASONS) + ")",
            "A closed list, so that sums by reason are complete",
        ),
    ),
)
