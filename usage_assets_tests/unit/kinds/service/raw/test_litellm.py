"""Requests of a LiteLLM proxy's log, from an SQLite file in place of its server."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.databases import sql_site
from usage_assets.kinds.service.raw.reader import PartError
from usage_assets_tests.unit.kinds.service.raw.litellm_rows import EVENTS, LOG, SECRET, day_sum, row
from usage_assets_tests.unit.kinds.service.raw.litellm_source import (
    LOGS,
    MARCH,
    SUMS,
    add,
    events,
    make_table,
    reader_of,
    sqlite_engine,
)


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    """The file, without tables."""
    return sqlite_engine(tmp_path / "litellm.db")


def _url(engine: sa.Engine) -> str:
    return str(engine.url)


def _by_columns(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in EVENTS[0]} for row in found]


def test_each_row_of_the_log_is_an_event_by_the_rules_of_the_mapping(engine):
    make_table(engine, LOGS, LOG)
    reader = reader_of(_url(engine))
    (part,) = reader.parts([MARCH])
    assert (part.name, part.months, part.handle) == (f"{LOGS}/2026-03-05", (MARCH,), date(2026, 3, 5))
    found = events(reader, part)
    assert _by_columns(found) == EVENTS
    assert [row["request_id"] for row in found] == [row["event_id"] for row in EVENTS]
    assert [row["source_row"] for row in found] == list(range(1, 9))
    assert found[0]["parameters"] == '{"call_type":"acompletion"}'


def test_prompts_and_answers_are_never_selected(engine):
    make_table(engine, LOGS, LOG)
    reader = reader_of(_url(engine))
    (part,) = reader.parts([MARCH])
    asked: list[str] = []

    def listen(*given: Any) -> None:
        asked.append(given[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        found = events(reader, part)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    assert any("startTime" in sql for sql in asked)
    assert not [sql for sql in asked if "messages" in sql or "proxy_server_request" in sql or "response" in sql]
    assert SECRET not in str(found)


def test_user_from_says_which_of_two_names_counts(engine):
    make_table(engine, LOGS, [row("both"), row("key alone", "11:00:00", end_user=None)])
    reader = reader_of(_url(engine), user_from="end_user")
    (part,) = reader.parts([MARCH])
    assert [one["user_id"] for one in events(reader, part)] == ["person", "key-user"]


def test_a_release_without_some_columns_gives_nulls(engine):
    lacking = ("status", "completionStartTime", "session_id", "model_group", "end_user", "custom_llm_provider")
    make_table(engine, LOGS, [row("old")], without=lacking)
    reader = reader_of(_url(engine))
    (one,) = events(reader, reader.parts([MARCH])[0])
    assert (one["event_type"], one["model_id"], one["provider"]) == ("complete", "azure/small-2026", None)
    assert (one["first_output_s"], one["session_id"]) == (None, None)
    servers, (lacking_said, no_sums, attempts) = reader.reached()
    assert [server.label for server in servers] == ["SQLite files"]
    assert lacking_said == (
        "litellm.LiteLLM_SpendLogs: litellm.LiteLLM_SpendLogs has no column completionStartTime, model_group, "
        "custom_llm_provider, end_user, session_id, status"
    )
    assert no_sums.endswith("the source has no table litellm.LiteLLM_DailyUserSpend")
    assert attempts.startswith("LiteLLM_SpendLogs: each row is a request")


def test_days_lie_in_their_month_and_only_those_of_the_run_are_parts(engine):
    edges = [row("last", "23:59:59", day="2026-02-28"), row("first", "00:00:00", day="2026-03-01"), row("mid")]
    make_table(engine, LOGS, edges)
    reader = reader_of(_url(engine))
    february = reader.parts([date(2026, 2, 1)])
    assert [part.name for part in february] == [f"{LOGS}/2026-02-28"]
    march = reader.parts([MARCH])
    assert [part.handle.day for part in march] == [1, 2, 3, 4, 5]
    assert [[one["event_id"] for one in events(reader, part)] for part in march] == [["first"], [], [], [], ["mid"]]
    assert reader.parts([date(2026, 1, 1)]) == []


def test_the_last_two_days_are_read_again_and_older_ones_once(engine, monkeypatch):
    make_table(engine, LOGS, [row("a", day="2026-03-03"), row("b", day="2026-03-06")])
    now = datetime(2026, 3, 6, 12)
    monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda: now)
    reader = reader_of(_url(engine))
    known = {part.handle.day: part.fingerprint for part in reader.parts([MARCH])}
    assert known[3] is not None
    assert [day for day, fingerprint in known.items() if fingerprint is None] == [4, 5, 6]
    again = {part.handle.day: part.fingerprint for part in reader.parts([MARCH])}
    assert again == known
    assert reader_of(_url(engine), user_from="end_user").parts([MARCH])[0].fingerprint != known[3]


def test_rows_of_a_day_come_in_the_order_of_start_and_id(engine):
    make_table(engine, LOGS, [row("b"), row("c", "09:00:00"), row("a")])
    reader = reader_of(_url(engine))
    assert [one["event_id"] for one in events(reader, reader.parts([MARCH])[0])] == ["c", "a", "b"]


def test_costs_are_read_by_their_shortest_decimal_text(engine):
    make_table(engine, LOGS, [row("sum", spend=0.1 + 0.2), row("tenth", "11:00:00", spend=0.1)])
    reader = reader_of(_url(engine))
    found = events(reader, reader.parts([MARCH])[0])
    assert [one["cost"] for one in found] == ["0.30000000000000004", "0.1"]


def test_sums_stand_in_only_for_days_whose_rows_are_gone_and_only_when_asked(engine):
    make_table(engine, LOGS, [row("kept")])
    make_table(engine, SUMS, [
        day_sum("gone", "2026-03-04"),
        day_sum("all failed", "2026-03-04", api_requests=2, failed_requests=2, spend=0.0, model="m", model_group=None),
        day_sum("still logged", "2026-03-05"),
    ])  # fmt: skip
    assert [part.handle.day for part in reader_of(_url(engine)).parts([MARCH])] == [5]
    reader = reader_of(_url(engine), rollups="fill")
    fourth, fifth = reader.parts([MARCH])
    assert [one["event_id"] for one in events(reader, fifth)] == ["kept"]
    found = events(reader, fourth)
    shown = ("event_id", "event_type", "requests", "input_tokens", "output_tokens", "cost", "model_id", "user_id")
    assert sorted([tuple(one[name] for name in shown) for one in found]) == [
        ("daily/all failed/failed", "failed", "2", "200", "100", None, "m", "key-user"),
        ("daily/gone/complete", "complete", "3", "200", "100", "2.5", "small", "key-user"),
        ("daily/gone/failed", "failed", "1", None, None, None, "small", "key-user"),
    ]
    assert {one["ts"] for one in found} == {datetime(2026, 3, 4)}


def test_a_proxy_that_keeps_no_log_gives_its_sums(engine):
    make_table(engine, LOGS, [])
    make_table(engine, SUMS, [day_sum("only", "2026-03-04", failed_requests=0)])
    assert reader_of(_url(engine)).parts([MARCH]) == []
    reader = reader_of(_url(engine), rollups="fill")
    (part,) = reader.parts([MARCH])
    (one,) = events(reader, part)
    assert (one["requests"], one["event_type"]) == ("4", "complete")


def test_sums_that_differ_from_the_log_are_said(engine):
    make_table(engine, LOGS, [row("a", spend=2.5, total_tokens=300), row("b", day="2026-03-06")])
    make_table(engine, SUMS, [
        day_sum("same", "2026-03-05", api_requests=1, failed_requests=0),
        day_sum("late", "2026-03-07", api_requests=1),
    ])  # fmt: skip
    nothing, end = "0 request(s), 0 tokens and 0 USD", "; the log counts where it has the day"
    sixth = f"2026-03-06: {LOGS} has 1 request(s), 30 tokens and 0.5000 USD, {SUMS} {nothing}{end}"
    seventh = f"2026-03-07: {LOGS} has {nothing}, {SUMS} 1 request(s), 300 tokens and 2.5000 USD{end}"
    assert reader_of(_url(engine)).compare(date(2026, 3, 5), date(2026, 3, 7)) == [sixth, seventh]


def test_check_site_tells_of_days_whose_sums_differ_in_the_last_whole_week(engine, monkeypatch):
    monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda: datetime(2026, 3, 12, 12))
    days = [f"2026-03-{day:02}" for day in range(1, 13)]
    make_table(engine, LOGS, [row(day, day=day) for day in days])
    make_table(engine, SUMS, [day_sum("same", "2026-03-06", api_requests=1, failed_requests=0, prompt_tokens=20,
                                      completion_tokens=10, spend=0.5)])  # fmt: skip
    _, remarks = reader_of(_url(engine)).reached()
    assert [remark[:10] for remark in remarks[:-1]] == ["2026-03-03", "2026-03-04", "2026-03-05", "2026-03-07",
                                                        "2026-03-08", "2026-03-09"]  # fmt: skip


def test_a_database_without_the_log_is_refused_with_the_tables_name(engine):
    make_table(engine, SUMS, [])
    with pytest.raises(
        SourceError, match="the source has no table litellm.LiteLLM_SpendLogs; check the URL".replace(".", "[.]")
    ):
        reader_of(_url(engine)).parts([MARCH])


def test_a_row_that_came_later_is_read_with_its_day(engine):
    make_table(engine, LOGS, [row("a")])
    reader = reader_of(_url(engine))
    (part,) = reader.parts([MARCH])
    with engine.begin() as con:
        add(con, LOGS, row("late", "09:00:00"))
    assert [one["event_id"] for one in events(reader, part)] == ["late", "a"]


def test_a_url_without_driver_names_the_one_that_is_installed():
    url = "postgresql://usage:secret@db.example/litellm"
    assert sql_site(reader_of(url).site, url, "litellm").databases == {
        "litellm": "postgresql+psycopg://usage:secret@db.example/litellm"
    }


def _of_file(path: Path) -> list[dict[str, Any]]:
    reader = reader_of(None, path=str(path))
    (part,) = reader.parts([MARCH])
    return _by_columns(events(reader, part))


def test_files_that_hold_the_logs_columns_give_the_same(tmp_path):
    lines = tmp_path / "log.jsonl"
    rows = [{**one, "metadata": json.loads(one["metadata"])} for one in LOG]
    lines.write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert _of_file(lines) == EVENTS
    con = duckdb.connect()
    con.execute(f"CREATE TABLE log AS SELECT * EXCLUDE (messages, response) FROM read_json('{lines}')")
    con.execute(f"COPY (SELECT * REPLACE (to_json(metadata) AS metadata) FROM log) TO '{tmp_path / 'log.csv'}'")
    con.execute(f"COPY log TO '{tmp_path / 'log.parquet'}' (FORMAT parquet)")
    assert _of_file(tmp_path / "log.csv") == EVENTS
    assert _of_file(tmp_path / "log.parquet") == EVENTS


def test_a_line_that_is_no_row_of_the_log_is_unreadable_in_its_place(tmp_path):
    lines = tmp_path / "log.jsonl"
    lines.write_text(f"{json.dumps(LOG[0])}\n{{broken\n\n{json.dumps(LOG[1])}\n")
    found = _of_file(lines)
    assert [(one["event_id"], one["reason"]) for one in found] == [
        ("plain", None), (None, "unreadable"), ("cached parts", None),
    ]  # fmt: skip
    assert reader_of(None, path=str(lines)).grants() == ""


def test_a_file_without_ids_of_requests_is_refused_with_its_columns(tmp_path):
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PartError, match=r"log\.csv: a log of LiteLLM has a column request_id; there are a, b"):
        _of_file(tmp_path / "log.csv")
