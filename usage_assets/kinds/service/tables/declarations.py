"""Sums of requests by user, team and model, per day and month, and first and last uses."""

from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.schema import Column, Rule, Table, Type, at, money, number, real, text

ADDITIVE = (
    number("requests", "Requests: succeeded, failed, cancelled and unfinished", "requests", nullable=False),
    number("succeeded", "Requests that succeeded", "requests", nullable=False),
    number("failed", "Requests that failed", "requests", nullable=False),
    number("cancelled", "Requests that were cancelled", "requests", nullable=False),
    number("unfinished", "Requests without an outcome", "requests", nullable=False),
    number("input_tokens", "Tokens put in", "tokens", nullable=False),
    number("output_tokens", "Tokens given out", "tokens", nullable=False),
    number("cached_tokens", "Tokens put in that a cache had", "tokens", nullable=False),
    money("cost", "Sum of the known costs", "the site's currency", nullable=False),
    number("cost_unrated_requests", "Succeeded requests whose cost is not known", "requests", nullable=False),
    real("busy_seconds", "Seconds in progress within the day or month, also of requests that end in another one", "s",
         nullable=False),
    real("latency_sum_s", "Sum of lead time and duration of succeeded requests with a known duration", "s",
         nullable=False),
    number("latency_n", "How many these are", "requests", nullable=False),
)  # fmt: skip
"""Columns that add up over days, users, teams, models and providers."""
MEASURES = (
    *ADDITIVE,
    real("latency_p50_s", "Median latency, interpolated; null without any", "s"),
    real("latency_p95_s", "95th percentile of the latency", "s"),
    number("sessions", "Different sessions", "sessions", nullable=False),
    at("first_ts", "First of the instants that place requests here"),
    at("last_ts", "Last of them"),
)
_USERS = number("users", "Different users", "users", nullable=False)
_MODEL = (
    _USERS,
    number("peak_hour", "Hour of submission with most requests, the earliest of equals; UTC", "hour"),
    number("distinct_prompts", "Different prompts, by their hashes", "prompts", nullable=False),
    Column("failures", Type.AMOUNTS, "Failed requests by class of error", "requests"),
)
_DATE = Column("date", Type.DATE, "UTC day in which the requests ended (were submitted, while unfinished)",
               nullable=False)  # fmt: skip
_IN_MONTH = Rule("lies in its month", "date >= month AND date < month + INTERVAL 1 MONTH", "Self-contained")
_STATES = Rule("states add up", "requests = succeeded + failed + cancelled + unfinished", "A closed list of states")
_SOURCE = text("source", "events; legacy of days that only an older tracker knows", nullable=False)


def _by(who: str, description: str) -> tuple[Column, ...]:
    return (
        text(who, f"{description}; {NONE} where not known", nullable=False, personal=who == "user_id"),
        text("model_id", f"Model; {NONE} where not known, * = all, of an older tracker", nullable=False),
        text("provider", f"Who ran the model; {NONE} where not known, * = all, of an older tracker", nullable=False),
    )


def _daily(name: str, what: str, keys: tuple[Column, ...], more: tuple[Column, ...]) -> Table:
    return Table(
        name=name,
        stage="timelines",
        description=f"Requests per day, {what}: sums, latencies and distinct counts, made of the facts.",
        key=("date", *(column.name for column in keys)),
        columns=(_DATE, *keys, *MEASURES, *more),
        rules=(_IN_MONTH, _STATES),
    )


def _monthly(name: str, what: str, keys: tuple[Column, ...], more: tuple[Column, ...]) -> Table:
    return Table(
        name=name,
        stage="timelines",
        description=f"Requests per month, {what}: additive columns are the sums of the days.",
        key=tuple(column.name for column in keys),
        columns=(*keys, *MEASURES, *more),
        rules=(_STATES,),
    )


_USER, _TEAM = _by("user_id", "Who asked"), _by("team_id", "For which team")
SERVICE_USER_DAILY = _daily("service_user_daily", "by user, model and provider", _USER, (_SOURCE,))
SERVICE_USER_MONTHLY = _monthly("service_user_monthly", "by user, model and provider", _USER, (_SOURCE,))
SERVICE_TEAM_DAILY = _daily("service_team_daily", "by team, model and provider", _TEAM, (_USERS,))
SERVICE_TEAM_MONTHLY = _monthly("service_team_monthly", "by team, model and provider", _TEAM, (_USERS,))
SERVICE_MODEL_DAILY = _daily("service_model_daily", "by model and provider", _USER[1:], _MODEL)

SERVICE_TOTALS = "timelines.service_totals"
"""View of the sums of service_user_daily by site and date."""

SERVICE_USES = Table(
    name="service_uses",
    stage="timelines",
    description="First and last uses, per month: what retention never removes, so that no used model becomes a never "
    "used one. `kind` says of what: model or user.",
    key=("kind", "id"),
    columns=(
        text("kind", "model or user", nullable=False),
        text("id", "Model or user", nullable=False, personal=True),
        at("first_submitted_at", "First submission in the month", nullable=False),
        at("last_ended_at", "Last end in the month; null where all are unfinished"),
        number("requests", "Requests in the month", "requests", nullable=False),
    ),
)
