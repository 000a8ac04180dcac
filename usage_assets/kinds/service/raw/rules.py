"""What makes a row of a source an event: its values as typed columns, and the first rule that it breaks.

SQL of one projection per row, in the order of the rules: unreadable (said by the reader), bad_time, unknown_event_type,
bad_number, negative. A time that can't be is cleared, and the event kept.
"""

from collections.abc import Collection

from usage_assets.kinds.service.raw.reader import MAPPED, TEXTS
from usage_assets.kinds.service.raw.tables import CONTENT
from usage_assets.kinds.service.raw.values import literal, replaced
from usage_assets.kinds.service.site.model import ServiceSite

LATEST = "2100-01-01"
"""No event lies beyond it."""
_NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_COUNTS = ("requests", "input_tokens", "output_tokens", "cached_tokens")
_DURATIONS = ("duration_s", "queue_s", "first_output_s")
_PROMPTS = (
    "prompt", "prompts", "negative_prompt", "messages", "message", "input", "inputs", "input_text", "text", "texts",
    "content", "contents", "system", "system_prompt", "instructions", "query", "documents", "response", "output",
    "completion", "choices",
)  # fmt: skip
"""Keys of parameters that hold what people wrote, or the answer."""
_ANY_PROMPT = r'"(' + "|".join(_PROMPTS) + r')"\s*:'
_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")
STAGED = (
    "event_id", "ts", *(column.name for column in CONTENT),
    "source_row", "id_hash", "reason", "cleared", "row",
)  # fmt: skip


def judged(site: ServiceSite, rows: str, columns: Collection[str], *, time_of: str) -> str:
    """SQL of the typed columns of MAPPED rows, with `reason`; `columns` are those that the reader gives.

    Columns STAGED: those of raw.usage_events but provenance; id_hash of a row without an event_id; cleared = a time was
    cleared; row = the mapped columns as JSON, of rows with either.
    """
    # a null that a reader gives for all rows has no type of its own
    given = {name: f'"{name}"' if name in columns else "NULL" for name in MAPPED}
    mapped = ", ".join(f'CAST({given[name]} AS {kind}) AS "{name}"' for name, kind in MAPPED.items())
    texts = ", ".join(f"nullif({name}, '') AS {name}" for name in TEXTS if name != "parameters")
    counts = ", ".join(f"{_whole(name)} AS n_{name}" for name in _COUNTS)
    times = ", ".join(f"{_duration(name)} AS n_{name}" for name in _DURATIONS)
    typed = (
        f"SELECT source_row, identity, reason AS found, cost_known, "
        f"CASE WHEN cardinality(meters) > 0 THEN meters END AS meters, {texts}, {_parameters(site)} AS parameters, "
        f"{', '.join(_raw(name) for name in (*_COUNTS, *_DURATIONS, 'cost', 'success'))}, {counts}, {times}, "
        f"{_money('cost')} AS n_cost, {_success()} AS n_success, {_meters()} AS n_meters, "
        f"{_prompt_hash()} AS n_prompt_hash, "
        f"CASE WHEN ts >= TIMESTAMP '{site.first_month}' AND ts < TIMESTAMP '{LATEST}' THEN ts END AS ts "
        f"FROM (SELECT {mapped} FROM ({rows}))"
    )
    limit = f"{site.max_request_hours * 3600}::DOUBLE"
    odd = {name: f"(NOT isfinite(n_{name}) OR n_{name} < 0 OR n_{name} > {limit})" for name in _DURATIONS}
    is_sum = "coalesce(n_requests, 1) > 1"
    cleared = " OR ".join(f"coalesce({condition}, false)" for condition in odd.values())
    kept_times = ", ".join(f"CASE WHEN NOT {odd[name]} AND NOT {is_sum} THEN n_{name} END AS {name}" for name in odd)
    reasoned = f"SELECT *, coalesce(found, {_reason(site)}) AS reason, {cleared} AS cleared FROM ({typed})"
    return (
        "SELECT event_id, ts, user_id, team_id, session_id, request_id, "
        f"{replaced('coalesce(model_id, model_raw)', site.aliases)} AS model_id, "
        "coalesce(model_raw, model_id) AS model_raw, provider, event_type, "
        "coalesce(n_requests, 1) AS requests, n_input_tokens AS input_tokens, "
        "n_output_tokens AS output_tokens, n_cached_tokens AS cached_tokens, "
        "CASE WHEN cardinality(n_meters) > 0 THEN n_meters END AS meters, n_cost AS cost, "
        f"currency, cost_known, {kept_times}, n_success AS success, error, parameters, n_prompt_hash AS prompt_hash, "
        f"CASE WHEN time_of IN ('start', 'end') THEN time_of ELSE {literal(time_of)} END AS time_of, source_row, "
        f"CASE WHEN event_id IS NULL THEN md5(coalesce(identity, {_json()})) END AS id_hash, reason, cleared, "
        f"CASE WHEN reason IS NOT NULL OR cleared THEN nullif({_json()}, '{{}}') END AS row FROM ({reasoned})"
    )


def _raw(name: str) -> str:
    return f"nullif({name}, '') AS {name}"


def _reason(site: ServiceSite) -> str:
    types = ", ".join(map(literal, site.event_types))
    no_numbers = [f"({name} IS NOT NULL AND n_{name} IS NULL)" for name in (*_COUNTS, *_DURATIONS, "cost")]
    no_numbers.append("(meters IS NOT NULL AND n_meters IS NULL)")
    negative = [f"coalesce(n_{name} < 0, false)" for name in (*_COUNTS[1:], "cost")]
    negative += [
        "coalesce(n_requests < 1, false)",
        "coalesce(len(list_filter(map_values(n_meters), lambda x: x < 0)) > 0, false)",
    ]
    return (
        f"CASE WHEN ts IS NULL THEN 'bad_time' WHEN event_type IS NULL OR event_type NOT IN ({types}) THEN "
        f"'unknown_event_type' WHEN {' OR '.join(no_numbers)} THEN 'bad_number' WHEN {' OR '.join(negative)} THEN "
        "'negative' END"
    )


