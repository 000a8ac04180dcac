"""The table of the reports that were built; their content is in their files."""

from usage_assets.schema import Column, Rule, Table, Type

GPU_REPORTS = Table(
    name="gpu_reports",
    stage="reports",
    description="Reports of a pool that were made: of which period, from how much of it, and where their page lies.",
    key=("report", "name"),
    columns=(
        Column("report", Type.TEXT, "daily, weekly or monthly", nullable=False),
        Column("name", Type.TEXT, "The local day on which its period ends, or its month", nullable=False),
        Column("start_at", Type.INSTANT, "Where its period begins", nullable=False),
        Column("end_at", Type.INSTANT, "Where its period ends, exclusive", nullable=False),
        Column("subject", Type.TEXT, "Subject of its mail", nullable=False),
        Column("page", Type.TEXT, "Its page, below the folder of plots; plain text lies beside it", nullable=False),
        Column("polls", Type.INT, "Polls of the period", "polls", nullable=False),
        Column("first_poll", Type.INSTANT, "The first of them"),
        Column("last_poll", Type.INSTANT, "The last of them"),
        Column("intervals", Type.INT, "Intervals of the period that a poll saw", "intervals", nullable=False),
        Column("expected", Type.INT, "Intervals of the period", "intervals", nullable=False),
        Column("coverage", Type.FLOAT, "Share of the intervals that a poll saw", "share", nullable=False),
        Column("fingerprint", Type.TEXT, "Stands for all that the report is made of", nullable=False),
    ),
    rules=(
        Rule("report is known", "report IN ('daily', 'weekly', 'monthly')", "A closed list"),
        Rule(
            "coverage is a share",
            "coverage >= 0 AND coverage <= 1 AND intervals <= expected AND start_at < end_at",
            "No interval is seen twice",
        ),
    ),
)
