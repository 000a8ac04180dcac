"""Tables of spending against limits: which thresholds were crossed, and how far each scope has come."""

from usage_assets.schema import Column, Rule, Table, Type, at, flag, money, number, text

_SCOPE = (
    text("scope_type", "user, team, model, provider, user_model, user_provider or site", nullable=False),
    text("scope_id", "Its name; of a pair the JSON text of both", nullable=False, personal=True),
    text("window", "request, session, day, week or month", nullable=False),
)

SPENDING_ALERTS = Table(
    name="spending_alerts",
    stage="reports",
    description="Thresholds of limits that were crossed, each once per period, in the month of the crossing.",
    key=("scope_type", "scope_id", "window", "period", "threshold"),
    columns=(
        *_SCOPE,
        text("period", "Local day, first day of the week, month, session or request", nullable=False),
        money("threshold", "Share of the amount", "share", nullable=False),
        at("period_start", "Where the period begins; null of requests and sessions"),
        at("crossed_at", "End of the request by which it was crossed", nullable=False),
        text("event_id", "Deciding event of that request", nullable=False),
        text("request_id", "The request", nullable=False),
        money("spent", "Spent in the period up to it", "the site's currency", nullable=False),
        money("amount", "Amount of the limit that was valid then", "the site's currency", nullable=False),
        money("percent", "Spent of the amount, 6 places; null of an amount of 0", "%"),
        money("projected_period_end_spend", "Spent by the share of the period that is over; null of requests, sessions",
              "the site's currency"),
        text("id", "Hash of the key: the same however often it is found", nullable=False),
    ),
    rules=(
        Rule("lies in its month", "crossed_at >= month AND crossed_at < month + INTERVAL 1 MONTH", "Of the crossing"),
        Rule("something is spent", "spent > 0", "What an alert says"),
    ),
)  # fmt: skip

SPENDING_STATUS = Table(
    name="spending_status",
    stage="reports",
    description="Spending of each scope in the day, week and month that hold as_of: the extraction of a running month, "
    "the last instant of one that is over.",
    key=(*(column.name for column in _SCOPE), "as_of"),
    columns=(
        *_SCOPE,
        at("as_of", "What was spent before it counts", nullable=False),
        text("period", "Local day, first day of the week, or month", nullable=False),
        flag("unlimited", "No limit is valid, or it is switched off", nullable=False),
        money("amount", "Amount of the limit", "the site's currency"),
        money("spent", "Spent in the period", "the site's currency", nullable=False),
        money("remaining", "Amount less spent; below 0 when exceeded", "the site's currency"),
        money("percent", "Spent of the amount, 6 places; null of an amount of 0", "%"),
        money("burn_per_day", "Spent per day over the seven days before", "the site's currency", nullable=False),
        Column("projected_crossing_date", Type.DATE, "Local day on which the amount is reached at that pace, "
               "within the period"),
        number("unrated_requests", "Succeeded requests of the period whose cost is not known", "requests",
               nullable=False),
    ),
)  # fmt: skip

NOTICES = Table(
    name="notices",
    stage="serving",
    description="What people are told once, and when it was first found: no rebuild forgets it.",
    key=("id",),
    columns=(
        text("id", "What tells it from all others", nullable=False),
        at("found_at", "When a run first found it, by the clock of this machine", nullable=False),
        at("open_until", "Until when it is news: the end of its period, else when it happened", nullable=False),
    ),
)
