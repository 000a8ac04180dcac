"""The demo service: the same arguments give the same rows, a later end only adds, and the traps are in it."""

import csv
import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.demo import make_site
from usage_assets.demo.service.chance import digits, normal, uniform
from usage_assets.demo.service.gateway import TABLE, _spend
from usage_assets.demo.service.models import GATEWAY
from usage_assets.demo.service.people import TEAMS, people, users_file
from usage_assets.demo.service.traffic import requests
from usage_assets.track.lines import COLUMNS
from usage_assets_tests import ROOT

UNTIL = datetime(2026, 4, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "service"
    make_site("demo_service", folder, until=UNTIL)
    return folder


def gateway(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "litellm.db")) as con:
        return con.execute(query.replace("logs", f'"{TABLE}"')).fetchall()


def spans(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Resource, span and its attributes, in the order of the files."""
    for path in sorted((folder / "spans").iterdir()):
        for text in gzip.decompress(path.read_bytes()).decode().splitlines():
            (part,) = json.loads(text)["resourceSpans"]
            resource = attributes(part["resource"])
            for span in part["scopeSpans"][0]["spans"]:
                yield resource, span, attributes(span)


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in of["attributes"]}


def events(folder: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted((folder / "events").iterdir())]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the database, and the database's rows."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    del files["litellm.db"]
    found = {name: path.read_bytes() for name, path in files.items()}
    return found | {"litellm.db": repr(gateway(folder, "SELECT * FROM logs")).encode()}


def test_the_same_arguments_give_the_same_rows_and_another_seed_others(tmp_path: Path):
    seeds = {"first": 1, "again": 1, "other": 2}
    for name, seed in seeds.items():
        make_site("demo_service", tmp_path / name, until=datetime(2025, 12, 9, tzinfo=UTC), seed=seed)
    first, again, other = (contents(tmp_path / name) for name in seeds)
    assert first == again
    assert first.keys() == other.keys()
    assert all(other[name] != rows for name, rows in first.items())


def test_a_later_end_only_adds_what_ended_later(service: Path, tmp_path: Path):
    make_site("demo_service", tmp_path / "shorter", until=datetime(2026, 4, 18, 18, tzinfo=UTC))
    query = "SELECT * FROM logs WHERE \"endTime\" < '2026-04-18 18' AND \"startTime\" < '2026-04-18 18' ORDER BY 1"
    assert gateway(tmp_path / "shorter", "SELECT * FROM logs ORDER BY 1") == gateway(service, query)
    ids = [{span["spanId"] for _, span, _ in spans(folder)} for folder in (tmp_path / "shorter", service)]
    assert ids[0] < ids[1]
    short, long = events(tmp_path / "shorter"), events(service)
    assert short == [row for row in long if row["ts"] < "2026-04-18T18"][: len(short)]


def test_a_year_has_some_three_hundred_thousand_requests(service: Path):
    first_month = gateway(service, "SELECT count(*) FROM logs WHERE \"startTime\" < '2026-01'")[0][0]
    new_year = "1767225600000000000"
    served = sum(span["endTimeUnixNano"] < new_year for _, span, _ in spans(service) if span["name"] == "llm_request")
    assert 11_000 < first_month < 13_000
    assert 3_500 < served < 4_500


def test_the_table_of_the_gateway_has_the_columns_and_texts_of_a_real_one(service: Path):
    with closing(sqlite3.connect(service / "litellm.db")) as con:
        columns = [row[1] for row in con.execute(f'PRAGMA table_info("{TABLE}")')]
    assert {"request_id", "startTime", "completionStartTime", "spend", "end_user", "metadata", "messages"} < set(
        columns
    )
    assert len(columns) == 29
    shapes = gateway(service, 'SELECT DISTINCT typeof("startTime"), length("startTime"), typeof(spend) FROM logs')
    assert shapes == [("text", 23, "real")]


@pytest.mark.parametrize(
    ("what", "condition", "at_least"),
    [
        (
            "failures take no time and cost nothing",
            'status = \'failure\' AND "startTime" = "endTime" AND spend = 0',
            500,
        ),
        ("cache hits", "cache_hit = 'True' AND spend = 0 AND request_id LIKE '%\\_cache\\_hit%' ESCAPE '\\'", 900),
        ("a model without a price", "model_group = 'campus-coder-beta' AND status = 'success' AND spend = 0", 2000),
        ("end users of a chat front", "user = '' AND end_user <> ''", 5000),
        ("nobody's requests", "user = '' AND end_user = '' AND team_id IS NULL", 500),
        ("polled responses", "call_type = 'aget_responses' AND spend > 0", 20),
        ("clocks that ran backwards", '"endTime" < "startTime"', 5),
        ("another name of the deployed model", "model <> '' AND model <> model_group", 10_000),
        ("cached tokens", "metadata LIKE '%cached_tokens%'", 10_000),
    ],
)
def test_the_gateway_logs_what_real_ones_do(service: Path, what: str, condition: str, at_least: int):
    (count,) = gateway(service, f"SELECT count(*) FROM logs WHERE {condition}")[0]
    assert count >= at_least, what


def test_a_failed_attempt_of_an_outage_is_followed_by_a_row_of_its_retry(service: Path):
    query = """
        SELECT count(*) FROM logs AS failed JOIN logs AS again
        ON again.session_id = failed.session_id AND again.model_group = failed.model_group
        AND again.status = 'success' AND julianday(again."startTime") - julianday(failed."startTime")
            BETWEEN 1.9 / 86400 AND 2.1 / 86400
        WHERE failed.status = 'failure' AND failed."startTime" BETWEEN '2026-03-17 14' AND '2026-03-17 21'
    """
    assert gateway(service, query)[0][0] > 50


def test_the_price_of_a_model_changes_on_its_day():
    asked = requests(GATEWAY, 20, datetime(2026, 6, 30), 1).filter(pl.col("name") == "aurora-large")
    rows = asked.with_columns(kind=pl.lit("ok")).select(
        cheaper=pl.col("at") >= datetime(2026, 6, 15),
        price=(
            _spend()
            - pl.col("tokens_out") * pl.when(pl.col("at") >= datetime(2026, 6, 15)).then(14).otherwise(18) / 1e6
        )
        / pl.col("tokens_in")
        * 1e6,
    )
    assert rows.select("cheaper", pl.col("price").round(3)).unique().sort("cheaper").rows() == [
        (False, 6.0),
        (True, 3.5),
    ]


def test_spans_are_those_of_a_server_that_names_no_model_and_of_an_agent_that_sums_them(service: Path):
    found = list(spans(service))
    assert Counter((tuple(resource.values()), span["name"]) for resource, span, _ in found).keys() == {
        (("vllm", "campus-70b"), "llm_request"),
        (("vllm", "campus-8b"), "llm_request"),
        (("vllm", "campus-embed"), "llm_request"),
        (("chat-agent",), "invoke_agent helper"),
    }
    served = [(span, values) for _, span, values in found if span["name"] == "llm_request"]
    assert not any("model" in key or "operation" in key for _, values in served for key in values)
    for span, values in served[:100]:
        seconds = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9
        assert values["gen_ai.latency.e2e"] == pytest.approx(seconds, abs=5e-6)
    failed = [values for span, values in served if span["status"]["code"] == 2]
    assert {values["error.type"] for values in failed} == {"EngineDeadError", "TimeoutError"}
    assert len({span["traceId"] + span["spanId"] for _, span, _ in found}) == len(found)
    traces = {span["traceId"] for span, _ in served}
    assert {span["traceId"] for _, span, _ in found if span["name"] != "llm_request"} < traces


def test_events_are_those_of_the_client_with_stages_unfinished_ones_and_models(service: Path):
    rows = events(service)
    assert all(row.keys() <= COLUMNS for row in rows)
    types = Counter(row["event_type"] for row in rows)
    assert types.keys() == {"request", "start", "complete", "failed", "cancelled", "model_load", "model_unload"}
    begun = {row["request_id"] for row in rows if row["event_type"] == "start"}
    ended = {row["request_id"] for row in rows if row["event_type"] in {"complete", "failed", "cancelled"}}
    assert ended < begun
    unfinished = {row["ts"][:13] for row in rows if row.get("request_id") in begun - ended}
    assert 5 <= len(begun - ended) <= 30
    assert unfinished <= {f"2026-03-17T{hour}" for hour in range(15, 21)}
    assert all(row["meters"]["images"] > 0 for row in rows if row["event_type"] == "complete")
    assert {row["model_id"] for row in rows if row["ts"] >= "2026-03-02"} == {"painter-xl"}


def test_a_second_delivery_repeats_three_days(service: Path):
    twice = [row for row, count in Counter(json.dumps(row) for row in events(service)).items() if count == 2]
    assert {json.loads(row)["ts"][:10] for row in twice} == {"2026-04-10", "2026-04-11", "2026-04-12"}
    days = [row for row in events(service) if "2026-04-10" <= row["ts"] < "2026-04-13"]
    assert len(days) == 2 * len(twice)


def test_the_older_log_has_local_times_and_lines_that_no_one_can_count(service: Path):
    with (service / "images_log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"started", "who", "lab", "checkpoint", "state", "seconds", "images"}
    assert (rows[0]["started"][:10], rows[-1]["started"][:10]) == ("2025-11-30", "2026-01-31")  # the campus' days
    assert {row["checkpoint"] for row in rows} == {"painter-xl-1.0", "painter-lite"}
    faults = Counter((row["started"] == "", row["state"] == "???", row["images"] == "-1") for row in rows)
    assert [faults[at] for at in ((True, False, False), (False, True, False), (False, False, True))] == [3, 2, 2]


def test_the_users_file_of_the_site_has_the_people_of_the_demo():
    shipped = pl.read_csv(ROOT / "sites" / "demo_service_users.csv")
    assert shipped.equals(users_file())


def test_people_are_in_teams_but_for_the_last_ones():
    frame = people()
    assert frame["user_id"].to_list()[:2] + frame["user_id"].to_list()[-1:] == ["user001", "user002", "user400"]
    assert set(frame["team_id"].drop_nulls()) == set(TEAMS)
    assert frame["team_id"].null_count() == 20
    assert users_file()["user_id"].equals(frame["user_id"])


def test_random_columns_are_functions_of_their_numbers():
    frame = pl.select(number=pl.int_range(0, 20_000, dtype=pl.Int64))
    drawn = frame.select(
        uniform(pl.col("number"), "a", 1).alias("a"),
        uniform(pl.col("number"), "b", 1).alias("b"),
        normal(pl.col("number"), "c", 1).alias("c"),
        digits(pl.col("number"), "d", 1).alias("d"),
    )
    assert drawn["a"].mean() == pytest.approx(0.5, abs=0.01)
    assert drawn["b"].std() == pytest.approx(12**-0.5, abs=0.01)
    assert drawn.select(pl.corr("a", "b")).item() == pytest.approx(0, abs=0.03)
    assert drawn["c"].mean() == pytest.approx(0, abs=0.03)
    assert drawn["c"].std() == pytest.approx(1, abs=0.03)
    assert drawn["d"].n_unique() == 20_000
    assert drawn["d"].str.contains("^[0-9a-f]{16}$").all()
    later = frame.filter(pl.col("number") >= 10_000).select(uniform(pl.col("number"), "a", 1).alias("a"))
    assert later["a"].equals(drawn["a"].tail(10_000))
    # SplitMix64 by its definition, of a number and the purpose's word
    assert uniform_of(7, "a") == drawn["a"][7]


def uniform_of(number: int, purpose: str) -> float:
    import zlib

    def mixed(value: int) -> int:
        value = value * 0x9E3779B97F4A7C15 % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    return (mixed((mixed(number) + zlib.crc32(f"1 {purpose}".encode())) % 2**64) >> 11) / 2**53
