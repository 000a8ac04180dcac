"""Rows of LiteLLM's tables in the shape MAPPED; SQL only."""

from collections.abc import Mapping
from typing import Literal

from usage_assets.schema import Column, Type
from usage_assets.schema import text as text_column
from usage_assets.sources.sql.stage import parsed
from usage_assets.specs.raw_table import Dated, RawTable

DATABASE = "litellm"
_NO_REQUEST = ("aget_responses",)
_BATCH, _BATCH_COST = "aretrieve_batch", "_batch_cost"
_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
_CURRENCY = "USD"


def _at(name: str, description: str) -> Column:
    return Column(name, Type.INSTANT, description)


SPEND_LOGS = RawTable(
    database=DATABASE,
    source="LiteLLM_SpendLogs",
    description="A row per attempt at a request that the proxy logged.",
    key=("request_id",),
    columns=(
        text_column("request_id", "Id of the provider's response, or of the call"),
        _at("startTime", "Start"),
        _at("endTime", "End"),
        _at("completionStartTime", "First output; the end where nothing was streamed"),
        text_column("call_type", "acompletion, aembedding ..."),
        Column("spend", Type.FLOAT, "Cost; 0 also where no price is known", "USD"),
        Column("total_tokens", Type.INT, "Tokens; 0 also where not known", "tokens"),
        Column("prompt_tokens", Type.INT, "Tokens put in", "tokens"),
        Column("completion_tokens", Type.INT, "Tokens given out", "tokens"),
        text_column("model", "Model as deployed"),
        text_column("model_group", "Model by its public name"),
        text_column("custom_llm_provider", "Provider"),
        text_column("user", "Internal user of the key", personal=True),
        text_column("end_user", "User that the request names", personal=True),
        text_column("team_id", "Team of the key"),
        text_column("session_id", "Trace or session that a client named; else random"),
        text_column("status", "success or failure"),
        text_column("cache_hit", "Whether a cache answered"),
        text_column("metadata", "Parts of the usage, errors, retries; JSON"),
        text_column("request_tags", "Tags; JSON"),
    ),
    months=Dated("startTime"),
    by_columns=True,
)
"""Columns that are read, and no others: messages, response and proxy_server_request hold prompts."""

DAILY_SPEND = RawTable(
    database=DATABASE,
    source="LiteLLM_DailyUserSpend",
    description="Sums per day, user, key, model and provider, that the proxy made of its log.",
    key=("id",),
    columns=(
        text_column("id", "Id of the row"),
        text_column("user_id", "Internal user of the key", personal=True),
        text_column("date", "Day in UTC"),
        text_column("model", "Model as deployed"),
        text_column("model_group", "Model by its public name"),
        text_column("custom_llm_provider", "Provider"),
        Column("prompt_tokens", Type.INT, "Tokens put in", "tokens"),
        Column("completion_tokens", Type.INT, "Tokens given out", "tokens"),
        Column("spend", Type.FLOAT, "Cost", "USD"),
        Column("api_requests", Type.INT, "Requests", "requests"),
        Column("failed_requests", Type.INT, "Of these, failed", "requests"),
    ),
    months=Dated("date"),
    optional=True,
    by_columns=True,
)
TABLES = (SPEND_LOGS, DAILY_SPEND)


def staged(raw: RawTable, name: str) -> str:
    """SQL that makes an empty table of the rows as the source has them, all text, in its order."""
    columns = ", ".join(f'"{column.name}" VARCHAR' for column in raw.columns)
    return f"CREATE OR REPLACE TEMP TABLE {name} ({columns})"


def _text(name: str) -> str:
    return f"nullif(\"{name}\", '')"


def _instant(name: str) -> str:
    return parsed(Column(name, Type.INSTANT, ""))


def _seconds(first: str, last: str) -> str:
    return f"((epoch_us({last}) - epoch_us({first}))::DECIMAL(18, 0) * 0.000001::DECIMAL(7, 6))"


