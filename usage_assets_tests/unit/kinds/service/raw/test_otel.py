"""Model calls among OpenTelemetry spans."""

import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw import otel, otel_lines
from usage_assets.kinds.service.raw.reader import PartError
from usage_assets_tests.unit.kinds.service.raw.spans import CHAT, START, events, line, reader_of, reasons, span

NOW_SPELLED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "small",
    "gen_ai.response.model": "small-2026-01-15",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 30,
    "gen_ai.usage.cache_write.input_tokens": 5,
    "gen_ai.usage.reasoning.output_tokens": 8,
    "gen_ai.usage.audio.input_tokens": 2,
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.response.id": "resp-1",
    "gen_ai.conversation.id": "c1",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.stop_sequences": ["x"],
    "gen_ai.input.messages": "what somebody asked",
    "user.id": "u1",
}
VLLM = {
    "gen_ai.request.id": "cmpl-1",
    "gen_ai.usage.prompt_tokens": 50,
    "gen_ai.usage.completion_tokens": 7,
    "gen_ai.usage.cached_tokens": 16,
    "gen_ai.latency.time_in_queue": 0.3,
    "gen_ai.latency.time_to_first_token": 0.4,
    "gen_ai.latency.e2e": 2.5,
}


def _write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


def _one(folder: Path, said: Mapping[str, object], *, source: Mapping[str, Any] | None = None, **more: Any) -> Any:
    path = _write(folder / "spans.jsonl", line([span("a", said, **more)]))
    ((one,),) = events(reader_of(path, **(source or {}))).values()
    return {name: value for name, value in one.items() if value not in (None, {})}


def test_a_span_by_the_present_conventions_is_an_event(tmp_path):
    assert _one(tmp_path, NOW_SPELLED) == {
        "source_row": 1,
        "event_id": "t1a",
        "request_id": "t1a",
        "ts": datetime(2026, 3, 5, 10, 0, 0, 123_456),
        "event_type": "complete",
        "time_of": "start",
        "provider": "openai",
        "model_raw": "small-2026-01-15",
        "input_tokens": "100",
        "output_tokens": "20",
        "cached_tokens": "30",
        "duration_s": "2.500000000",
        "first_output_s": "0.25",
        "session_id": "c1",
        "user_id": "u1",
        "meters": {"cache_write_input_tokens": "5", "reasoning_output_tokens": "8", "audio_input_tokens": "2"},
        "parameters": '{"gen_ai.request.temperature":"0.5"}',
    }


def test_a_span_of_vllm_has_no_operation_and_its_queue_is_no_duration(tmp_path):
    found = _one(tmp_path, VLLM, name="llm_request", source={"model_id": "llama", "provider": "local"})
    assert found == {
        "source_row": 1,
        "event_id": "t1a",
        "request_id": "t1a",
        "ts": datetime(2026, 3, 5, 10, 0, 0, 123_456),
        "event_type": "complete",
        "time_of": "start",
        "provider": "local",
        "model_raw": "llama",
        "input_tokens": "50",
        "output_tokens": "7",
        "cached_tokens": "16",
        "queue_s": "0.3",
        "duration_s": "2.200000000",
        "first_output_s": "0.4",
    }


