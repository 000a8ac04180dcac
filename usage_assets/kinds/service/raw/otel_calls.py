"""Model calls among spans: attributes by all their spellings, and which spans are the calls that count; SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from usage_assets.kinds.service.raw.values import literal

LEAVES: Mapping[str, tuple[str, ...]] = {
    "gen_ai.operation.name": ("chat", "text_completion", "generate_content", "embeddings"),
    "llm.request.type": ("chat", "completion", "embedding"),
    "traceloop.span.kind": (),  # workflows, tasks, agents and tools: they carry the sums of their children
    "openinference.span.kind": ("LLM", "EMBEDDING"),
}
"""Attribute that says what a span is -> its values of model calls; the first attribute that a span has counts."""
BARE_LEAF = "llm_request"
"""Name of the span by which vLLM, that says no operation, tells of a call."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "model_raw": ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    "cached_tokens": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cached_tokens"),
    "queue_s": ("gen_ai.latency.time_in_queue",),
    "first_output_s": (
        "gen_ai.response.time_to_first_chunk", "gen_ai.server.ttft", "gen_ai.latency.time_to_first_token",
    ),
    "session_id": ("gen_ai.conversation.id", "session.id"),
    "user_id": ("user.id", "enduser.id", "gen_ai.user.id", "metadata.user_api_key_user_id"),
    "error": ("error.type",),
    "cost": ("gen_ai.usage.cost",),
}  # fmt: skip
"""Column -> attributes that may hold it, the first found counts."""
OF_RESOURCE = ("model_raw", "provider")
"""Columns that the resource may say for all its spans."""

_METERS: Mapping[str, tuple[str, ...]] = {
    "cache_write_input_tokens": ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    "reasoning_output_tokens": ("gen_ai.usage.reasoning.output_tokens",),
    **{
        f"{part}_{way}_tokens": (f"gen_ai.usage.{part}.{way}_tokens",)
        for way in ("input", "output")
        for part in ("text", "image", "audio", "video")
    },
}
_TOTAL = "llm.usage.total_tokens"


@dataclass(frozen=True)
class Options:
    """What the site's file says of a source. Empty `services` and `scopes` = all of them."""

    services: Sequence[str] = ()
    scopes: Sequence[str] = ()
    model: str | None = None
    provider: str | None = None
    scale: float | None = None


def is_leaf(options: Options) -> str:
    """SQL of whether a span (columns SPAN) is a model call of the source; never null."""
    cases = " ".join(
        f"WHEN {_texts('keys', 'texts', (key,))} IS NOT NULL THEN {_among(_texts('keys', 'texts', (key,)), values)}"
        for key, values in LEAVES.items()
    )
    named = [_among("service", options.services)] if options.services else []
    named += [_among("scope", options.scopes)] if options.scopes else []
    is_call = f"CASE {cases} ELSE name = {literal(BARE_LEAF)} END"
    return f"coalesce({' AND '.join(['is_readable', *named, is_call])}, false)"


def _among(value: str, wanted: Sequence[str]) -> str:
    return f"{value} IN ({', '.join(map(literal, wanted))})" if wanted else "false"


def _texts(keys: str, texts: str, names: Sequence[str]) -> str:
    found = [f"nullif({texts}[list_position({keys}, {literal(name)})], '')" for name in names]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def value(column: str, options: Options) -> str:
    """SQL of a column's text, of the span, else of its resource, else as the site's file says."""
    names = ATTRIBUTES[column]
    parts = [_texts("keys", "texts", names)]
    if column in OF_RESOURCE:
        parts.append(_texts("resource_keys", "resource_texts", names))
        said = options.model if column == "model_raw" else options.provider
        parts += [literal(said)] if said is not None else []
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"


def is_sampled() -> str:
    """SQL of whether a span says of itself that it stands for others which were not kept."""
    probability = f"TRY_CAST({_texts('keys', 'texts', ('sampling.probability', 'sampler.param'))} AS DOUBLE) < 1"
    rate = f"TRY_CAST({_texts('keys', 'texts', ('SampleRate',))} AS DOUBLE) > 1"
    threshold = "regexp_matches(trace_state, '(^|,) *ot=([^,]*;)?th:0*[1-9a-f]')"  # th:0 keeps every span
    return f"coalesce({probability}, false) OR coalesce({rate}, false) OR coalesce({threshold}, false)"


def identities(spans: str, options: Options) -> str:
    """SQL of which span is whose child, by ids in small letters, of spans with the columns SPAN that could be read."""
    return (
        f"SELECT lower(trace) AS trace, lower(span) AS span, lower(parent) AS parent, {is_leaf(options)} AS is_leaf "
        f"FROM ({spans}) WHERE is_readable"
    )