def _number(name: str) -> str:
    return f'TRY_CAST("{name}" AS DECIMAL(38, 12))'


def shortest(name: str) -> str:
    """SQL of the shortest decimal text of a number that its source holds in binary."""
    return f'coalesce(CAST(TRY_CAST("{name}" AS DOUBLE) AS VARCHAR), "{name}")'


def requests(
    staged_rows: str, user_from: Literal["user", "end_user"], *, is_binary: bool = True, is_readable: str = "true"
) -> str:
    """SQL of the log's rows in the shape MAPPED; one row is one request, its time is the start.

    `user_from` says who is asked for first. `is_binary`: spend is a binary float (else its text is exact).
    `is_readable`: SQL of whether a row could be read at all.
    """
    start, end, first = _instant("startTime"), _instant("endTime"), _instant("completionStartTime")
    is_failed = "coalesce(status, '') = 'failure'"
    has_tokens = f"coalesce({_number('total_tokens')}, 0) <> 0"
    spend = shortest("spend") if is_binary else '"spend"'
    is_hit = "coalesce(lower(cache_hit), '') = 'true'"
    is_zero = f"coalesce({_number('spend')} = 0, false)"
    users = [_text("user"), _text("end_user")]
    if user_from == "end_user":
        users.reverse()
    duration, session = _seconds(start, end), _text("session_id")
    usage = "(metadata->'$.usage_object')"
    cached = (
        f"coalesce({usage}->>'$.prompt_tokens_details.cached_tokens', {usage}->>'$.cache_read_input_tokens', "
        "metadata->>'$.additional_usage_values.cache_read_input_tokens')"
    )
    columns: Mapping[str, str] = {
        "event_id": _text("request_id"),
        "request_id": _text("request_id"),
        "ts": start,
        "time_of": "'start'",
        "event_type": f"CASE WHEN {is_failed} THEN 'failed' ELSE 'complete' END",
        "error": f"CASE WHEN {is_failed} THEN nullif(metadata->>'$.error_information.error_class', '') END",
        "duration_s": f"CASE WHEN NOT ({is_failed} AND {duration} = 0) THEN {duration}::VARCHAR END",
        "first_output_s": f"CASE WHEN {first} < {end} THEN {_seconds(start, first)}::VARCHAR END",
        "user_id": f"coalesce({users[0]}, {users[1]})",
        "team_id": _text("team_id"),
        # one that only one row has is a random text: the proxy makes it where the client names no session
        "session_id": f"CASE WHEN count(*) OVER (PARTITION BY {session}) > 1 THEN {session} END",
        "model_id": f"coalesce({_text('model_group')}, {_text('model')})",
        "model_raw": _text("model"),
        "provider": _text("custom_llm_provider"),
        "input_tokens": f"CASE WHEN {has_tokens} THEN prompt_tokens END",
        "output_tokens": f"CASE WHEN {has_tokens} THEN completion_tokens END",
        "cached_tokens": f"CASE WHEN {has_tokens} THEN {cached} END",
        "cost": f"CASE WHEN NOT {is_zero} OR {is_hit} THEN {spend} END",
        "cost_known": f"{is_zero} AND {is_hit}",
        "currency": f"'{_CURRENCY}'",
        "meters": f"CASE WHEN {has_tokens} THEN {_meters(usage)} END",
        "parameters": _parameters(),
        "reason": f"CASE WHEN NOT {is_readable} THEN 'unreadable' "
        f"WHEN call_type IN ({', '.join(map(repr, _NO_REQUEST))}) OR (call_type = '{_BATCH}' "
        f"AND NOT coalesce(suffix(request_id, '{_BATCH_COST}'), false)) THEN 'not_usage' END",
    }
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    rows = (
        "SELECT * REPLACE (TRY_CAST(metadata AS JSON) AS metadata, TRY_CAST(request_tags AS JSON) AS request_tags), "
        f"row_number() OVER () AS source_row FROM {staged_rows}"
    )
    return f"SELECT source_row, {listed} FROM ({rows})"


