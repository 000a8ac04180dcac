"""Tables of facts of a service: requests, residency of models, and the inventory of models."""

from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.schema import Column, Rule, Table, Type, at, money, number, real, text

STATES = ("succeeded", "failed", "cancelled", "unfinished")
COST_SOURCES = ("stated", "rated", "unrated", "unconverted")

SERVICE_REQUESTS = Table(
    name="service_requests",
    stage="facts",
    description="One row per request, in the month in which it ended (was submitted, while it is unfinished).",
    key=("request_id",),
    columns=(
        text("request_id", "The request; of an event that names none its event_id", nullable=False),
        text("user_id", f"Who asked; {NONE} where not known", nullable=False, personal=True),
        text("team_id", "For which team"),
        text("session_id", "Session that it belongs to"),
        text("model_id", f"Model; {NONE} where not known", nullable=False),
        text("provider", f"Who ran the model; {NONE} where not known", nullable=False),
        at("submitted_at", "When it was asked for", nullable=False),
        at("started_at", "When it began to be answered"),
        at("ended_at", "When it ended; null while unfinished"),
        text("final_state", ", ".join(STATES), nullable=False),
        number("requests", "Requests that the row stands for; above 1 a sum without times", "requests", nullable=False),
        number("attempts", "Outcomes that its events tell of", "attempts", nullable=False),
        number("input_tokens", "Tokens put in, those from a cache included", "tokens"),
        number("output_tokens", "Tokens given out", "tokens"),
        number("cached_tokens", "Tokens put in that a cache had", "tokens"),
        Column("meters", Type.AMOUNTS, "Any other measured quantity by its name", "per name"),
        money("stated_cost", "Cost as the source states it", "stated_currency"),
        text("stated_currency", "Currency of stated_cost"),
        money("cost", "Cost; null = not known", "the site's currency"),
        text("cost_source", ", ".join(COST_SOURCES), nullable=False),
        real("duration_s", "From start to end; null where not known", "s"),
        real("lead_s", "From submission to start", "s"),
        text("error", f"Class or short text of the error, of failed requests only; {NONE} where missing"),
        text("prompt_hash", "Hash of the prompt"),
        text("event_id", "The deciding event", nullable=False),
        text("reader", "Reader of the deciding event", nullable=False),
    ),
    rules=(
        Rule("lies in its month", "coalesce(ended_at, submitted_at) >= month AND coalesce(ended_at, submitted_at) < "
             "month + INTERVAL 1 MONTH", "A request lies in one month only"),
        Rule("state is known", "final_state IN (" + ", ".join(f"'{state}'" for state in STATES) + ")", "A closed list"),
        Rule("times are in order", "submitted_at <= started_at AND started_at <= ended_at", "Clocks are put right"),
        Rule("nothing is negative", "duration_s >= 0 AND lead_s >= 0 AND input_tokens >= 0 AND output_tokens >= 0 "
             "AND cached_tokens >= 0 AND cost >= 0", "Nothing takes less than nothing"),
        Rule("cost has its source", "cost_source IN (" + ", ".join(f"'{name}'" for name in COST_SOURCES) + ") AND "
             "(cost IS NULL) = (cost_source IN ('unrated', 'unconverted'))", "An unknown cost is null, never 0"),
    ),
)  # fmt: skip

MODEL_RESIDENCY = Table(
    name="model_residency",
    stage="facts",
    description="When each model was loaded: from model_load to model_unload, as known at the month's end. In every "
    "month that it touches. A model that is loaded again while it is loaded stays so since the first time; an unload "
    "of one that is not loaded says nothing.",
    key=("model_id", "loaded_at"),
    columns=(
        text("model_id", "Model", nullable=False),
        at("loaded_at", "When it was loaded", nullable=False),
        at("unloaded_at", "When it was unloaded; null = still loaded at the month's end"),
        number("bytes", "Its size, where an event or the inventory says it", "bytes"),
        text("provider", "Where it is loaded"),
        text("reader", "Reader of the event that loaded it", nullable=False),
    ),
    rules=(Rule("ends after it began", "unloaded_at >= loaded_at", "Clocks are put right"),),
)

MODEL_INVENTORY = Table(
    name="model_inventory",
    stage="facts",
    description="Models that the site has, by the site's inventory file: also those that nobody uses. In every month "
    "that a row's validity touches.",
    key=("model_id", "valid_from"),
    columns=(
        text("model_id", "Model", nullable=False),
        at("valid_from", "Since when it is there", nullable=False),
        at("valid_to", "Until when; null = still there"),
        number("size_bytes", "Its size", "bytes"),
        text("provider", "Who runs it"),
        text("location", "Where it lies"),
    ),
)
