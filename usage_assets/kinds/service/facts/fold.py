"""SQL that folds the events of requests into one row each: who, what, when, how it ended, and what it measured.

`single` is for requests with one event, which needs no grouping; `several` for all others. Both give the same row for
the same event, and end in `timed`, where instants that a clock running backwards gave are put right.
"""

from usage_assets.kinds.service.raw.tables import NONE, OUTCOMES

FILLED = ("user_id", "team_id", "session_id", "model_id", "provider", "input_tokens", "output_tokens", "cached_tokens",
          "error", "prompt_hash")  # fmt: skip
"""Columns that other events give where the deciding one does not."""
_OUTCOME = "event_type IN (" + ", ".join(f"'{name}'" for name in OUTCOMES) + ")"
_PRICE = "{'cost': cost, 'currency': currency, 'known': cost_known}"
_GOOD = "(event_type = 'complete' AND success IS DISTINCT FROM false)"
# a row that stands for several requests carries no times
_DURATION = "CASE WHEN requests = 1 THEN duration_s END"
_QUEUE = "CASE WHEN requests = 1 THEN queue_s END"


def _shifted(at: str, seconds: str, sign: str = "+") -> str:
    """An instant so many seconds later or earlier, to the microsecond; null where either is."""
    return f"({at} {sign} to_microseconds(round(({seconds}) * 1e6)::BIGINT))"


def _after(at: str, seconds: str, sign: str = "+") -> str:
    """An instant so many seconds later or earlier; null seconds are none."""
    return _shifted(at, f"coalesce({seconds}, 0)", sign)


_SUBMITTED = (  # of an outcome by itself
    f"CASE WHEN time_of = 'end' THEN {_after(_after('ts', _DURATION, '-'), _QUEUE, '-')} ELSE ts END"
)


def single(events: str) -> str:
    """Rows of requests, without cost, of which `events` has one event each."""
    one = f"""SELECT * EXCLUDE (duration_s), {_OUTCOME} AS has_outcome, {_GOOD} AS is_good,
    NOT ({_OUTCOME}) AS has_beginning, ({_OUTCOME})::BIGINT AS attempts, event_type AS decided,
    {_DURATION} AS stated_s, {_QUEUE} AS waited_s,
    CASE WHEN event_type = 'request' THEN ts END AS asked_at, CASE WHEN event_type = 'start' THEN ts END AS begun_at,
    CASE WHEN {_OUTCOME} THEN {_SUBMITTED} END AS earliest_at,
    cost AS stated_cost, CASE WHEN cost IS NOT NULL THEN currency END AS stated_currency
FROM {events}"""
    return _timed(f"WITH folded AS ({one})")


def several(events: str) -> str:
    """Rows of requests, without cost, of which `events` has all events, any number of each.

    `rank` orders events by time, `weight` puts the deciding one on top: the earliest good outcome, else the latest
    outcome, else (unfinished) the newest event.
    """
    newest = ", ".join(f"arg_max({name}, rank) AS other_{name}" for name in FILLED)
    filled = ", ".join(f"coalesce(d.{name}, o.other_{name}) AS {name}" for name in FILLED)
    return _timed(f"""WITH ranked AS (
    SELECT *, row_number() OVER (ORDER BY ts, event_id) AS rank FROM {events}
), weighed AS (
    SELECT *, CASE WHEN {_GOOD} THEN (1::BIGINT << 50) - rank WHEN {_OUTCOME} THEN (1::BIGINT << 40) + rank
        ELSE rank END AS weight
    FROM ranked
), others AS (
    SELECT request_id, max(weight) AS weight, count(*) FILTER (WHERE {_OUTCOME}) AS attempts,
        bool_or(NOT ({_OUTCOME})) AS has_beginning, min(ts) FILTER (WHERE event_type = 'request') AS asked_at,
        min(ts) FILTER (WHERE event_type = 'start') AS begun_at,
        min({_SUBMITTED}) FILTER (WHERE {_OUTCOME}) AS earliest_at,
        arg_max({_PRICE}, rank) FILTER (WHERE cost IS NOT NULL) AS price, {newest}
    FROM weighed GROUP BY request_id
), measured AS (
    SELECT request_id, arg_max(entry.value, weight) AS value, entry.key AS key
    FROM (SELECT request_id, rank + CASE WHEN weight = top THEN 1::BIGINT << 40 ELSE 0 END AS weight,
              unnest(map_entries(meters)) AS entry
          FROM weighed JOIN (SELECT request_id, weight AS top FROM others) USING (request_id)
          WHERE meters IS NOT NULL)
    GROUP BY request_id, entry.key
), metered AS (
    SELECT request_id, map_from_entries(list({{'k': key, 'v': value}} ORDER BY key)) AS meters
    FROM measured GROUP BY request_id
), folded AS (
    SELECT o.* EXCLUDE (weight, price), {filled}, m.meters, o.attempts > 0 AS has_outcome, d.event_id, d.ts, d.reader,
        d.requests, d.time_of, d.event_type AS decided, d.success, d.event_type = 'complete'
        AND d.success IS DISTINCT FROM false AS is_good, CASE WHEN d.requests = 1 THEN d.duration_s END AS stated_s,
        CASE WHEN d.requests = 1 THEN d.queue_s END AS waited_s,
        coalesce(d.cost, o.price.cost) AS stated_cost,
        CASE WHEN d.cost IS NOT NULL THEN d.currency ELSE o.price.currency END AS stated_currency,
        CASE WHEN d.cost IS NOT NULL THEN d.cost_known ELSE o.price.known END AS cost_known
    FROM others o JOIN weighed d USING (request_id, weight) LEFT JOIN metered m USING (request_id)
)""")


def _timed(folded: str) -> str:
    """Rows of `folded` with their instants and states."""
    ended = f"""CASE WHEN NOT has_outcome THEN NULL WHEN has_beginning OR time_of = 'end' THEN ts
        ELSE {_after(_after("ts", "waited_s"), "stated_s")} END"""
    started = f"""CASE WHEN NOT has_outcome THEN begun_at
        WHEN NOT has_beginning THEN {_after("ended", "stated_s", "-")}
        ELSE coalesce(begun_at, {_shifted("ended", "stated_s", "-")}, {_shifted("asked", "waited_s")}, asked) END"""
    return f"""{folded}, ends AS (
    SELECT *, {ended} AS ended, CASE WHEN has_beginning THEN coalesce(asked_at, begun_at) ELSE earliest_at END AS asked
    FROM folded
), starts AS (SELECT *, least({started}, ended) AS started FROM ends
), timed AS (
    SELECT * REPLACE (coalesce(user_id, '{NONE}') AS user_id, coalesce(model_id, '{NONE}') AS model_id,
            coalesce(provider, '{NONE}') AS provider),
        least(asked, started) AS submitted_at, started AS started_at, ended AS ended_at,
        CASE WHEN NOT has_outcome THEN 'unfinished' WHEN is_good THEN 'succeeded'
            WHEN decided = 'cancelled' THEN 'cancelled' ELSE 'failed' END AS final_state
    FROM starts
)
SELECT * REPLACE (CASE WHEN final_state = 'failed' THEN coalesce(error, '{NONE}') END AS error),
    CASE WHEN requests = 1 AND (has_beginning OR stated_s IS NOT NULL)
        THEN (epoch_us(ended_at) - epoch_us(started_at)) / 1e6 END AS duration_s,
    (epoch_us(started_at) - epoch_us(submitted_at)) / 1e6 AS lead_s
FROM timed WHERE date_trunc('month', coalesce(ended_at, submitted_at)) = $month"""
