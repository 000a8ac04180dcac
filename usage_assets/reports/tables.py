"""Tables of the reports stage: comparison with the legacy usage counter, the audit, and coverage."""

from collections.abc import Iterable

from usage_assets.schema import Column, Rule, Table, Type, at, number, real, text

CAUSES = ("known gap", "maintenance", "duplicate host", "one side only", "merged types", "unexplained")


def _one_of(column: str, values: Iterable[str], why: str) -> Rule:
    return Rule(f"{column} is known", f"{column} IN ({', '.join(map(repr, values))})", why)


LEGACY_COMPARISON = Table(
    name="legacy_comparison",
    stage="reports",
    description="Node-hours of the legacy usage counter against ours, per day, node type and metric. A side that has "
    "no row, or does not know, is null. A node type that one side lacks counts there as 0 in the difference, where "
    "that side tells anything of the day and metric; else the difference is null.",
    key=("date", "node_type", "metric"),
    columns=(
        Column("date", Type.DATE, "Day", nullable=False),
        text("node_type", "Type of the machines", nullable=False),
        text("metric", "What was measured or derived", nullable=False),
        real("legacy_hours", "By the legacy usage counter", "node-hours"),
        real("current_hours", "By this warehouse", "node-hours"),
        real("difference", "Ours less theirs", "node-hours"),
        real("relative_difference", "Difference / theirs; null where theirs is 0", "1"),
        text(
            "cause",
            "Why they differ; null within the tolerance of 0.5 h or 0.5 %. known gap: the site's file says that a "
            "source of ours holds no history; maintenance: the difference is the day's maintenance; duplicate host: it "
            "is the time of hosts that were there twice; one side only: the other counter lacks the node type, or does "
            "not know; merged types: types of ours are one of theirs, and agree together; else unexplained",
        ),
    ),
    rules=(
        Rule("lies in its month", "date >= month AND date < month + INTERVAL 1 MONTH", "Self-contained"),
        _one_of("cause", CAUSES, "A closed list, so that shares by cause are complete"),
    ),
)

OUTCOMES: dict[str, str] = {
    "read": "rows of the month that are not context; hours of their own spans within it",
    "kept": "rows that gave an interval or more; hours of those intervals",
    "clipped": "hours of kept rows that a parent or a sibling takes; their rows are among the kept",
    "outside": "rows whose own span misses the month",
    "rejected": "rows and hours that do not count, by reason",
}

AUDIT = Table(
    name="audit",
    stage="reports",
    description="Where the rows and hours of each source went. Hours are entity-hours, not resource-hours. Rows: read "
    "= kept + outside + rejected; hours: read = kept + clipped + rejected.",
    key=("asset", "source", "outcome", "reason"),
    columns=(
        text("asset", "Asset that read the source, parts joined by slashes", nullable=False),
        text("source", "Raw table, without its stage", nullable=False),
        text("outcome", "; ".join(f"{name} = {meaning}" for name, meaning in OUTCOMES.items()), nullable=False),
        text("reason", "Why rejected, as in facts.rejects; else empty", nullable=False),
        number("rows", "Rows; null for clipped. A kept row excluded in part is no rejected row", "rows"),
        real("hours", "Spans within the month", "entity-hours", nullable=False),
        real("rows_share", "Part of the rows read; null where none was", "1"),
        real("hours_share", "Part of the hours read; null where there are none", "1"),
    ),
    rules=(
        _one_of("outcome", OUTCOMES, "A closed list, so that the outcomes of a source add up"),
        Rule(
            "only rejected rows have a reason",
            "(outcome = 'rejected') = (reason <> '')",
            "Each reason is a row of its own",
        ),
    ),
)

STATUSES: dict[str, str] = {
    "ok": "written, and read lately enough",
    "known_gap": "the source is known to hold no history of the whole month",
    "stale": "written, but not read again since the month ended, or for too long while it can still change",
    "waits": "not built, because an input is not good; the old rows were kept",
    "refused": "its rows broke the table's declaration; the old rows were kept",
    "missing": "never built",
}
"""Statuses of a site-month of an asset, the best first."""

COVERAGE = Table(
    name="coverage",
    stage="reports",
    description="Status of every site, month and asset, from each site's first month on; rebuilt after each run. A "
    "month that has just begun is not there until it was built or should have been.",
    key=("asset",),
    columns=(
        text("asset", "Asset key, parts joined by slashes", nullable=False),
        text("status", "; ".join(f"{name} = {meaning}" for name, meaning in STATUSES.items()), nullable=False),
        number("rows", "Rows of the asset in the month", "rows"),
        number("version", "How often the month was written", "writes"),
        at("written_at", "When it was written last, by the clock of this machine"),
        at(
            "extracted_at",
            "When the source was last read, by its clock; of an asset made of raw tables the earliest of theirs",
        ),
        number("checks_failed", "Checks of severity ERROR that fail for the month", "checks", nullable=False),
        real(
            "gap_hours",
            "Part of the month in known gaps: of a raw table its own, of other assets those of any source",
            "h",
            nullable=False,
        ),
        text("reason", "Why the status is what it is; null where it is ok"),
    ),
    rules=(
        _one_of("status", STATUSES, "A closed list, so that the months of a site add up"),
        Rule("reason is said", "(status = 'ok') = (reason IS NULL)", "Whatever is not ok has a reason"),
    ),
)
