"""raw.usage_events and raw.rejected_events: every event of a service, kept or rejected with a reason."""

from usage_assets.schema import Column, Rule, Table, Type, at, flag, money, number, real, text
from usage_assets.specs.raw_table import Dated, RawTable

OUTCOMES = ("complete", "failed", "cancelled")
"""Event types that say how an attempt at a request ended."""
BEGINNINGS = ("request", "start")
EVENT_TYPES = (*BEGINNINGS, *OUTCOMES, "model_load", "model_unload", "model_download", "health_check")
"""Event types that are known without configuration."""
NONE = "(none)"
"""What facts and keys have in place of a user, team, model or provider that is not known."""

IDENTITY = (
    text("event_id", "Id of the event; where its source has none, a hash of the row and its ordinal among equal rows "
         "of the same file", nullable=False),
    at("ts", "When it happened: the start or the end of the request, see time_of", nullable=False),
)  # fmt: skip
CONTENT = (
    text("user_id", "Who asked", personal=True),
    text("team_id", "For which team or project"),
    text("session_id", "Session that the request belongs to"),
    text("request_id", "Request that the event belongs to; null = one of its own"),
    text("model_id", "Model, by the name that the site's aliases give it"),
    text("model_raw", "Model as the source spells it"),
    text("provider", "Who ran the model"),
    text("event_type", "; ".join(EVENT_TYPES) + "; others where the site's file accepts them", nullable=False),
    number("requests", "Requests that the row stands for; above 1 it is a sum without times", "requests",
           nullable=False),
    number("input_tokens", "Tokens put in, those from a cache included", "tokens"),
    number("output_tokens", "Tokens given out", "tokens"),
    number("cached_tokens", "Tokens put in that a cache had", "tokens"),
    Column("meters", Type.AMOUNTS, "Any other measured quantity by its name: images, audio seconds ...", "per name"),
    money("cost", "Cost as the source states it; null = not stated", "currency of the row"),
    text("currency", "Currency of the cost; null = the site's"),
    flag("cost_known", "A stated cost of 0 is known to be one (a cache hit), not a price that the source lacks"),
    real("duration_s", "From start to end, without the time in a queue", "s"),
    real("queue_s", "Time in a queue before the start", "s"),
    real("first_output_s", "From start to first output", "s"),
    flag("success", "Whether the request succeeded; read of `complete` only, null = not known"),
    text("error", "Class or short text of the error"),
    text("parameters", "Parameters of the request, as JSON; prompts only where the site keeps them"),
    text("prompt_hash", "Hash of the prompt"),
    text("time_of", "Whether ts of an outcome is the `start` or the `end` of the request", nullable=False),
)  # fmt: skip
PROVENANCE = (
    text("reader", "Reader of the source: litellm, otel, records or legacy_json", nullable=False),
    text("source_file", "File, or table of a database, that has the row", nullable=False),
    number("source_row", "Number of the row in it, from 1", "row", nullable=False),
    at("ingested_at", "When the row was first stored, by the clock of this machine", nullable=False),
)

USAGE_EVENTS = RawTable(
    database="usage",
    source="events",
    description="Events of a service: requests, their outcomes, and models that come and go. Of several rows with one "
    "event_id the earliest is here, among equal instants the last one of the sources.",
    key=("event_id",),
    columns=(*IDENTITY, *CONTENT, *PROVENANCE),
    months=Dated("ts"),
)

REASONS: dict[str, str] = {
    "unreadable": "the line or row can't be read",
    "not_usage": "a row of the source that is no request",
    "nested": "a call inside a call that counts",
    "bad_time": "its time is missing, has no zone, is impossible or lies before the site's first month",
    "unknown_event_type": "its event type is neither known nor accepted by the site's file",
    "bad_number": "a number is none, or a fraction of a token",
    "negative": "requests below 1, or tokens, meters or cost below 0",
    "duplicate": "the same event again",
    "superseded": "another row with the same event_id counts",
    "cleared_time": "a duration that is negative, not finite or too long was cleared; the event is kept",
}
KEPT_REASONS = ("cleared_time",)
"""Reasons that only speak of an event that is kept."""

REJECTED_EVENTS = RawTable(
    database="rejected",
    source="events",
    description="Rows of the sources that do not count, and why. Of a row without an instant, month is that of its "
    "ingestion.",
    key=(),
    columns=(
        text("source_file", "File, or table of a database, that has the row", nullable=False),
        number("source_row", "Number of the row in it, from 1", "row", nullable=False),
        text("reason", "Why: " + "; ".join(f"{key} = {value}" for key, value in REASONS.items()), nullable=False),
        text("row", "The mapped columns of the row, as JSON; prompts dropped, people hidden as the site's file says"),
        text("event_id", "Its event_id, where it has one"),
        at("ts", "When it happened; null where it has no good time"),
        text("content", "Of duplicate and superseded rows a hash of what they say; that of the kept row makes it one"),
        text("reader", "Reader of the source", nullable=False),
        at("ingested_at", "When it was first read, by the clock of this machine", nullable=False),
    ),
    months=Dated("ts"),
)
TABLES = (USAGE_EVENTS, REJECTED_EVENTS)

EVENT_FILES = Table(
    name="event_files",
    stage="serving",
    description="Files and ranges of the sources of services, by the months that have rows of them: what a month was "
    "stored from. One that is as it was is not read again; one with merged = false waits for its month to be run.",
    key=("source_file",),
    columns=(
        text("source_file", "File, or range of a table, by the name that rows have", nullable=False),
        text("reader", "Reader of the source", nullable=False),
        text("fingerprint", "Size, time of change and reading rules: equal ones need no reading", nullable=False),
        number("rows_read", "Rows of the month in it", "rows", nullable=False),
        number("rows_rejected", "Of these, rejected on reading (not those that other rows supersede)", "rows",
               nullable=False),
        flag("merged", "The rows are stored in the month", nullable=False),
        at("read_at", "When it was read, by the clock of this machine", nullable=False),
    ),
    rules=(Rule("no more rejected than read", "rows_rejected <= rows_read", "Rows read = kept + rejected"),),
)  # fmt: skip