@pytest.mark.parametrize(
    ("column", "spellings"),
    [
        ("provider", ["gen_ai.provider.name", "gen_ai.system"]),
        ("model_raw", ["gen_ai.response.model", "gen_ai.request.model", "llm.model_name"]),
        ("input_tokens", ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"]),
        ("output_tokens",
         ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"]),
        ("cached_tokens", ["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cached_tokens"]),
        ("first_output_s", ["gen_ai.response.time_to_first_chunk", "gen_ai.server.ttft",
                            "gen_ai.latency.time_to_first_token"]),
        ("session_id", ["gen_ai.conversation.id", "session.id"]),
        ("user_id", ["user.id", "enduser.id", "gen_ai.user.id", "metadata.user_api_key_user_id"]),
        ("cost", ["gen_ai.usage.cost"]),
    ],
)  # fmt: skip
def test_of_several_spellings_the_first_in_order_counts(tmp_path, column, spellings):
    for first in range(len(spellings)):
        said = {name: str(spellings.index(name)) for name in reversed(spellings[first:])}
        assert _one(tmp_path, {**CHAT, **said})[column] == str(first)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        *(({"gen_ai.operation.name": name}, None)
          for name in ("chat", "text_completion", "generate_content", "embeddings")),
        *(({"gen_ai.operation.name": name}, "not_usage")
          for name in ("invoke_agent", "create_agent", "execute_tool", "invoke_workflow", "plan")),
        ({"llm.request.type": "chat"}, None),
        ({"llm.request.type": "rerank"}, "not_usage"),
        ({"openinference.span.kind": "LLM"}, None),
        ({"openinference.span.kind": "CHAIN"}, "not_usage"),
        ({"traceloop.span.kind": "workflow"}, "not_usage"),
        ({"gen_ai.operation.name": "invoke_agent", "openinference.span.kind": "LLM"}, "not_usage"),
        ({}, "not_usage"),
    ],
)  # fmt: skip
def test_only_leaf_calls_of_models_count(tmp_path, said, reason):
    assert _one(tmp_path, said).get("reason") == reason


@pytest.mark.parametrize("code", [2, "STATUS_CODE_ERROR"])
def test_an_error_is_a_failed_request_with_its_type(tmp_path, code):
    found = _one(tmp_path, {**CHAT, "error.type": "timeout"}, status={"code": code, "message": "too slow"})
    assert (found["event_type"], found["error"]) == ("failed", "timeout")


def test_an_error_type_without_the_status_is_no_failure(tmp_path):
    found = _one(tmp_path, {**CHAT, "error.type": "timeout"}, status={})
    assert (found["event_type"], "error" in found) == ("complete", False)


@pytest.mark.parametrize(("start", "end"), [("0", str(START)), (None, str(START)), ("soon", str(START))])
def test_a_span_without_start_has_no_time(tmp_path, start, end):
    found = _one(tmp_path, CHAT, startTimeUnixNano=start, endTimeUnixNano=end)
    assert "ts" not in found
    assert "duration_s" not in found


def test_a_span_without_end_has_no_duration(tmp_path):
    found = _one(tmp_path, CHAT, endTimeUnixNano="0")
    assert "duration_s" not in found
    assert found["ts"] == datetime(2026, 3, 5, 10, 0, 0, 123_456)


def test_the_resource_says_the_model_where_the_span_does_not(tmp_path):
    path = _write(tmp_path / "a.jsonl", line([span("a")], gen_ai_request_model="by resource").replace(
        "gen.ai.request.model", "gen_ai.request.model"))  # fmt: skip
    ((one,),) = events(reader_of(path, model_id="by file")).values()
    assert one["model_raw"] == "by resource"


def test_a_call_inside_a_call_is_nested_whatever_lies_between(tmp_path):
    tool, agent = {"gen_ai.operation.name": "execute_tool"}, {"gen_ai.operation.name": "invoke_agent"}
    path = _write(
        tmp_path / "a.jsonl",
        line([span("4", parent="3"), span("3", tool, parent="2")]),  # children end, and are written, before parents
        line([span("2", {}, parent="1"), span("1", parent="0"), span("0", agent)]),
        line([span("5", parent="0"), span("6", parent="1", trace="t2"), span("7", parent="gone")]),
    )
    assert reasons(reader_of(path)) == {
        "0": "not_usage",
        "1": None,  # an agent above it is no call
        "2": "not_usage",
        "3": "not_usage",
        "4": "nested",
        "5": None,
        "6": None,  # the same id in another trace
        "7": None,  # its parent is not there
    }


def test_spans_that_are_their_own_ancestors_end_the_search(tmp_path):
    path = _write(tmp_path / "a.jsonl", line([span("1", parent="1"), span("2", {}, parent="3"), span("3", {},
        parent="2"), span("4", parent="2")]))  # fmt: skip
    assert reasons(reader_of(path)) == {"1": None, "2": "not_usage", "3": "not_usage", "4": None}


@pytest.mark.parametrize("outer", ["a.jsonl", "c.jsonl"])
def test_the_outer_call_may_lie_in_a_file_before_or_after(tmp_path, outer):
    _write(tmp_path / outer, line([span("1")]))
    _write(tmp_path / "b.jsonl", line([span("2", {}, parent="1"), span("3", parent="2")]))
    assert reasons(reader_of(tmp_path))["3"] == "nested"


