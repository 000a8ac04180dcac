"""The compact facts of a GPU pool: its polls, its GPUs state by state, and how well claimed GPUs were used."""

from functools import partial

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.schema import Column, Rule, Table, Type

_TEXT, _INT, _FLOAT, _FLAG, _AT = Type.TEXT, Type.INT, Type.FLOAT, Type.BOOL, Type.INSTANT
_required = partial(Column, nullable=False)

STATES: dict[str, str] = {
    "claimed": "a job holds it",
    "idle": "Unclaimed",
    "other": "any further state (Drained, Owner, Matched, Preempting ...): offered, and not held",
}
"""State of a GPU in its primary slots, and in its backfill slots; the first that one of the slots is in counts."""

_STATES = "; ".join(f"{name} = {text}" for name, text in STATES.items())


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(name) for name in names)})"


_IN_MONTH = Rule("lies in its month", "poll_at >= month AND poll_at < month + INTERVAL 1 MONTH", "Self-contained")

GPU_POLLS = Table(
    name="gpu_polls",
    stage="facts",
    description="Polls of the pool: the instants at which its slots were seen. A poll at which every host was masked, "
    "or no slot named a GPU, is a poll too: it stays in the denominators.",
    key=("poll_at",),
    columns=(
        _required("poll_at", _AT, "When the collector asked"),
        Column("local_at", _AT, "The same by the pool's own clock, as the file has it (not UTC)"),
        _required("is_repeated", _FLAG, "Within the second pass of the hour that comes twice when clocks go back"),
        _required("rows", _INT, "Rows of the poll at the source, exact doubles included", "rows"),
        _required("duplicates", _INT, "Exact doubles among them, left out", "rows"),
        _required("machines", _INT, "Machines with a GPU that are not masked", "machines"),
        _required("gpus", _INT, "GPUs of machines that are not masked, each once", "GPUs"),
        _required(
            "missed",
            _INT,
            "Polls that should lie between the poll before it in the month and this one; 0 for the month's first",
            "polls",
        ),
    ),
    rules=(
        _IN_MONTH,
        Rule(
            "counts are not negative",
            "rows >= duplicates AND duplicates >= 0 AND machines >= 0 AND gpus >= machines AND missed >= 0",
            "A machine that counts has a GPU",
        ),
    ),
)

