"""Each preset on a small file of its format's shape, its events worked out by hand."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from usage_assets.kinds.service.raw.presets import PRESETS
from usage_assets.kinds.service.raw.records import RecordsReader
from usage_assets.kinds.service.raw.rules import judged
from usage_assets.kinds.service.site.model import ServiceSite

Rows = list[dict[str, Any]]


def events(path: Path, preset: str, *, first_month: str = "2023-01", **more: Any) -> Rows:
    """What a file means by a preset: columns with a value, without provenance, and what rejected rows say."""
    of_site = {name: more.pop(name) for name in ("timezone",) if name in more}
    source = {"reader": "records", "path": str(path), "preset": preset, **more}
    said = {
        "kind": "service",
        "key": "here",
        "name": "Here",
        "first_month": first_month,
        "sources": [source],
        **of_site,
    }
    site = ServiceSite.model_validate(said)
    reader = RecordsReader(site, site.sources[0])  # type: ignore[arg-type]
    con = duckdb.connect()
    (part,) = reader.parts([])
    with reader.rows(con, part) as rows:
        columns = con.sql(f"SELECT * FROM ({rows}) LIMIT 0").columns
        found = con.sql(judged(site, rows, columns, time_of=reader.time_of)).pl().to_dicts()
    hidden = {"model_raw", "row", "id_hash", "source_row", "cost_known", "cleared", "requests"}
    return [
        {name: value for name, value in row.items() if value is not None and name not in hidden}
        | ({"requests": row["requests"]} if row["requests"] != 1 else {})
        for row in found
        if row["reason"] != "blank"
    ]


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def at(second: int = 0, microsecond: int = 0) -> datetime:
    """An instant within a minute of 2026-03-05 10:00."""
    return datetime(2026, 3, 5, 10, 0, second, microsecond)


def test_the_presets_are_those_that_are_documented():
    assert set(PRESETS) == {
        "langfuse", "open_webui", "bedrock", "azure_apim", "openai_usage", "comfyui", "ollama", "alibaba_lora",
        "azure_2023", "mooncake",
    }  # fmt: skip


# --- langfuse --------------------------------------------------------------------------------------------------------

GENERATION = {
    "id": "o1", "trace_id": "t1", "type": "GENERATION", "start_time": "2026-03-05 10:00:00.250000",
    "end_time": "2026-03-05 10:00:02.500000", "completion_start_time": "2026-03-05 10:00:00.750000", "user_id": "u1",
    "session_id": "s1", "provided_model_name": "small", "level": "DEFAULT", "status_message": "",
    "usage_details": {"input": 100, "input_cached_tokens": 30, "output": 20, "output_reasoning_tokens": 5,
                      "total": 155},
    "total_cost": 0.000123456789,
}  # fmt: skip
OBSERVED = {
    "event_id": "o1", "ts": at(0, 250_000), "user_id": "u1", "session_id": "s1", "model_id": "small",
    "event_type": "complete", "input_tokens": 130, "cached_tokens": 30, "output_tokens": 25,
    "cost": Decimal("0.000123456789"), "currency": "USD", "duration_s": 2.25, "first_output_s": 0.5, "time_of": "start",
}  # fmt: skip


def test_generations_of_langfuse_sum_the_parts_of_their_tokens(tmp_path):
    failed = GENERATION | {
        "id": "o2", "level": "ERROR", "status_message": "RateLimit", "end_time": None, "completion_start_time": None,
        "usage_details": {}, "total_cost": None, "type": "EMBEDDING",
    }  # fmt: skip
    agent = GENERATION | {"id": "o3", "type": "AGENT"}
    found = events(lines(tmp_path / "a.jsonl", [GENERATION, failed, agent]), "langfuse")
    assert found == [
        OBSERVED,
        {
            "event_id": "o2", "ts": at(0, 250_000), "user_id": "u1", "session_id": "s1", "model_id": "small",
            "event_type": "failed", "error": "RateLimit", "currency": "USD", "time_of": "start",
        },
        OBSERVED | {"event_id": "o3", "reason": "not_usage"},
    ]  # fmt: skip


def test_langfuse_gives_the_same_from_csv_and_parquet(tmp_path):
    con = duckdb.connect()
    source = lines(tmp_path / "a.jsonl", [GENERATION])
    con.execute(
        f"CREATE TABLE a AS SELECT * REPLACE (MAP {{'input': 100, 'input_cached_tokens': 30, 'output': 20, "
        "'output_reasoning_tokens': 5, 'total': 155} AS usage_details, total_cost::DECIMAL(38, 12) AS total_cost) "
        f"FROM read_json('{source}')"
    )
    assert str(con.sql("SELECT start_time FROM a").types[0]) == "TIMESTAMP"  # typed and naive: UTC all the same
    con.execute(f"COPY a TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    con.execute(f"COPY (SELECT * REPLACE (to_json(usage_details) AS usage_details) FROM a) TO '{tmp_path / 'a.csv'}'")
    assert events(tmp_path / "a.parquet", "langfuse") == [OBSERVED]
    assert events(tmp_path / "a.csv", "langfuse") == [OBSERVED]


# --- open_webui ------------------------------------------------------------------------------------------------------

MESSAGE = {
    "id": "c1-m1", "chat_id": "c1", "user_id": "u1", "role": "assistant", "model_id": "llama3", "done": True,
    "error": None, "created_at": 1772704800, "updated_at": 1772709999, "usage": {"input_tokens": 9, "output_tokens": 4},
}  # fmt: skip
ANSWERED = {
    "event_id": "c1-m1", "ts": at(), "user_id": "u1", "session_id": "c1", "model_id": "llama3",
    "event_type": "complete", "input_tokens": 9, "output_tokens": 4, "time_of": "start",
}  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "means"),
    [
        ({"input_tokens": 9, "output_tokens": 4}, {}),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
         {"cached_tokens": 3}),
        ({"prompt_eval_count": 9, "eval_count": 4, "total_duration": 1_500_000_000}, {"duration_s": 1.5}),
        ({"prompt_n": 9, "predicted_n": 4}, {}),
    ],
)  # fmt: skip
def test_messages_of_open_webui_have_tokens_by_the_keys_of_each_back_end(tmp_path, usage, means):
    found = events(lines(tmp_path / "a.jsonl", [MESSAGE | {"usage": usage}]), "open_webui")
    assert found == [ANSWERED | means]


def test_messages_of_open_webui_by_role_state_and_unit_of_time(tmp_path):
    rows = [
        MESSAGE | {"created_at": 1772704800123},
        MESSAGE | {"role": "user"},
        MESSAGE | {"done": False},
        MESSAGE | {"error": {"content": "no connection"}},
    ]
    assert events(lines(tmp_path / "a.jsonl", rows), "open_webui") == [
        ANSWERED | {"ts": at(0, 123_000)},
        ANSWERED | {"reason": "not_usage"},
        ANSWERED | {"event_type": "request"},
        ANSWERED | {"event_type": "failed", "error": "no connection"},
    ]


# --- bedrock ---------------------------------------------------------------------------------------------------------


def test_invocations_of_bedrock_have_one_instant(tmp_path):
    converse = {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-03-05T10:00:00Z",
        "accountId": "1", "region": "us-east-1", "requestId": "r1", "operation": "Converse", "modelId": "m:0",
        "identity": {"arn": "arn:aws:iam::1:user/u1"},
        "input": {"inputTokenCount": 100, "cacheReadInputTokenCount": 30, "cacheWriteInputTokenCount": 5,
                  "inputBodyJson": {"messages": ["what somebody asked"]}},
        "output": {"outputTokenCount": 7, "outputBodyJson": {"metrics": {"latencyMs": 1250}}},
    }  # fmt: skip
    failed = {**converse, "requestId": "r2", "errorCode": "ThrottlingException", "output": {}}
    other = {"schemaType": "Other", "timestamp": "2026-03-05T10:00:01Z"}
    found = events(lines(tmp_path / "a.jsonl", [converse, failed, other]), "bedrock")
    same = {
        "event_id": "r1", "request_id": "r1", "ts": at(), "user_id": "arn:aws:iam::1:user/u1", "model_id": "m:0",
        "provider": "bedrock", "event_type": "complete", "input_tokens": 100, "cached_tokens": 30, "output_tokens": 7,
        "meters": {"cache_write_input_tokens": Decimal("5.000000000")}, "duration_s": 1.25, "time_of": "start",
    }  # fmt: skip
    lacking = ("output_tokens", "duration_s")
    assert found == [
        same,
        {name: value for name, value in same.items() if name not in lacking}
        | {"event_id": "r2", "request_id": "r2", "event_type": "failed", "error": "ThrottlingException"},
        {
            "ts": at(1), "provider": "bedrock", "event_type": "complete", "time_of": "start", "reason": "not_usage",
        },
    ]  # fmt: skip


# --- azure_apim ------------------------------------------------------------------------------------------------------


def test_parts_of_one_request_of_azure_fold_into_one_with_their_tokens(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "TimeGenerated,CorrelationId,RequestId,ModelName,DeploymentName,PromptTokens,CompletionTokens,SequenceNumber\n"
        "2026-03-05T10:00:02Z,k1,q1,gpt,dep,,,2\n"
        "2026-03-05T10:00:00Z,k1,q1,gpt,dep,,,0\n"
        "2026-03-05T10:00:01Z,k1,q1,gpt,dep,100,20,1\n"
        "2026-03-05T10:00:03Z,k2,q2,,dep,5,6,0\n"
    )
    same = {"provider": "azure", "event_type": "complete", "time_of": "start"}
    first = {"event_id": "k1", "request_id": "k1", "model_id": "gpt", "input_tokens": 100, "output_tokens": 20, **same}
    assert sorted(events(path, "azure_apim"), key=lambda row: row["ts"]) == [
        first | {"ts": at()},
        first | {"ts": at(1), "reason": "not_usage"},
        first | {"ts": at(2), "reason": "not_usage"},
        {"event_id": "k2", "request_id": "k2", "ts": at(3), "model_id": "dep", "input_tokens": 5, "output_tokens": 6,
         **same},
    ]  # fmt: skip


def test_columns_of_azures_gateway_log_that_were_joined_are_read(tmp_path):
    row = {"TimeGenerated": "2026-03-05T10:00:00Z", "CorrelationId": "k", "ModelName": "gpt", "PromptTokens": 1,
           "ApimSubscriptionId": "u1", "IsRequestSuccess": False, "TotalTime": 1500}  # fmt: skip
    (found,) = events(lines(tmp_path / "a.jsonl", [row]), "azure_apim")
    assert (found["user_id"], found["event_type"], found["duration_s"]) == ("u1", "failed", 1.5)


# --- openai_usage ----------------------------------------------------------------------------------------------------

RESULT = {
    "object": "organization.usage.completions.result", "input_tokens": 1000, "input_cached_tokens": 800,
    "output_tokens": 500, "input_audio_tokens": 0, "num_model_requests": 5, "project_id": "p1", "user_id": "u1",
    "api_key_id": None, "model": "gpt-x", "batch": None,
}  # fmt: skip


def _page(*results: Mapping[str, Any]) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": 1772704800, "end_time": 1772708400, "results": list(results)}
    empty = {"object": "bucket", "start_time": 1772708400, "end_time": 1772712000, "results": []}
    return {"object": "page", "data": [bucket, empty], "has_more": False, "next_page": None}


def test_buckets_of_openai_are_sums_by_their_keys(tmp_path):
    found = events(
        lines(tmp_path / "a.jsonl", [_page(RESULT, RESULT | {"model": "gpt-y", "num_model_requests": 1})]),
        "openai_usage",
    )
    ids = [row.pop("event_id") for row in found]
    same = {
        "ts": at(), "user_id": "u1", "team_id": "p1", "provider": "openai", "event_type": "complete",
        "input_tokens": 1000, "cached_tokens": 800, "output_tokens": 500, "time_of": "start",
        "meters": {"input_audio_tokens": Decimal("0E-9")},
    }  # fmt: skip
    assert found == [{**same, "model_id": "gpt-x", "requests": 5}, {**same, "model_id": "gpt-y"}]
    assert len(set(ids)) == 2


def test_a_bucket_that_grew_has_the_same_id_and_costs_are_no_requests(tmp_path):
    cost = {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": None}
    grown = RESULT | {"num_model_requests": 6, "output_tokens": 600}
    (one,) = events(lines(tmp_path / "a.jsonl", [_page(RESULT)]), "openai_usage")
    two, of_costs = events(lines(tmp_path / "b.jsonl", [_page(grown, cost)]), "openai_usage")
    assert (two["event_id"], two["requests"]) == (one["event_id"], 6)
    assert of_costs["reason"] == "not_usage"


def test_a_bucket_may_be_a_line_and_a_bad_line_stays_one(tmp_path):
    path = lines(tmp_path / "a.jsonl", _page(RESULT)["data"][:1])
    path.write_text(path.read_text() + "{broken\n")
    first, bad = events(path, "openai_usage")
    assert (first["requests"], bad["reason"]) == (5, "unreadable")


# --- comfyui ---------------------------------------------------------------------------------------------------------


def _prompt(*messages: list[Any], status: str | None = "success", images: int = 0) -> dict[str, Any]:
    graph = {
        "3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "what somebody asked"}},
    }
    made = [{"filename": f"{number}.png", "subfolder": "", "type": "output"} for number in range(images)]
    return {
        "prompt": [1, "p", graph, {"client_id": "browser"}, ["9"]],
        "outputs": {"9": {"images": made}} if made else {},
        "status": {"status_str": status, "completed": status == "success", "messages": list(messages)},
    }


def test_prompts_of_comfyui_by_what_their_messages_say(tmp_path):
    start = ["execution_start", {"prompt_id": "p", "timestamp": 1772704800000}]
    cached = ["execution_cached", {"nodes": [], "prompt_id": "p", "timestamp": 1772704800001}]

    def end(name: str, **more: str) -> list[Any]:
        return [f"execution_{name}", {"prompt_id": "p", "timestamp": 1772704812500, **more}]

    history = {
        "p1": _prompt(start, cached, end("success"), images=2),
        "p2": _prompt(start, end("error", exception_type="torch.OutOfMemoryError"), status="error"),
        "p3": _prompt(start, end("interrupted"), status="error"),
        "p4": _prompt(start, status=None),
    }
    found = events(lines(tmp_path / "a.jsonl", [history]), "comfyui")
    none = {"images": Decimal("0E-9")}
    same = {"ts": at(), "session_id": "browser", "model_id": "sdxl.safetensors", "time_of": "start"}
    assert found == [
        {**same, "event_id": "p1", "request_id": "p1", "event_type": "complete", "duration_s": 12.5,
         "meters": {"images": Decimal("2.000000000")}},
        {**same, "event_id": "p2", "request_id": "p2", "event_type": "failed", "duration_s": 12.5, "meters": none,
         "error": "torch.OutOfMemoryError"},
        {**same, "event_id": "p3", "request_id": "p3", "event_type": "cancelled", "duration_s": 12.5, "meters": none},
        {**same, "event_id": "p4", "request_id": "p4", "event_type": "request", "meters": none},
    ]  # fmt: skip


# --- ollama and traces -----------------------------------------------------------------------------------------------


def test_final_chunks_of_ollama_end_when_they_say(tmp_path):
    final = {
        "model": "llama3", "created_at": "2026-03-05T10:00:05.123456789Z", "done": True, "total_duration": 5043500667,
        "load_duration": 5025959, "prompt_eval_count": 26, "prompt_eval_duration": 325953000, "eval_count": 290,
        "eval_duration": 4709213000,
    }  # fmt: skip
    chunk = {"model": "llama3", "created_at": "2026-03-05T10:00:01Z", "done": False, "response": "what it says"}
    cached = {name: value for name, value in final.items() if name != "prompt_eval_count"}
    found = events(lines(tmp_path / "a.jsonl", [chunk, final, cached]), "ollama")
    same = {"model_id": "llama3", "provider": "ollama", "event_type": "complete", "time_of": "end"}
    ended = {**same, "ts": at(5, 123_456), "output_tokens": 290, "duration_s": 5.043500667}
    assert found == [{**same, "ts": at(1), "reason": "not_usage"}, {**ended, "input_tokens": 26}, ended]


def test_requests_of_alibabas_trace_have_the_sites_zone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "gmt_create,predict_status,exec_time_seconds,groupId,checkpoint_model_version_id\n"
        "2024-10-12 10:00:00,SUCCEED,12,g1,m1\n"
        "2024-10-12 10:00:01,FAILED,3,g1,\n"
        "2024-10-12 10:00:02,PENDING,,g2,m2\n"
        "2024-10-12 10:00:03,PROCESSING,,g2,m2\n"
    )

    def one(second: int, event_type: str, **more: Any) -> dict[str, Any]:
        return {"ts": datetime(2024, 10, 12, 2, 0, second), "event_type": event_type, "time_of": "start", **more}

    assert events(path, "alibaba_lora", timezone="Asia/Shanghai") == [
        one(0, "complete", duration_s=12.0, model_id="m1"),
        one(1, "failed", duration_s=3.0),
        one(2, "request", model_id="m2"),
        one(3, "request", model_id="m2"),
    ]
    assert {row["reason"] for row in events(path, "alibaba_lora")} == {"bad_time"}  # nothing says where it was so late


def test_rows_of_azures_trace_have_seven_digits(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    assert events(path, "azure_2023", timezone="UTC") == [
        {"ts": datetime(2023, 11, 16, 18, 15, 46, 680_590), "event_type": "complete", "input_tokens": 374,
         "output_tokens": 44, "time_of": "start"},
    ]  # fmt: skip


def test_rows_of_mooncakes_trace_count_from_an_origin(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"timestamp": 27482, "input_length": 6955, "output_length": 52}])
    mapping = {"ts": {"from": "timestamp", "unit": "ms", "origin": "2026-03-05 10:00:00"}}
    assert events(path, "mooncake", mapping=mapping) == [
        {"ts": at(27, 482_000), "event_type": "complete", "input_tokens": 6955, "output_tokens": 52,
         "time_of": "start"},
    ]  # fmt: skip
    assert [row["reason"] for row in events(path, "mooncake")] == ["bad_time"]  # before the site's first month
