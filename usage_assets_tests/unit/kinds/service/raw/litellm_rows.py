"""A small log of a LiteLLM proxy, each row for one rule, and the events it means, worked out by hand."""

import json
from datetime import datetime
from typing import Any

COLUMNS = {
    "request_id": "TEXT NOT NULL", "call_type": "TEXT NOT NULL", "api_key": "TEXT NOT NULL DEFAULT ''",
    "spend": "DOUBLE PRECISION NOT NULL DEFAULT 0.0", "total_tokens": "INTEGER NOT NULL DEFAULT 0",
    "prompt_tokens": "INTEGER NOT NULL DEFAULT 0", "completion_tokens": "INTEGER NOT NULL DEFAULT 0",
    "startTime": "TIMESTAMP(3) NOT NULL", "endTime": "TIMESTAMP(3) NOT NULL", "completionStartTime": "TIMESTAMP(3)",
    "model": "TEXT NOT NULL DEFAULT ''", "model_id": "TEXT DEFAULT ''", "model_group": "TEXT DEFAULT ''",
    "custom_llm_provider": "TEXT DEFAULT ''", "api_base": "TEXT DEFAULT ''", "user": "TEXT DEFAULT ''",
    "metadata": "JSONB DEFAULT '{}'", "cache_hit": "TEXT DEFAULT ''", "cache_key": "TEXT DEFAULT ''",
    "request_tags": "JSONB DEFAULT '[]'", "team_id": "TEXT", "end_user": "TEXT", "session_id": "TEXT", "status": "TEXT",
    "messages": "JSONB DEFAULT '{}'", "response": "JSONB DEFAULT '{}'", "proxy_server_request": "JSONB DEFAULT '{}'",
}  # fmt: skip
"""Columns of "LiteLLM_SpendLogs" as the proxy's schema declares them."""
SECRET = "what somebody asked"


def _usage(**more: object) -> str:
    return json.dumps({"usage_object": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30, **more}})


def row(request_id: str, start: str = "10:00:00", **more: Any) -> dict[str, Any]:
    """A call of 2.5 s whose first output came after half a second, with these differences."""
    day = more.pop("day", "2026-03-05")
    return {
        "request_id": request_id, "call_type": "acompletion", "spend": 0.5, "total_tokens": 30, "prompt_tokens": 20,
        "completion_tokens": 10, "startTime": f"{day} {start}.100", "endTime": f"{day} {start[:-2]}02.600",
        "completionStartTime": f"{day} {start[:-2]}00.600", "model": "azure/small-2026", "model_group": "small",
        "custom_llm_provider": "azure", "user": "key-user", "end_user": "person", "team_id": "t1", "status": "success",
        "metadata": _usage(), "messages": json.dumps([SECRET]), "response": json.dumps({"text": SECRET}), **more,
    }  # fmt: skip


LOG: list[dict[str, Any]] = [
    row("plain"),
    row(
        "cached parts",
        "10:01:00",
        spend=1e-05,
        metadata=_usage(
            prompt_tokens_details={"cached_tokens": 7, "audio_tokens": None},
            completion_tokens_details={"reasoning_tokens": 3},
            cache_creation_input_tokens=4,
        ),
    ),
    row(
        "failed at once",
        "10:02:00",
        endTime="2026-03-05 10:02:00.100",
        completionStartTime="2026-03-05 10:02:00.100",
        status="failure",
        spend=0.0,
        total_tokens=0,
        prompt_tokens=0,
        completion_tokens=0,
        user="",
        metadata=json.dumps({"error_information": {"error_class": "RateLimitError", "error_code": "429"}}),
        session_id="s1",
    ),
    row("hit_cache_hit1", "10:03:00", cache_hit="True", spend=0.0, session_id="s1", completionStartTime=None),
    row("no price", "10:04:00", spend=0.0, model_group="", user=None, end_user="", session_id="random", status=None),
    row("looked up", "10:05:00", call_type="aget_responses"),
    row("batch", "10:06:00", call_type="aretrieve_batch"),
    row("batch_batch_cost", "10:07:00", call_type="aretrieve_batch", metadata="{}", team_id=None),
]


def at(minute: int) -> datetime:
    """When the row of a minute began."""
    return datetime(2026, 3, 5, 10, minute, 0, 100_000)


_CALL: dict[str, Any] = {
    "event_type": "complete", "user_id": "key-user", "team_id": "t1", "session_id": None, "model_id": "small",
    "model_raw": "azure/small-2026", "provider": "azure", "input_tokens": "20", "output_tokens": "10",
    "cached_tokens": None, "cost": "0.5", "cost_known": False, "currency": "USD", "duration_s": "2.500000",
    "first_output_s": "0.500000", "error": None, "reason": None, "time_of": "start", "meters": {},
}  # fmt: skip
_PARTS = {
    "cache_creation_input_tokens": "4",
    "prompt_tokens_details.cached_tokens": "7",
    "completion_tokens_details.reasoning_tokens": "3",
}
EVENTS: list[dict[str, Any]] = [
    _CALL | {"event_id": "plain", "ts": at(0)},
    _CALL | {"event_id": "cached parts", "ts": at(1), "cost": "1e-05", "cached_tokens": "7", "meters": _PARTS},
    _CALL
    | {
        "event_id": "failed at once",
        "ts": at(2),
        "event_type": "failed",
        "error": "RateLimitError",
        "user_id": "person",
        "session_id": "s1",
        "input_tokens": None,
        "output_tokens": None,
        "meters": None,
        "cost": None,
        "duration_s": None,
        "first_output_s": None,
    },
    _CALL
    | {
        "event_id": "hit_cache_hit1",
        "ts": at(3),
        "cost": "0.0",
        "cost_known": True,
        "session_id": "s1",
        "first_output_s": None,
    },
    _CALL | {"event_id": "no price", "ts": at(4), "cost": None, "model_id": "azure/small-2026", "user_id": None},
    _CALL | {"event_id": "looked up", "ts": at(5), "reason": "not_usage"},
    _CALL | {"event_id": "batch", "ts": at(6), "reason": "not_usage"},
    _CALL | {"event_id": "batch_batch_cost", "ts": at(7), "team_id": None},
]
"""What LOG means, a dict per row, by the columns that say something."""

SUMS_COLUMNS = {
    "id": "TEXT NOT NULL", "user_id": "TEXT", "date": "TEXT NOT NULL", "api_key": "TEXT NOT NULL", "model": "TEXT",
    "model_group": "TEXT", "custom_llm_provider": "TEXT", "prompt_tokens": "BIGINT NOT NULL DEFAULT 0",
    "completion_tokens": "BIGINT NOT NULL DEFAULT 0", "spend": "DOUBLE PRECISION NOT NULL DEFAULT 0.0",
    "api_requests": "BIGINT NOT NULL DEFAULT 0", "successful_requests": "BIGINT NOT NULL DEFAULT 0",
    "failed_requests": "BIGINT NOT NULL DEFAULT 0",
}  # fmt: skip
"""Columns of "LiteLLM_DailyUserSpend"."""


def day_sum(id_: str, day: str, **more: Any) -> dict[str, Any]:
    """A rolled-up row of a user and model."""
    return {
        "id": id_, "user_id": "key-user", "date": day, "api_key": "k", "model": "azure/small-2026",
        "model_group": "small", "custom_llm_provider": "azure", "prompt_tokens": 200, "completion_tokens": 100,
        "spend": 2.5, "api_requests": 4, "successful_requests": 3, "failed_requests": 1, **more,
    }  # fmt: skip
