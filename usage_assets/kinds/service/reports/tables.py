"""reports.service_reports: which usage reports were made."""

from usage_assets.schema import Rule, Table, money, number, text

SERVICE_REPORTS = Table(
    name="service_reports",
    stage="reports",
    description="Usage reports of a service: a row per month, what its data was, and where its page lies.",
    key=("period",),
    columns=(
        text("period", "The month, as 2026-03", nullable=False),
        text("version", "Version of the data: equal ones have equal pages", nullable=False),
        text("state", "How final the month was: complete, late events, running or not read", nullable=False),
        text("subject", "Subject of its mail", nullable=False),
        text("page", "Its page, below the folder of plots", nullable=False),
        number("requests", "Requests that ended in the month", "requests", nullable=False),
        money("cost", "Sum of their known costs", "the site's currency", nullable=False),
        number("cost_unrated_requests", "Succeeded ones whose cost is not known", "requests", nullable=False),
    ),
    rules=(Rule("is of its month", "period = strftime(month, '%Y-%m')", "A row per month"),),
)
