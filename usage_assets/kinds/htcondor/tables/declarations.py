"""Tables of the reports stage that hold a pool's tables by UTC month: what their columns mean, in one place."""

from usage_assets.kinds.htcondor.tables.figures import FIGURES
from usage_assets.kinds.htcondor.tables.spells import ENDS
from usage_assets.schema import Column, Rule, Table, Type

_FLOAT, _INT, _TEXT, _AT, _FLAG = Type.FLOAT, Type.INT, Type.TEXT, Type.INSTANT, Type.BOOL
_AVERAGE = "on average over the intervals seen; null = nothing was seen"

_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("grouping", _TEXT, "What the rows are added up by", nullable=False),
        Column("class", _TEXT, "Class of capacity; total = each GPU once; null where rows are of all classes"),
        Column("device", _TEXT, "Display name of the model; Unknown, or total; null where rows are of all devices"),
        Column("band", _TEXT, "Memory band of the GPUs, or total"),
        Column("tier", _TEXT, "Flagship or Standard, or total"),
        Column("machine", _TEXT, "Host name, as the pool has it"),
        Column("gpu", _TEXT, "Id of the GPU, unique within its machine"),
        Column("user", _TEXT, "Whose jobs they were; Unknown where nothing tells; null = all", personal=True),
        Column("devices", _TEXT, "Display names of the models"),
        Column("classes", _TEXT, "Classes in which primary slots offered it"),
        Column("category", _TEXT, "Class of its primary slots; backfill_only where it has none", nullable=False),
        Column("reason", _TEXT, "The reason given"),
        Column("is_masked", _FLAG, "Its machine is out of the statistics", nullable=False),
        Column("is_seen", _FLAG, "A poll of the month saw it", nullable=False),
        Column("is_idle", _FLAG, "No backfill job held it either", nullable=False),
        Column("is_open", _FLAG, "It lasts to the newest poll of the month", nullable=False),
        Column("is_still_set", _FLAG, "The last poll of the month that saw the machine saw the reason", nullable=False),
        Column("allocated_avg", _FLOAT, f"GPUs that jobs held, {_AVERAGE}", "GPUs"),
        Column("available_avg", _FLOAT, f"GPUs offered: held, idle, drained or prevented, {_AVERAGE}", "GPUs"),
        Column("allocated_percent", _FLOAT, "Allocated of available; null where nothing was available", "percent"),
        Column("drained_avg", _FLOAT, f"GPUs of drained slots that no job held, {_AVERAGE}", "GPUs"),
        Column("drained_percent", _FLOAT, "Drained of available", "percent"),
        Column("refusing_avg", _FLOAT, f"GPUs of machines that prevented new jobs, held by no job, {_AVERAGE}", "GPUs"),
        Column("primary_allocated_avg", _FLOAT, f"GPUs that jobs of primary slots held, {_AVERAGE}", "GPUs"),
        Column("backfill_allocated_avg", _FLOAT, f"GPUs that jobs of backfill held, {_AVERAGE}", "GPUs"),
        Column("gpu_hours_observed", _FLOAT, "GPUs held x hours, in the intervals seen", "GPU-hours"),
        Column("gpu_hours_estimated", _FLOAT, "The same stretched to the whole window: an estimate", "GPU-hours"),
        Column("available_hours_observed", _FLOAT, "GPUs offered x hours, in the intervals seen", "GPU-hours"),
        Column("backfill_hours_observed", _FLOAT, "Of them, held by backfill jobs", "GPU-hours"),
        Column("gpu_hours_refusing", _FLOAT, "GPUs with the reason that no job held x hours seen", "GPU-hours"),
        Column("gpu_hours_set", _FLOAT, "GPUs with the reason x hours seen, those whose jobs ran on too", "GPU-hours"),
        Column("percent", _FLOAT, "Of all hours of the grouping, or of the machine", "percent"),
        Column("percent_of_class", _FLOAT, "Of the hours of the class", "percent"),
        Column("usage_percent", _FLOAT, "Mean use of claimed GPUs whose usage is known, of one GPU", "percent"),
        Column("records", _INT, "GPUs and polls that the mean is of", "records"),
        Column("gpus", _INT, "Different GPUs", "GPUs"),
        Column("polls", _INT, "Polls that saw it so", "polls"),
        Column("hours", _FLOAT, "Length of the bucket within the month", "hours"),
        Column("hours_observed", _FLOAT, "Time that its polls stand for", "hours"),
        Column("hours_elapsed", _FLOAT, "From its start to its end, gaps included", "hours"),
        Column("day_coverage", _FLOAT, "Share of the day, within the month, that polls saw", "share", nullable=False),
        Column("bucket_at", _AT, "Start of the local day, within the month", nullable=False),
        Column("local_at", _AT, "The same by the pool's clocks (not UTC)"),
        Column("first_seen", _AT, "First poll of the month that saw it"),
        Column("last_seen", _AT, "Last poll of the month that saw it"),
        Column("start_at", _AT, "Its first poll", nullable=False),
        Column("last_at", _AT, "Its last poll", nullable=False),
        Column("end_at", _AT, "The poll that saw it otherwise; null = it lasts"),
        Column("spells", _INT, "Availability spells: stretches in which backfill was offered a GPU", "spells"),
        Column("whole_spells", _INT, "Of them, those that the month does not cut", "spells"),
        Column("hours_mean", _FLOAT, "Mean length of whole spells", "hours"),
        Column("hours_median", _FLOAT, "Median length of whole spells", "hours"),
        Column("hours_p90", _FLOAT, "Nine of ten whole spells are no longer", "hours"),
        Column("hours_max", _FLOAT, "Length of the longest whole spell", "hours"),
        Column("to_primary", _INT, f"Whole spells after which {ENDS['primary']}", "spells"),
        Column("to_primary_percent", _FLOAT, "Of whole spells", "percent"),
        Column("stints", _INT, "Stretches in which jobs of one user held one GPU in backfill", "stints"),
        Column("ended", _INT, "Of them, those whose next poll was seen", "stints"),
        Column("evictions", _INT, f"Of them, those after which {ENDS['primary']}", "stints"),
        Column("eviction_percent", _FLOAT, "Evictions of ended stints", "percent"),
        Column("evictions_per_100_hours", _FLOAT, "Evictions per 100 GPU-hours observed", "stints"),
    )
}
COVERAGE: tuple[Column, ...] = (
    Column("window_polls", _INT, "Polls of the month so far", "polls", nullable=False),
    Column("intervals", _INT, "Intervals of the month that a poll saw", "intervals", nullable=False),
    Column("expected", _INT, "Intervals of the month so far", "intervals", nullable=False),
    Column("coverage", _FLOAT, "Share of the expected intervals that a poll saw", "share", nullable=False),
)
_IS_SHARE = "coverage >= 0 AND coverage <= 1 AND intervals <= expected"
_RULES = (Rule("coverage is a share", _IS_SHARE, "No interval is seen twice"),)