def test_a_file_is_read_again_when_a_neighbour_comes_late(tmp_path):
    _write(tmp_path / "b.jsonl", line([span("3", parent="1")]))
    ((before,),) = [reader_of(tmp_path).parts([])]
    assert reasons(reader_of(tmp_path)) == {"3": None}
    _write(tmp_path / "c.jsonl", line([span("1")]))
    after = {part.name: part.fingerprint for part in reader_of(tmp_path).parts([])}
    assert after["b.jsonl"] != before.fingerprint
    assert reasons(reader_of(tmp_path)) == {"3": "nested", "1": None}


def test_only_so_many_bytes_of_neighbours_are_looked_at(monkeypatch):
    monkeypatch.setattr(otel, "NEAR_BYTES", 10)
    assert otel.neighbours([3, 4, 5, 6, 7], 2) == [0, 1, 3]  # 4 + 3 before, 6 after, with 7 it would be 13
    assert otel.neighbours([50, 50, 50], 1) == [0, 2]  # never less than one
    assert otel.neighbours([50], 0) == []


def test_one_service_counts_and_its_calls_are_not_nested_in_those_of_others(tmp_path):
    path = _write(
        tmp_path / "a.jsonl",
        line([span("1")], service="app"),
        line([span("2", parent="1")], service="vllm"),
        line([span("3", parent="2")], service="vllm"),
    )
    assert reasons(reader_of(path)) == {"1": None, "2": "nested", "3": "nested"}
    assert reasons(reader_of(path, service_name="vllm")) == {"1": "not_usage", "2": None, "3": "nested"}


def test_one_scope_counts(tmp_path):
    path = _write(tmp_path / "a.jsonl", line([span("1")], scope="sdk"), line([span("2")], scope="framework"))
    assert reasons(reader_of(path, scope=["framework", "other"])) == {"1": "not_usage", "2": None}


def test_lines_that_are_no_spans_are_unreadable_rows_in_their_place(tmp_path):
    older = json.dumps({"resourceSpans": [{"instrumentationLibrarySpans": [
        {"instrumentationLibrary": {"name": "old"}, "spans": [span("9")]}]}]})  # fmt: skip
    path = _write(
        tmp_path / "a.jsonl", line([span("1"), span("2")]), "{broken", "", "[1]", older, '{"resourceSpans":[]}'
    )
    (rows,) = events(reader_of(path)).values()
    assert [(row["source_row"], row["event_id"], row["reason"]) for row in rows] == [
        (1, "t11", None), (2, "t12", None), (3, None, "unreadable"), (4, None, "unreadable"), (5, "t19", None),
    ]  # fmt: skip


