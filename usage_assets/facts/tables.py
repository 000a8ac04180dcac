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
    "no_gpu": "the row of a slot names no GPU",
    "bad_gpu": "what the row of a slot names is neither the id of a GPU nor a list of ids",
    "masked": "its machine is out of the statistics by the site's file",
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

OUTCOMES: dict[str, str] = {
    "never_ran": "its planned end lies before its planned start",
    "rolled_back": "deleted while it was being created, or within a minute without holding anything",
    "cancelled": "deleted before it could start",
    "pending": "starts after the dump",
    "failed": "its start failed",
    "not_run": "its start passed, but was never carried out",
    "started": "it began",
}

LEASES = Table(
    name="leases",
    stage="facts",
    description="Leases by the month in which they were asked for: what became of them, and how long it took until "
    "they began, by plan, in fact, and at best.",
    key=("lease_id",),
    columns=(
        Column("lease_id", Type.TEXT, "Blazar lease", nullable=False),
        Column("created_at", Type.INSTANT, "When it was asked for; else the earliest other time", nullable=False),
        Column("start_date", Type.INSTANT, "Planned start"),
        Column("end_date", Type.INSTANT, "Planned end; prolonging or an early end overwrites it"),
        Column("deleted_at", Type.INSTANT, "When it was deleted or, where it vanished at the source, first missed"),
        Column("status", Type.TEXT, "State at the dump"),
        Column(
            "outcome",
            Type.TEXT,
            "First that holds: " + "; ".join(f"{key} = {text}" for key, text in OUTCOMES.items()),
            nullable=False,
        ),
        Column("resource_type", Type.TEXT, "What its reservations are of; several joined by commas"),
        Column(
            "node_type",
            Type.TEXT,
            "Type of what it held when asked for, else what its filter names, else unknown; several joined by commas",
            nullable=False,
        ),
        Column("nodes", Type.INT, "Machines and devices that it held, else asked for", "nodes"),
        Column("project_id", Type.TEXT, "Keystone project"),
        Column("user_id", Type.TEXT, "Keystone user"),
        Column("requested", Type.FLOAT, "Planned start since it was asked for; up to 90 s before is 0", "hours"),
        Column("effective", Type.FLOAT, "Actual start since it was asked for; of started leases only", "hours"),
        Column("basis", Type.TEXT, "Actual start by the start event (event) or by the plan (schedule)"),
        Column(
            "projected",
            Type.FLOAT,
            "Least wait until as many machines of the kind asked for were free for as long, as known when asked; null "
            "past the horizon and for anything but whole hosts",
            "hours",
        ),
        Column("is_censored", Type.BOOL, "No such start within the horizon; null where none was looked for"),
        Column(
            "projected_inexact",
            Type.INT,
            "Bookings that forbade an earlier start and whose lease was changed since: their dates may have differed",
            "bookings",
        ),
    ),
    rules=(
        Rule(
            "asked for in its month",
            "created_at >= month AND created_at < month + INTERVAL 1 MONTH",
            "A lease lies in one month only",
        ),
        Rule(
            "outcome is known",
            "outcome IN (" + ", ".join(f"'{outcome}'" for outcome in OUTCOMES) + ")",
            "A closed list",
        ),
        Rule(
            "only started leases have an actual start",
            "(outcome = 'started') = (effective IS NOT NULL) AND (effective IS NULL) = (basis IS NULL)",
            "Else effective means nothing",
        ),
        Rule("no wait is negative", "effective >= 0 AND projected >= 0", "Nothing starts before its asking"),
    ),
)