def _meters(usage: str) -> str:
    """The parts of the usage that are numbers, by their names with a dot between those of a part of a part."""
    top = f"json_keys({usage})"
    details = [f"{usage}->'$.{name}_tokens_details'" for name in ("prompt", "completion")]
    totals = ", ".join(f"'{name}'" for name in _TOTALS)

    def numbers(of: str, keys: str, before: str, condition: str = "true") -> str:
        value = f"json_extract({of}, '$.\"' || k || '\"')"
        kept = f"json_type({value}) IN ('UBIGINT', 'BIGINT', 'HUGEINT', 'DOUBLE') AND {condition}"
        entry = f"{{'key': {before} || k, 'value': {value}->>'$'}}"
        return f"coalesce([{entry} FOR k IN {keys} IF {kept}], [])"

    lists = [numbers(f"({usage})", top, "''", f"k NOT IN ({totals})")]
    for name, of in zip(("prompt", "completion"), details, strict=True):
        lists.append(numbers(f"({of})", f"json_keys({of})", f"'{name}_tokens_details.'"))
    return f"map_from_entries(list_concat({lists[0]}, list_concat({lists[1]}, {lists[2]})))"


def _parameters() -> str:
    """The route, tags and retries of a call, as JSON; never what was asked."""
    parts = {
        "call_type": "to_json(nullif(call_type, ''))",
        "request_tags": "CASE WHEN json_array_length(request_tags) > 0 THEN request_tags END",
        "attempted_retries": "metadata->'$.attempted_retries'",
    }
    entries = ", ".join(f"{{'key': '{name}', 'value': {sql}}}" for name, sql in parts.items())
    kept = f"list_filter([{entries}], lambda p: p.value IS NOT NULL AND json_type(p.value) <> 'NULL')"
    return f"CASE WHEN len({kept}) > 0 THEN to_json(map_from_entries({kept}))::VARCHAR END"


def daily_sums(staged_rows: str) -> str:
    """SQL of rolled-up rows in the shape MAPPED: pre-summed rows, failed requests as rows of their own.

    The sums' tokens and cost stand on the row of those that did not fail, else on that of those that did.
    """
    failed = "coalesce(TRY_CAST(failed_requests AS BIGINT), 0)"
    others = f"(TRY_CAST(api_requests AS BIGINT) - {failed})"
    has_sums = "(outcome = 'complete' OR others <= 0)"
    common = {
        "ts": "TRY_CAST(date || ' 00:00:00' AS TIMESTAMP)",
        "time_of": "'start'",
        "event_id": "'daily/' || id || '/' || outcome",
        "event_type": "outcome",
        "requests": "CAST(CASE outcome WHEN 'failed' THEN failed ELSE others END AS VARCHAR)",
        "user_id": _text("user_id"),
        "model_id": f"coalesce({_text('model_group')}, {_text('model')})",
        "model_raw": _text("model"),
        "provider": _text("custom_llm_provider"),
        "input_tokens": f"CASE WHEN {has_sums} THEN prompt_tokens END",
        "output_tokens": f"CASE WHEN {has_sums} THEN completion_tokens END",
        "cost": f"CASE WHEN {has_sums} AND {_number('spend')} <> 0 THEN {shortest('spend')} END",
        "currency": f"'{_CURRENCY}'",
        "cost_known": "false",
    }
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in common.items())
    rows = (
        f"SELECT *, unnest(['complete', 'failed']) AS outcome FROM (SELECT *, {failed} AS failed, {others} AS others "
        f"FROM {staged_rows})"
    )
    return (
        f"SELECT row_number() OVER () AS source_row, {listed} FROM ({rows}) "
        "WHERE CASE outcome WHEN 'failed' THEN failed > 0 ELSE others > 0 END"
    )
