"""What presets take beyond a mapping, as SQL: one line per event of nested files, sums of keys, rows of one request."""

from collections.abc import Mapping

from usage_assets.kinds.service.raw.preset import Value
from usage_assets.kinds.service.raw.values import literal

BUCKET_KEYS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
"""Keys by which results of a bucket of OpenAI's usage may be grouped."""


def sum_of_keys(details: str, prefix: str) -> str:
    """Sum of the numbers of a JSON object whose keys begin with a prefix, as text; null where there is none."""
    entries = f"map_entries(TRY_CAST(TRY_CAST({details} AS JSON) AS MAP(VARCHAR, VARCHAR)))"
    of_prefix = f"list_filter({entries}, lambda e: starts_with(e.key, {literal(prefix)}) AND e.value IS NOT NULL)"
    return f"CAST(list_sum(list_transform({of_prefix}, lambda e: CAST(e.value AS DECIMAL(38, 9)))) AS VARCHAR)"


def langfuse_tokens(value: Value) -> Mapping[str, str]:
    """Tokens of usage_details, whose keys are parts that exclude each other (and a total)."""
    details = value("usage_details")
    columns = {"input_tokens": "input", "cached_tokens": "input_cached", "output_tokens": "output"}
    return {name: sum_of_keys(details, prefix) for name, prefix in columns.items()}


def open_webui_outcome(value: Value) -> Mapping[str, str]:
    """What became of a message: not done, failed with an error, or complete."""
    is_done = f"lower({value('done')}) NOT IN ('false', '0')"
    has_error = f"coalesce({value('error')}, 'null') NOT IN ('null', 'false', '{{}}')"
    return {
        "event_type": f"CASE WHEN NOT coalesce({is_done}, true) THEN 'request' WHEN {has_error} THEN 'failed' "
        "ELSE 'complete' END"
    }


def bedrock_outcome(value: Value) -> Mapping[str, str]:
    """Failed where there is a code of an error."""
    return {"event_type": f"CASE WHEN {value('errorCode')} IS NOT NULL THEN 'failed' ELSE 'complete' END"}


def _chunks(value: Value) -> str:
    return f"PARTITION BY coalesce({value('CorrelationId')}, {value('RequestId')})"


def apim_tokens(value: Value) -> Mapping[str, str]:
    """Tokens of a request, whichever of its rows has them."""
    columns = {"input_tokens": "PromptTokens", "output_tokens": "CompletionTokens"}
    return {
        name: f"coalesce(CAST(max(TRY_CAST({value(column)} AS BIGINT)) OVER ({_chunks(value)}) AS VARCHAR), "
        f"{value(column)})"
        for name, column in columns.items()
    }


def apim_reason(value: Value) -> str:
    """A later part of a message that was split is no request."""
    order = f"TRY_CAST({value('SequenceNumber')} AS BIGINT) NULLS FIRST"
    named = f"coalesce({value('CorrelationId')}, {value('RequestId')}) IS NOT NULL"
    return f"CASE WHEN {named} AND row_number() OVER ({_chunks(value)} ORDER BY {order}) > 1 THEN 'not_usage' END"


def openai_id(value: Value) -> Mapping[str, str]:
    """Hash of the bucket and its keys: what a later answer says of the same bucket takes its place."""
    keys = ["object", "start_time", "end_time", *BUCKET_KEYS]
    parts = ", ".join(f"coalesce({value(key)}, '')" for key in keys)
    return {"event_id": f"md5(to_json([{parts}])::VARCHAR)"}


def openai_reason(value: Value) -> str:
    """Costs, and what is counted otherwise than by requests, are no requests."""
    return f"CASE WHEN {value('num_model_requests')} IS NULL THEN 'not_usage' END"


def openai_lines(lines: str) -> str:
    """A line per result of a bucket, with the bucket's times; `lines` are answers, or buckets, one a line."""
    buckets = (
        "CASE WHEN json_type(j, '$.data') = 'ARRAY' THEN json_extract(j, '$.data[*]') "
        "WHEN json_type(j, '$.results') = 'ARRAY' THEN [j] ELSE [CAST(NULL AS JSON)] END"
    )
    times = "json_object('start_time', b->'$.start_time', 'end_time', b->'$.end_time')"
    results = (
        "CASE WHEN json_type(b, '$.results') = 'ARRAY' THEN json_extract(b, '$.results[*]') "
        "ELSE [CAST(NULL AS JSON)] END"
    )
    return (
        f"SELECT CASE WHEN b IS NULL THEN line ELSE json_merge_patch({times}, r)::VARCHAR END AS line FROM "
        f"(SELECT line, b, unnest({results}) AS r FROM (SELECT line, unnest({buckets}) AS b FROM "
        f"(SELECT line, TRY_CAST(line AS JSON) AS j FROM ({lines}))))"
    )


_MODEL_INPUTS = ("ckpt_name", "unet_name", "model_name")
_ENDS = ("execution_success", "execution_error", "execution_interrupted")


def comfyui_lines(lines: str) -> str:
    """A line per prompt of a history: its times, outcome, model and images; `lines` are histories, one a line."""
    ended = f"coalesce({', '.join(_message(name, 'timestamp') for name in _ENDS)})"
    outcome = (
        f"CASE WHEN {_message('execution_interrupted', 'prompt_id')} IS NOT NULL THEN 'cancelled' "
        "WHEN p->>'$.status.status_str' = 'success' THEN 'complete' "
        "WHEN p->>'$.status.status_str' = 'error' THEN 'failed' ELSE 'request' END"
    )
    inputs = ", ".join(f"i->>'$.{name}'" for name in _MODEL_INPUTS)
    named = f"[coalesce({inputs}) FOR i IN json_extract(p, '$.prompt[2].*.inputs')]"
    model = f"list_filter({named}, lambda m: m IS NOT NULL)[1]"
    parts = {
        "id": "k",
        "started": _message("execution_start", "timestamp"),
        "ended": ended,
        "outcome": outcome,
        "error": _message("execution_error", "exception_type"),
        "model": model,
        "client_id": "p->>'$.prompt[3].client_id'",
        "images": "len(json_extract(p, '$.outputs.*.images[*]'))",
    }
    made = ", ".join(f"{literal(name)}, {sql}" for name, sql in parts.items())
    keys = "CASE WHEN json_type(j) = 'OBJECT' THEN json_keys(j) ELSE [CAST(NULL AS VARCHAR)] END"
    entry = "json_extract(j, '$.\"' || replace(k, '\"', '\\\"') || '\"')"
    return (
        f"SELECT CASE WHEN json_type(p, '$.prompt') = 'ARRAY' THEN json_object({made})::VARCHAR ELSE line END AS line "
        f"FROM (SELECT line, k, {entry} AS p FROM (SELECT line, j, unnest({keys}) AS k FROM "
        f"(SELECT line, TRY_CAST(line AS JSON) AS j FROM ({lines}))))"
    )


def _message(name: str, key: str) -> str:
    """A part of the last message of a name among those of a prompt."""
    messages = "json_extract(p, '$.status.messages[*]')"
    return f"([m->'$[1]'->>'$.{key}' FOR m IN {messages} IF m->>'$[0]' = '{name}'])[-1]"