def calls(spans: str, options: Options) -> str:
    """SQL of spans (columns SPAN) in the shape MAPPED and by `identities`, with is_sampled; reasons but `nested`.

    Duration is from start to end without the queue.
    """
    exact = "(end_ns::DECIMAL(20, 0) - start_ns::DECIMAL(20, 0)) * 0.000000001::DECIMAL(9, 9)"
    queue = f"coalesce(TRY_CAST({value('queue_s', options)} AS DECIMAL(29, 9)), 0)"
    texts = {name: value(name, options) for name in ATTRIBUTES}
    columns = {
        **texts,
        "event_id": "trace || span",
        "request_id": "trace || span",
        "ts": "make_timestamp((start_ns // 1000)::BIGINT)",
        "event_type": "CASE status WHEN 'error' THEN 'failed' ELSE 'complete' END",
        "time_of": "'start'",
        "duration_s": f"({exact} - {queue})::VARCHAR",
        "error": f"CASE status WHEN 'error' THEN {texts['error']} END",
        "requests": "NULL",
        "meters": _meters(texts),
        "parameters": _parameters(),
        "reason": "CASE WHEN NOT is_readable THEN 'unreadable' WHEN NOT is_leaf THEN 'not_usage' END",
    }
    if options.scale is not None:
        columns |= _scaled(columns, options.scale)
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    return (
        f"SELECT source_row, {listed}, lower(trace) AS trace, lower(span) AS span, lower(parent) AS parent, is_leaf, "
        f"is_leaf AND ({is_sampled()}) AS is_sampled FROM (SELECT *, {is_leaf(options)} AS is_leaf FROM ({spans}))"
    )


def with_nested(calls: str, nested: str) -> str:
    """SQL of `calls` in the shape MAPPED; `nested` is a relation (trace, span) of calls inside calls that count."""
    inside = f"EXISTS (FROM {nested} n WHERE n.trace = c.trace AND n.span = c.span)"
    return (
        f"SELECT * EXCLUDE (trace, span, parent, is_leaf, is_sampled) "
        f"REPLACE (CASE WHEN reason IS NULL AND {inside} THEN 'nested' ELSE reason END AS reason) FROM {calls} c"
    )


def _scaled(columns: Mapping[str, str], scale: float) -> dict[str, str]:
    """Sums for the calls that one span of a sample stands for."""
    number = f"{scale!r}::DECIMAL(18, 6)"
    whole = {
        name: f"coalesce(round(TRY_CAST({columns[name]} AS DECIMAL(20, 0)) * {number})::DECIMAL(38, 0)::VARCHAR, "
        f"{columns[name]})"  # what is no number is left for its rejection
        for name in ("input_tokens", "output_tokens", "cached_tokens")
    }
    times = f"(TRY_CAST(m.value AS DECIMAL(20, 9)) * {number})::VARCHAR"
    return {
        **whole,
        "requests": literal(str(round(scale))),
        "cost": f"(TRY_CAST({columns['cost']} AS DECIMAL(26, 12)) * {scale!r}::DECIMAL(12, 6))::VARCHAR",
        "meters": f"map_from_entries(list_transform(map_entries({columns['meters']}), "
        f"lambda m: {{'key': m.key, 'value': {times}}}))",
    }


def _meters(texts: Mapping[str, str]) -> str:
    found = {name: _texts("keys", "texts", names) for name, names in _METERS.items()}
    total = f"CASE WHEN {texts['input_tokens']} IS NULL AND {texts['output_tokens']} IS NULL THEN "
    found["total_tokens"] = f"{total}{_texts('keys', 'texts', (_TOTAL,))} END"
    entries = ", ".join(f"{{'key': {literal(name)}, 'value': {sql}}}" for name, sql in found.items())
    return f"map_from_entries(list_filter([{entries}], lambda m: m.value IS NOT NULL))"


def _parameters() -> str:
    """What was asked of the model, as JSON: attributes of the request but its model, and never a prompt."""
    kept = (
        "list_filter(list_zip(keys, texts), lambda p: p[1] LIKE 'gen_ai.request.%' AND p[2] IS NOT NULL "
        "AND p[1] NOT IN ('gen_ai.request.model', 'gen_ai.request.id'))"
    )
    return f"CASE WHEN len({kept}) > 0 THEN to_json(map_from_entries({kept}))::VARCHAR END"


def nested(near: str, part: str) -> str:
    """SQL of the calls (trace, span) of a part that lie inside other calls of the same trace, at any distance.

    `near` is a relation (part, trace, span, parent, is_leaf) of the spans of the part and of those that its ancestors
    may be among; ids in small letters. A call whose ancestors are not there counts.
    """
    same = f"{near} p ON p.trace = u.trace AND p.span = u.parent"
    return (
        f"WITH RECURSIVE shared AS (SELECT trace FROM {near} WHERE is_leaf GROUP BY trace "
        "HAVING count(DISTINCT span) > 1), "
        f"up AS (SELECT trace, span, parent FROM {near} SEMI JOIN shared USING (trace) "
        f"WHERE part = {literal(part)} AND is_leaf AND parent IS NOT NULL "
        f"UNION SELECT u.trace, u.span, p.parent FROM up u JOIN {same} WHERE NOT p.is_leaf AND p.parent IS NOT NULL) "
        f"SELECT DISTINCT u.trace, u.span FROM up u JOIN {same} WHERE p.is_leaf AND p.span <> u.span"
    )
