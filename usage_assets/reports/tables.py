"""Tables of the reports stage that compare a site with its old usage caches."""

from usage_assets.schema import Column, Rule, Table, Type

LEGACY_COMPARISON = Table(
    name="legacy_comparison",
    stage="reports",
    description="Node-hours of the old usage caches against ours, per day, node type and metric. A side that has no "
    "row, or does not know, is null, and so is the difference.",
    key=("date", "node_type", "metric"),
    columns=(
        Column("date", Type.DATE, "Day", nullable=False),
        Column("node_type", Type.TEXT, "Type of the machines", nullable=False),
        Column("metric", Type.TEXT, "What was measured or derived", nullable=False),
        Column("legacy_hours", Type.FLOAT, "By the old usage caches", "node-hours"),
        Column("current_hours", Type.FLOAT, "By this warehouse", "node-hours"),
        Column("difference", Type.FLOAT, "Ours less theirs", "node-hours"),
        Column("relative_difference", Type.FLOAT, "Difference / theirs; null where theirs is 0", "1"),
        Column(
            "cause",
            Type.TEXT,
            "Why they differ; null within the tolerance of 0.5 h or 0.5 %. known gap: a side is missing, or a source "
            "of ours holds no history; maintenance: the difference is the day's legacy maintenance; duplicate host: it "
            "is the time of hosts that were there twice; else unexplained",
        ),
    ),
    rules=(
        Rule("lies in its month", "date >= month AND date < month + INTERVAL 1 MONTH", "Self-contained"),
        Rule(
            "cause is known",
            "cause IN ('known gap', 'maintenance', 'duplicate host', 'unexplained')",
            "A closed list, so that shares by cause are complete",
        ),
    ),
)