def _whole(name: str) -> str:
    """A whole number; null of a text that is none, or has a fraction."""
    exact = f"TRY_CAST({name} AS DECIMAL(38, 18))"
    return (
        f"CASE WHEN regexp_full_match({name}, '\\d{{1,18}}') THEN CAST({name} AS BIGINT) "
        f"WHEN regexp_full_match({name}, {literal(_NUMBER)}) AND {exact} = floor({exact}) "
        f"THEN TRY_CAST({exact} AS BIGINT) END"
    )


def _duration(name: str) -> str:
    """A number of seconds, also one that is not finite; null of a text that is no number."""
    return (
        f"CASE WHEN contains({name}, '_') THEN NULL ELSE coalesce(TRY_CAST({name} AS DOUBLE), "
        f"CASE WHEN regexp_full_match({name}, {literal(_NUMBER)}) THEN 'inf'::DOUBLE END) END"
    )


def _money(name: str) -> str:
    """An exact amount; rounded half even where the text has more than 12 decimals, as SQL's own cast rounds half up."""
    amount, fine = f"TRY_CAST({name} AS DECIMAL(38, 12))", f"TRY_CAST({name} AS DECIMAL(38, 24))"
    step = "0.000000000001::DECIMAL(38, 12)"
    is_tie = f"TRY(abs({amount} - {fine}) = 0.0000000000005::DECIMAL(38, 24))"
    is_odd = f"TRY(({amount} * 1000000000000::DECIMAL(13, 0))::HUGEINT % 2 <> 0)"
    is_fine = f"(length({name}) - strpos({name}, '.') > 12 OR contains(lower({name}), 'e'))"
    tie = f"{amount} - CASE WHEN {fine} < 0 THEN -{step} ELSE {step} END"
    return (
        f"CASE WHEN NOT regexp_full_match({name}, {literal(_NUMBER)}) THEN NULL WHEN {is_fine} AND {is_tie} "
        f"AND {is_odd} THEN {tie} ELSE {amount} END"
    )


def _success() -> str:
    true, false = (", ".join(map(literal, words)) for words in (_TRUE, _FALSE))
    return f"CASE WHEN lower(success) IN ({true}) THEN true WHEN lower(success) IN ({false}) THEN false END"


def _meters() -> str:
    """Quantities by name, those without a value left out; null where one is no number, or a name stands twice."""
    entries = "list_filter(map_entries(meters), lambda e: nullif(e.value, '') IS NOT NULL)"
    amount = "TRY_CAST(e.value AS DECIMAL(38, 9))"
    good = (
        f"len(list_filter({entries}, lambda e: {amount} IS NULL OR contains(e.value, '_'))) = 0 "
        "AND len(list_distinct(map_keys(meters))) = len(map_keys(meters))"
    )
    made = f"map_from_entries(list_transform({entries}, lambda e: struct_pack(k := e.key, v := {amount})))"
    return f"CASE WHEN meters IS NOT NULL AND {good} THEN {made} END"


def _parameters(site: ServiceSite) -> str:
    """Parameters as JSON without prompts, unless the site keeps them; null where prompts lie deeper in them."""
    good = "CASE WHEN json_valid(parameters) THEN parameters ELSE to_json(parameters)::VARCHAR END"
    if site.keep_prompts:
        kept = f"json_merge_patch(coalesce({good}, '{{}}'), json_object('prompt', prompt))"
        return f"CASE WHEN prompt IS NOT NULL THEN {kept} WHEN nullif(parameters, '') IS NOT NULL THEN {good} END"
    dropped = literal("{" + ", ".join(f'"{key}": null' for key in _PROMPTS) + "}")
    is_object = "json_valid(parameters) AND json_type(CASE WHEN json_valid(parameters) THEN parameters END) = 'OBJECT'"
    clean = f"json_merge_patch(parameters, {dropped})::VARCHAR"
    return (
        f"CASE WHEN nullif(parameters, '') IS NULL THEN NULL WHEN NOT ({is_object}) THEN NULL "
        f"WHEN NOT regexp_matches(parameters, {literal(_ANY_PROMPT)}) THEN parameters "
        f"WHEN regexp_matches({clean}, {literal(_ANY_PROMPT)}) THEN NULL ELSE {clean} END"
    )


def _prompt_hash() -> str:
    """The hash that the source gives, else that of the prompt, or of the one among the parameters."""
    among = "CASE WHEN json_valid(parameters) THEN coalesce(parameters ->> 'prompt', parameters ->> 'messages') END"
    return (
        "CASE WHEN nullif(prompt_hash, '') IS NOT NULL THEN prompt_hash WHEN nullif(prompt, '') IS NOT NULL THEN "
        f"sha256(prompt) WHEN parameters IS NOT NULL THEN sha256({among}) END"
    )


def _json() -> str:
    """The mapped columns that have a value, as JSON; prompts are not among them."""
    apart = {"prompt", "model_id", "model_raw"}
    names = [name for name in (*TEXTS, *_COUNTS, *_DURATIONS, "cost", "success") if name not in apart]
    parts = ", ".join(f"{name} := {name}" for name in ("ts", *names))
    model = "model_id := coalesce(model_id, model_raw)"
    return f"json_merge_patch('{{}}', to_json(struct_pack({parts}, {model}, meters := meters)))::VARCHAR"