def test_gzip_is_read_and_one_that_is_cut_off_is_refused(tmp_path):
    whole = gzip.compress(f"{line([span('1')])}\n".encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole)
    assert reasons(reader_of(tmp_path)) == {"1": None}
    (tmp_path / "a.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(PartError, match=r"a\.jsonl\.gz: the gzip file ends before its end"):
        events(reader_of(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.jsonl", b'{"a": "\xff"}\n', "it is not all UTF-8"),
        ("a.jsonl", b"x" * 101, "a line has more than 100 bytes"),
        ("a.jsonl.gz", b"no gzip", "it is no good gzip file"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(tmp_path, monkeypatch, name, content, fault):
    monkeypatch.setattr(otel_lines, "LONGEST_LINE", 100)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PartError, match=f"{name}: {fault}"):
        events(reader_of(tmp_path))


def test_spans_of_many_batches_are_numbered_through_and_nested_across_them(tmp_path, monkeypatch):
    monkeypatch.setattr(otel_lines, "BATCH_BYTES", 1)
    path = _write(tmp_path / "a.jsonl", line([span("2", parent="1")]), "{broken", line([span("3"), span("1")]))
    (rows,) = events(reader_of(path)).values()
    assert [(row["source_row"], row["event_id"], row["reason"]) for row in rows] == [
        (1, "t12", "nested"), (2, None, "unreadable"), (3, "t13", None), (4, "t11", None),
    ]  # fmt: skip


def test_a_broken_neighbour_does_not_keep_a_file_from_being_read(tmp_path):
    _write(tmp_path / "a.jsonl", line([span("1")]))
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    reader = reader_of(tmp_path)
    with reader.rows(con := duckdb.connect(), reader.parts([])[0]) as sql:
        assert con.sql(sql).pl()["event_id"].to_list() == ["t11"]


@pytest.mark.parametrize(
    "more",
    [
        {"traceState": "ot=rv:1234;th:8"},
        {"said": {"sampling.probability": 0.1}},
        {"said": {"SampleRate": 10}},
    ],
)
def test_spans_that_say_they_are_a_sample_are_refused_without_a_scale(tmp_path, more):
    said = {**CHAT, "gen_ai.usage.input_tokens": 7, **more.pop("said", {})}
    path = _write(tmp_path / "a.jsonl", line([span("1", said, **more)]))
    with pytest.raises(SourceError, match=r"site here: a\.jsonl: the spans are a sample, which can't be counted"):
        events(reader_of(path))
    ((one,),) = events(reader_of(path, sampled=True, scale=10)).values()
    assert (one["requests"], one["input_tokens"], one["output_tokens"]) == ("10", "70", None)


def test_a_source_that_its_file_calls_a_sample_is_refused_without_a_scale(tmp_path):
    path = _write(tmp_path / "a.jsonl", line([span("1", traceState="ot=th:0")]))
    assert reasons(reader_of(path)) == {"1": None}  # a threshold of 0 keeps every span
    with pytest.raises(SourceError, match="a sample, which can't be counted"):
        reader_of(path, sampled=True).parts([])


def test_flattened_spans_of_a_parquet_file_are_read_like_those_of_lines(tmp_path):
    con = duckdb.connect()
    con.execute(
        "COPY (SELECT 't1' AS TraceId, '1' AS SpanId, '' AS ParentSpanId, 'chat' AS SpanName, 'vllm' AS ServiceName, "
        "'lib' AS ScopeName, TIMESTAMP_NS '2026-03-05 10:00:00.123456789' AS Timestamp, 2500000000::BIGINT AS Duration,"
        " 'Error' AS StatusCode, MAP {'gen_ai.operation.name': 'chat', 'gen_ai.usage.input_tokens': '7', 'error.type': "
        "'timeout'} AS SpanAttributes, MAP {'gen_ai.request.model': 'm'} AS ResourceAttributes UNION ALL SELECT 't1', "
        "'2', '1', 'chat', 'vllm', 'lib', TIMESTAMP_NS '2026-03-05 10:00:01', 1, 'Unset', "
        f"MAP {{'gen_ai.operation.name': 'chat'}}, MAP {{}}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)"
    )
    (rows,) = events(reader_of(tmp_path, service_name="vllm")).values()
    first, second = rows
    assert (first["ts"], first["duration_s"]) == (datetime(2026, 3, 5, 10, 0, 0, 123_456), "2.500000000")
    assert (first["event_type"], first["error"], first["input_tokens"]) == ("failed", "timeout", "7")
    assert (first["model_raw"], first["source_row"], second["reason"]) == ("m", 1, "nested")


def test_columns_with_dots_are_attributes_of_flattened_spans(tmp_path):
    con = duckdb.connect()
    con.execute(
        "COPY (SELECT 't1' AS trace_id, '1' AS span_id, 1772704800000000000 AS start_time_unix_nano, "
        "1772704801000000000 AS end_time_unix_nano, 'chat' AS \"gen_ai.operation.name\", "
        f"9 AS \"gen_ai.usage.output_tokens\") TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)"
    )
    ((one,),) = events(reader_of(tmp_path)).values()
    assert (one["event_id"], one["output_tokens"], one["duration_s"]) == ("t11", "9", "1.000000000")


def test_a_parquet_file_without_ids_of_spans_is_refused_with_its_columns(tmp_path):
    duckdb.connect().execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    with pytest.raises(
        PartError, match=r"a\.parquet: spans need a column traceid, spanid, starttimeunixnano; it has a"
    ):
        events(reader_of(tmp_path))
