"""Tables of the facts stage: one shape for every kind of site."""

from usage_assets.schema import Column, Rule, Table, at, flag, number, real, text

RESOURCES: tuple[Column, ...] = (
    real("nodes", "Machines; of a part of one, its share by vCPUs", "nodes"),
    real("vcpus", "vCPUs without overcommit", "vCPUs"),
    real("vcpus_overcommit", "vCPUs as the scheduler counts them", "vCPUs"),
    real("memory_mb", "Memory", "MiB"),
    real("disk_gb", "Local disk", "GiB"),
    real("gpus", "GPUs", "GPUs"),
    real("devices", "Edge devices", "devices"),
    real("requests", "Requests that are in progress or wait; models that are loaded", "requests"),
)
RESOURCE_NAMES: tuple[str, ...] = tuple(column.name for column in RESOURCES)

_COLUMNS: tuple[Column, ...] = (
    text("metric", "What was measured: total, reservable, committed, occupied_* ...", nullable=False),
    text("source", "Raw table of the row that the interval is made of", nullable=False),
    text("entity_id", "Hostname, allocation id, instance uuid, device id or container uuid"),
    at("start_at", "Start, within the month"),
    at("end_at", "End, within the month; never past the dump"),
    at("original_start_at", "Start before any cut"),
    at("original_end_at", "End before any cut; null = open"),
    text("action", "kept, or clipped by a parent or a sibling (cuts at the month's edges are none)"),
    text("node", "Hostname of the machine, or name of the device"),
    text("node_type", "Type of the machine or device; unknown where nothing says it", nullable=False),
    text("project_id", "Keystone project that holds it"),
    text("user_id", "Keystone user that holds it"),
    text("reservation_id", "Blazar reservation"),
    text("lease_id", "Blazar lease"),
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

_ACTION_OF_REJECTS = text("action", "Of excluded time: who took it out, and why; else null")

REJECTS = Table(
    name="rejects",
    stage="facts",
    description="What does not count, and why. start_at and end_at are the row's own span within the month, or the "
    "part of it that the reason speaks of: a row excluded for some time is kept, or rejected, for the rest.",
    key=(),
    columns=(
        *(_ACTION_OF_REJECTS if column.name == "action" else column for column in _COLUMNS),
        text("reason", "Why: " + "; ".join(f"{key} = {text}" for key, text in REASONS.items()), nullable=False),
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
        text("lease_id", "Blazar lease", nullable=False),
        at("created_at", "When it was asked for; else the earliest other time", nullable=False),
        at("start_date", "Planned start"),
        at("end_date", "Planned end; prolonging or an early end overwrites it"),
        at("deleted_at", "When it was deleted or, where it vanished at the source, first missed"),
        text("status", "State at the dump"),
        text(
            "outcome",
            "First that holds: " + "; ".join(f"{key} = {text}" for key, text in OUTCOMES.items()),
            nullable=False,
        ),
        text("resource_type", "What its reservations are of; several joined by commas"),
        text(
            "node_type",
            "Type of what it held when asked for, else what its filter names, else unknown; several joined by commas",
            nullable=False,
        ),
        number("nodes", "Machines and devices that it held, else asked for", "nodes"),
        text("project_id", "Keystone project"),
        text("user_id", "Keystone user"),
        real("requested", "Planned start since it was asked for; up to 90 s before is 0", "hours"),
        real("effective", "Actual start since it was asked for; of started leases only", "hours"),
        text("basis", "Actual start by the start event (event) or by the plan (schedule)"),
        real(
            "projected",
            "Least wait until as many machines of the kind asked for were free for as long, as known when asked; null "
            "past the horizon and for anything but whole hosts",
            "hours",
        ),
        flag("is_censored", "No such start within the horizon; null where none was looked for"),
        number(
            "projected_inexact",
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
