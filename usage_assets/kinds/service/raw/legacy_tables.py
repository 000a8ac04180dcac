"""What an older tracker's JSON files say: totals by user and day or month, limits and profiles of users."""

from usage_assets.schema import Rule, Table, at, flag, money, number, real, text
from usage_assets.schema.table import Column, Type

PERIODS = ("day", "month")
_FILE = text("source_file", "File that says so, below the folder that was imported", nullable=False)
_UPDATED = at("updated_at", "When the tracker last changed it, by its own clock; null = not said")
_DATE = Column("date", Type.DATE, "Local day of the tracker; of a month its first", nullable=False)
_USER = text("user_id", "Whose", nullable=False, personal=True)
_PERIOD = text("period", "day or month", nullable=False)

LEGACY_USAGE = Table(
    name="legacy_usage",
    stage="raw",
    description="Totals of a user and day, or month, of an older tracker. Of several the one that was changed last.",
    key=("period", "date", "user_id"),
    columns=(
        _PERIOD,
        _DATE,
        _USER,
        number("requests", "Requests", "requests", nullable=False),
        number("succeeded", "Requests that succeeded", "requests", nullable=False),
        number("failed", "Requests that failed", "requests", nullable=False),
        number("input_tokens", "Tokens put in", "tokens", nullable=False),
        number("output_tokens", "Tokens given out", "tokens", nullable=False),
        money("cost", "Cost", "USD", nullable=False),
        real("latency_sum_s", "Mean latency of all requests, times the requests", "s", nullable=False),
        number("latency_n", "How many these are", "requests", nullable=False),
        number("sessions", "Different sessions", "sessions", nullable=False),
        _UPDATED,
        _FILE,
    ),
    rules=(Rule("months begin on their first", "period = 'day' OR date = month", "A month's date is its first day"),),
)

LEGACY_COUNTS = Table(
    name="legacy_counts",
    stage="raw",
    description="Requests per model and provider of the totals in raw.legacy_usage; their cost can't be split.",
    key=("period", "date", "user_id", "part", "name"),
    columns=(
        _PERIOD,
        _DATE,
        _USER,
        text("part", "model or provider", nullable=False),
        text("name", "Which", nullable=False),
        number("requests", "Requests", "requests", nullable=False),
    ),
)

LEGACY_LIMITS = Table(
    name="legacy_limits",
    stage="raw",
    description="Spending limits of an older tracker, in USD; rows of a limits file win over those of the same scope "
    "and window. Month is that of valid_from.",
    key=("scope_type", "scope_id", "window"),
    columns=(
        text("scope_type", "user, user_provider or user_model", nullable=False),
        text("scope_id", "Whose; of a pair the JSON text of both", nullable=False, personal=True),
        text("window", "request, session, day, week or month", nullable=False),
        money("amount", "How much may be spent", "USD", nullable=False),
        text("thresholds", "Parts of the amount that are told, as JSON", nullable=False),
        at("valid_from", "Since when: the last change of the limit", nullable=False),
        flag("enabled", "Whether it is judged", nullable=False),
        _USER,
        _UPDATED,
        _FILE,
    ),
)

SERVICE_USER = Table(
    name="service_user",
    stage="raw",
    description="Users of an older tracker, each by its newest profile. Month is that of its last change.",
    key=("user_id",),
    columns=(
        _USER,
        text("username", "Name", personal=True),
        text("email", "Mail address", personal=True),
        text("tier", "Tier: free or another"),
        flag("active", "Whether the user is active"),
        _UPDATED,
        _FILE,
    ),
)

LEGACY_FILES = Table(
    name="legacy_files",
    stage="serving",
    description="Files of an older tracker that were imported, by the hash of their content: one that was is not read "
    "again. Month is that of the import.",
    key=("digest",),
    columns=(
        text("digest", "SHA-256 of its content", nullable=False),
        text("file", "Path below the folder", nullable=False),
        number("size", "Its size", "bytes", nullable=False),
        number("objects", "Totals, limits or profiles in it", "objects", nullable=False),
        at("imported_at", "When it was read, by the clock of this machine", nullable=False),
    ),
)

LEGACY_TABLES = (LEGACY_USAGE, LEGACY_COUNTS, LEGACY_LIMITS, SERVICE_USER)