GPU_RUNS = Table(
    name="gpu_runs",
    stage="facts",
    description="One GPU in one state over consecutive polls of the pool, cut at the month's edge and where polls are "
    "missing. A GPU is named by its machine and its id together; masked machines are there, with the reason.",
    key=("machine", "gpu", "start_at"),
    columns=(
        _required("machine", _TEXT, "Host name, as the pool has it", "text", "raw.gpu_state.machine"),
        _required("gpu", _TEXT, "Id of the GPU, unique within its machine", "text", "raw.gpu_state.gpu"),
        _required("start_at", _AT, "Its first poll"),
        _required(
            "end_at",
            _AT,
            "The poll after its last one; its last poll and one poll interval where that is missing; never past the "
            "month's end",
        ),
        _required("polls", _INT, "Polls that saw it so", "polls"),
        Column(
            "device", _TEXT, "Name of the model at the source; null where no row tells", "text", "raw.gpu_state.device"
        ),
        Column("memory_mb", _INT, "Memory of the GPU; null where no row tells", "MiB", "raw.gpu_state.memory_mb"),
        Column("primary_state", _TEXT, f"In its primary slots: {_STATES}; null = none lists it"),
        Column("primary_class", _TEXT, "Class in which its primary slot offers it: " + ", ".join(classes.PRIMARY)),
        Column(
            "primary_user",
            _TEXT,
            "Whose job holds it there; Unknown where nothing tells; null unless claimed",
            personal=True,
        ),
        Column("primary_job", _TEXT, "The job that holds it there (GlobalJobId); null unless claimed"),
        Column(
            "backfill_state",
            _TEXT,
            f"In its backfill slots: {_STATES}; null = none lists it, or a primary job holds it: backfill offers only "
            "what no primary job holds",
        ),
        Column("backfill_class", _TEXT, "Class in which backfill offers it: " + ", ".join(classes.BACKFILL)),
        Column("backfill_user", _TEXT, "Whose backfill job holds it; as primary_user", personal=True),
        Column("backfill_job", _TEXT, "The backfill job that holds it; null unless claimed"),
        _required("is_drained", _FLAG, "A slot of it is Drained, and no job holds it"),
        _required("is_refusing", _FLAG, "It has a reason to refuse new jobs, and no job holds it"),
        Column("reason", _TEXT, "Why it refuses new jobs (PreventJobsReason), also while a job still holds it"),
        Column("masked", _TEXT, "Why its machine is out of the statistics; null = it counts"),
    ),
    rules=(
        Rule("starts before it ends", "start_at < end_at AND polls >= 1", "A run has a poll"),
        Rule(
            "lies in its month",
            "start_at >= month AND end_at <= month + INTERVAL 1 MONTH",
            "A month's rows need no other month",
        ),
        Rule(
            "states are known",
            f"{_one_of('primary_state', tuple(STATES))} AND {_one_of('backfill_state', tuple(STATES))}",
            "A closed list",
        ),
        Rule("is in a slot", "coalesce(primary_state, backfill_state) IS NOT NULL", "Else nothing saw it"),
        Rule(
            "a class where it is offered",
            "(primary_state IS NULL) = (primary_class IS NULL) AND (backfill_state IS NULL) = (backfill_class IS NULL)"
            f" AND {_one_of('primary_class', classes.PRIMARY)} AND {_one_of('backfill_class', classes.BACKFILL)}",
            "Every offer is of a class",
        ),
        Rule(
            "a user where it is claimed",
            "(coalesce(primary_state, '') = 'claimed') = (primary_user IS NOT NULL) "
            "AND (coalesce(backfill_state, '') = 'claimed') = (backfill_user IS NOT NULL)",
            "Hours of nobody would be lost from tables of users",
        ),
        Rule(
            "backfill leaves what a primary job holds",
            "coalesce(primary_state, '') <> 'claimed' OR backfill_state IS NULL",
            "Each GPU is allocated once",
        ),
        Rule(
            "drained and refusing are claimed nowhere",
            "NOT ((is_drained OR is_refusing) AND 'claimed' IN (coalesce(primary_state, ''), "
            "coalesce(backfill_state, '')))",
            "A job that runs on is allocated",
        ),
    ),
)

GPU_PERFORMANCE = Table(
    name="gpu_performance",
    stage="facts",
    description="How well claimed GPUs were used, added up per poll, machine, device and class. A slot's usage is the "
    "sum over its GPUs; each GPU takes its part. Masked machines, unknown and negative usage are left out.",
    key=("poll_at", "machine", "device", "class"),
    columns=(
        _required("poll_at", _AT, "When the collector asked"),
        _required("machine", _TEXT, "Host name, as the pool has it"),
        Column("device", _TEXT, "Name of the model at the source; null where no row tells"),
        _required("class", _TEXT, "Class of the slot that holds them: " + ", ".join(classes.CLASSES)),
        _required("gpus", _INT, "Claimed GPUs whose usage is known", "GPUs"),
        _required("usage", _FLOAT, "Their usage added up; 1 = one GPU, fully used", "GPUs"),
    ),
    rules=(
        _IN_MONTH,
        Rule("has a GPU", "gpus >= 1 AND usage >= 0", "Empty sums are not stored"),
        Rule("class is known", _one_of('"class"', classes.CLASSES), "A closed list"),
    ),
)

TABLES: tuple[Table, ...] = (GPU_POLLS, GPU_RUNS, GPU_PERFORMANCE)