def _table(name: str, description: str, key: tuple[str, ...], *columns: str) -> Table:
    shown = tuple(_COLUMNS[column] for column in dict.fromkeys((*key, *columns)))
    return Table(
        name=name,
        stage="reports",
        description=description + " Of the UTC month; every row has the coverage of the month.",
        columns=(*shown, *COVERAGE),
        key=key,
        rules=_RULES,
    )


TABLES: tuple[Table, ...] = (
    _table(
        "gpu_allocation",
        "GPUs offered and held by class, by class and device, by memory band of primary slots, and by tier of open "
        "capacity. All devices; devices and memory leave out the filtered families.",
        ("grouping", "class", "device", "band", "tier"),
        *FIGURES,
    ),
    _table(
        "gpu_days",
        "GPUs offered and held by local day and class; null where no poll saw the day. A day that the edge of the UTC "
        "month cuts has a row in both months.",
        ("bucket_at", "class"),
        *("local_at", "hours", "allocated_avg", "available_avg", "drained_avg", "refusing_avg", "allocated_percent"),
        *("gpu_hours_observed", "day_coverage"),
    ),
    _table(
        "gpu_users",
        "GPU-hours by user and class: of all devices, of one model (the grouping names it), and of backfill without "
        "the filtered families.",
        ("grouping", "user", "class"),
        *("gpu_hours_observed", "gpu_hours_estimated", "percent", "percent_of_class"),
    ),
    _table(
        "gpu_usage",
        "How well claimed GPUs were used, by class, and by class and device.",
        ("grouping", "class", "device"),
        *("usage_percent", "records", "gpus"),
    ),
    _table(
        "gpu_hosts",
        "What each machine offered and gave, by device; masked machines too, and marked.",
        ("machine", "device", "is_masked", "reason"),
        *("gpus", "available_avg", "primary_allocated_avg", "backfill_allocated_avg", "allocated_avg"),
        *("allocated_percent", "gpu_hours_observed", "gpu_hours_estimated", "available_hours_observed"),
        *("first_seen", "last_seen"),
    ),
    _table(
        "gpu_categories",
        "The class of each machine's primary slots; one that changed it, or is split, has several rows.",
        ("category", "machine"),
        *("devices", "gpus", "available_hours_observed", "percent"),
    ),
    _table(
        "gpu_never_active",
        "Machines of which no primary job held a GPU.",
        ("machine",),
        *("devices", "gpus", "available_hours_observed", "backfill_hours_observed", "last_seen"),
    ),
    _table(
        "gpu_unused",
        "GPUs that no primary job held, of all tiers.",
        ("machine", "gpu"),
        *("tier", "device", "classes", "available_hours_observed", "backfill_hours_observed", "is_idle"),
        *("first_seen", "last_seen"),
    ),
    _table(
        "gpu_draining",
        "Stretches of polls in which a GPU was drained.",
        ("machine", "gpu", "start_at"),
        *("device", "last_at", "end_at", "polls", "hours_observed", "hours_elapsed", "is_open"),
    ),
    _table(
        "gpu_refusing",
        "Machines that had a reason to refuse new jobs.",
        ("machine", "reason"),
        *("devices", "gpus", "first_seen", "last_seen", "is_still_set", "gpu_hours_refusing", "gpu_hours_set"),
    ),
    _table(
        "gpu_excluded",
        "Machines out of the statistics, with the reason.",
        ("machine", "reason"),
        *("gpus", "is_seen", "first_seen", "last_seen"),
    ),
    _table(
        "gpu_spells",
        "How long GPUs stand free for backfill, by device.",
        ("device",),
        *("spells", "whole_spells", "hours_mean", "hours_median", "hours_p90", "hours_max", "to_primary"),
        "to_primary_percent",
    ),
    _table(
        "gpu_evictions",
        "Whose backfill jobs made room for primary jobs: by user, and by machine.",
        ("grouping", "user", "machine"),
        *("stints", "ended", "evictions", "eviction_percent", "gpu_hours_observed", "evictions_per_100_hours"),
    ),
)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
GPU_DAYS, GPU_USERS = BY_NAME["gpu_days"], BY_NAME["gpu_users"]
