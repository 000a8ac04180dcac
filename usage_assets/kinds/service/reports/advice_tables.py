"""Tables of profiles of models, recommendations, what people decided on them, and what followed."""

from usage_assets.schema import Rule, Table, at, flag, number, real, text

TRENDS = ("rising", "falling", "flat", "unknown")
AVAILABILITIES = ("high", "medium", "low")
KINDS = ("cleanup", "preload", "performance")
PRIORITIES = ("high", "medium", "low")
DECISIONS = ("accepted", "dismissed")
STATUSES = ("open", *DECISIONS, "expired")
RESULTS = ("holds", "no longer", "model gone", "not known")


def _listed(column: str, values: tuple[str, ...]) -> Rule:
    names = ", ".join(f"'{value}'" for value in values)
    return Rule(f"{column} is known", f"{column} IN ({names})", "A closed list")


_AS_OF = at("as_of", "End of the month; of the running month when it was read at its sources", nullable=False)
_MODEL = text("model_id", "Model", nullable=False)
_RULE = (
    text("kind", ", ".join(KINDS), nullable=False),
    _MODEL,
    text("rule", "The rule that holds", nullable=False),
)

MODEL_PROFILES = Table(
    name="model_profiles",
    stage="reports",
    description="How each model was used in the days before an instant: a row per model that was ever used or is in "
    "the inventory, and per length of the window. Requests are in a window by the instant at which they ended (were "
    "submitted, while unfinished).",
    key=("model_id", "window_days"),
    columns=(
        _MODEL,
        _AS_OF,
        number("window_days", "Length of the window that ends at as_of", "days", nullable=False),
        number("requests", "Requests in the window", "requests", nullable=False),
        number("succeeded", "Of these, succeeded", "requests", nullable=False),
        number("failed", "Of these, failed", "requests", nullable=False),
        real("uses_per_day", "Requests in the window by the days since the model was first used, at least 1 day",
             "requests per day", nullable=False),
        real("success_rate", "succeeded / (succeeded + failed); null without any"),
        real("mean_s", "Mean duration of succeeded requests that have one", "s"),
        real("p50_s", "Their median duration, interpolated", "s"),
        real("p95_s", "95th percentile of their duration", "s"),
        real("cv", "Standard deviation of their duration by its mean; null under 2 or for a mean of 0"),
        at("first_used", "First submission ever; null where it was never asked"),
        at("last_used", "Latest end before as_of, ever"),
        real("days_since_use", "Days from last_used to as_of, with their fraction", "days"),
        text("trend", "Requests of the last 7 days against the 7 before: " + ", ".join(TRENDS), nullable=False),
        number("last_week", "Requests of the last 7 days", "requests", nullable=False),
        number("week_before", "Requests of the 7 days before", "requests", nullable=False),
        text("peak_hours", "Hours of submission in reporting_tz with at least 80 % of the busiest one's requests, as a "
             "JSON list; empty under 50 requests", nullable=False),
        at("next_use", "Last submission in the window and the median gap between submissions; null under 5 gaps"),
        text("availability", "high above 1 use a day, medium above 0.1, else low", nullable=False),
        flag("in_inventory", "The inventory has it at as_of", nullable=False),
        at("inventory_since", "Since when it has it without a gap"),
        number("bytes", "Its size by the inventory", "bytes"),
    ),
    rules=(
        _listed("trend", TRENDS),
        _listed("availability", AVAILABILITIES),
        Rule("used before as_of", "last_used < as_of", "Nothing later is known"),
    ),
)  # fmt: skip

RECOMMENDATIONS = Table(
    name="recommendations",
    stage="reports",
    description="Advice on models at the end of a month: a row per rule that holds. It is only told; nothing acts on "
    "it.",
    key=("kind", "model_id", "rule"),
    columns=(
        _AS_OF,
        *_RULE,
        text("priority", ", ".join(PRIORITIES), nullable=False),
        real("confidence", "Of this rule, 0 to 1, 3 decimals", nullable=False),
        real("combined_confidence", "Of all rules of the kind that hold for the model, 3 decimals", nullable=False),
        text("reason", "Why, in a sentence with its numbers", nullable=False),
        text("evidence", "Every input of the rule, as JSON", nullable=False),
        number("bytes", "Size of the model by the inventory", "bytes"),
        text("expected_effect", "What following it is expected to bring", nullable=False),
        text("status", "; ".join((*STATUSES[:3], "expired = a later month has advice of its own")), nullable=False),
    ),
    rules=(
        _listed("kind", KINDS),
        _listed("priority", PRIORITIES),
        _listed("status", STATUSES),
        Rule("confidence is a share", "confidence BETWEEN 0 AND 1 AND combined_confidence BETWEEN confidence - 0.0005 "
             "AND 1", "More rules that hold make it no smaller"),
    ),
)  # fmt: skip

RECOMMENDATION_DECISIONS = Table(
    name="recommendation_decisions",
    stage="reports",
    description="What people decided on recommendations. Building a month again changes nothing here.",
    key=("kind", "model_id", "rule"),
    columns=(
        *_RULE,
        text("status", ", ".join(DECISIONS), nullable=False),
        text("who", "Who decided", personal=True),
        text("note", "What they noted"),
        at("decided_at", "When, by the clock of this machine", nullable=False),
    ),
    rules=(_listed("status", DECISIONS),),
)

RECOMMENDATION_OUTCOMES = Table(
    name="recommendation_outcomes",
    stage="reports",
    description="What followed a recommendation: its model in the month after. Empty until that month is built.",
    key=("kind", "model_id", "rule"),
    columns=(
        _AS_OF,
        *_RULE,
        text("status", "Status of the recommendation", nullable=False),
        real("confidence", "Confidence of the rule", nullable=False),
        at("followed_at", "as_of of the profile that it is compared with", nullable=False),
        text("result", "Whether the rule holds in the profile that followed: " + ", ".join(RESULTS), nullable=False),
        real("uses_per_day_before", "Uses per day at the recommendation", "requests per day"),
        real("uses_per_day_after", "Uses per day in what followed", "requests per day"),
        real("success_rate_before", "Success rate at the recommendation"),
        real("success_rate_after", "Success rate in what followed"),
        real("mean_s_before", "Mean duration at the recommendation", "s"),
        real("mean_s_after", "Mean duration in what followed", "s"),
    ),
    rules=(_listed("result", RESULTS),),
)
ADVICE_TABLES = (MODEL_PROFILES, RECOMMENDATIONS, RECOMMENDATION_DECISIONS, RECOMMENDATION_OUTCOMES)
