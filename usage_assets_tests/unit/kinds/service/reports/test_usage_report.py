"""Usage reports: hand-worked sums, the same bytes of the same data, and text of others as text."""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from usage_assets.core.errors import ExportError, UsageError
from usage_assets.kinds.service.raw.tables import REJECTED_EVENTS
from usage_assets.kinds.service.reports import forms, page
from usage_assets.kinds.service.reports.assets import REPORT_ASSETS, make_reports, read_reports
from usage_assets.kinds.service.reports.content import state
from usage_assets.kinds.service.reports.export import Form, report_files, usage_report, write_files, write_report
from usage_assets.kinds.service.reports.grids import MOST, money
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.kinds.service.reports.tables import SERVICE_REPORTS
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.schema import violations
from usage_assets.warehouse import Reader, Writer
from usage_assets_tests.unit.kinds.service.reports.made import SITE, read_at, reported, requests, stored, version
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, request

FORMS: tuple[Form, ...] = ("json", "csv", "parquet", "html")
EVIL = '<script>alert("1")</script>'


@pytest.fixture(scope="module")
def warehouse() -> Writer:
    return stored()


def test_a_month_has_its_requests_and_what_is_not_known_of_them(warehouse: Writer):
    (totals,) = reported(warehouse).tables["totals"].to_dicts()
    assert totals == {
        "requests": 5, "succeeded": 3, "failed": 1, "cancelled": 0, "unfinished": 1, "input_tokens": 100,
        "output_tokens": 10, "cached_tokens": 40, "cost": Decimal("0.150000000001"), "cost_unrated_requests": 1,
        "busy_seconds": 77.0, "latency_n": 3, "latency_mean_s": 6.0, "latency_p50_s": 5.0,
        # of 3, 5 and 10 s
        "latency_p95_s": pytest.approx(9.5), "users": 2, "models": 2, "providers": 1, "sessions": 2,
        "first_ts": datetime(2026, 3, 2, 10, 0, 2), "last_ts": datetime(2026, 3, 31, 23, 0, 10),
    }  # fmt: skip


def test_users_models_and_teams_stand_by_cost_with_distinct_counts_of_their_own(warehouse: Writer):
    tables = reported(warehouse).tables
    assert tables["users"].select("user_id", "requests", "cost", "models", "sessions").rows() == [
        ("ann", 3, Decimal("0.1"), 1, 1),
        ("bob", 1, Decimal("0.05"), 1, 0),
        ("(none)", 1, Decimal("0.000000000001"), 1, 1),
    ]
    assert tables["models"].select("model_id", "requests", "failed", "users").rows() == [
        ("big", 4, 0, 1),
        ("small", 1, 1, 1),
    ]
    assert tables["teams"].select("team_id", "requests", "users", "sessions").rows() == [
        ("physics", 3, 1, 1),
        ("(none)", 2, 1, 1),
    ]
    assert tables["days"].select("date", "requests", "cost", "users").rows() == [
        (date(2026, 3, 2), 1, Decimal("0.1"), 1),
        (date(2026, 3, 3), 2, Decimal("0.05"), 2),
        (date(2026, 3, 31), 2, Decimal("0.000000000001"), 1),
    ]


def test_a_range_of_days_and_one_of_months_have_the_requests_that_ended_in_them(warehouse: Writer):
    days = reported(warehouse, "2026-03-03", "2026-03-30")
    assert days.period.name == "2026-03-03_2026-03-30"
    assert days.tables["totals"]["requests"].to_list() == [2]
    assert days.tables["users"]["latency_p50_s"].to_list() == [None, 5.0]
    both = reported(warehouse, "2026-03", "2026-04")
    assert both.period.name == "2026-03_2026-04"
    assert both.tables["totals"].select("requests", "cost").row(0) == (6, Decimal("1.150000000001"))


@pytest.mark.parametrize(
    ("first", "last"), [("2026-04", "2026-03"), ("2026-13", "2026-13"), ("march", "2026-03"), ("2026-02-30", "2026-03")]
)
def test_a_period_that_is_none_is_an_error(first: str, last: str):
    with pytest.raises(UsageError):
        Period.between(first, last)


def test_a_period_without_a_request_says_so(warehouse: Writer):
    empty = reported(warehouse, "2026-02")
    assert empty.tables["totals"].select("requests", "cost", "users").rows() == [(0, Decimal(0), 0)]
    assert empty.tables["users"].is_empty()
    assert "No request ended in this period." in page.as_html(empty).decode()
    assert json.loads(forms.as_json(empty))["tables"]["days"] == []
    assert page.subject(empty) == "Chat & co February 2026: 0 requests, 0.00 EUR"


def test_a_site_of_which_nothing_was_built_is_an_error():
    with pytest.raises(UsageError, match="nothing is built of 2026-03 yet"):
        usage_report(Reader(None), SITE, Period.of_month(MARCH))


def test_what_was_rejected_and_what_is_not_known_is_counted():
    writer = stored()
    writer.ensure(REJECTED_EVENTS.table)
    columns = {"source_file": "f", "source_row": 1, "reader": "records", "extracted_at": datetime(2026, 4, 1)}
    columns |= {"ingested_at": datetime(2026, 4, 1), "seen_from": datetime(2026, 4, 1), "is_context": False}
    rows = [
        {"site": "llm", "month": MARCH, "reason": reason} | columns for reason in ("nested", "nested", "cleared_time")
    ]
    schema = REJECTED_EVENTS.table.polars_schema
    writer.put(REJECTED_EVENTS.table, pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema))
    found = reported(writer).tables["data_quality"].drop("meaning").rows()
    assert found == [
        ("cleared", "cleared_time", 1),
        ("rejected", "nested", 2),
        ("cost not known", "unrated", 1),
        ("cost not known", "unconverted", 0),
        ("outcome not known", "unfinished", 1),
        ("older tracker", "legacy", 0),
        ("older tracker", "months only", 0),
    ]


def test_requests_that_only_an_older_tracker_knows_are_counted_and_of_months_alone_told():
    writer = stored()
    writer.ensure(SERVICE_USER_MONTHLY)
    for table, requests_of in ((SERVICE_USER_DAILY, 3), (SERVICE_USER_MONTHLY, 5)):
        row = {"site": "llm", "month": MARCH, "date": MARCH, "user_id": "old", "model_id": "*", "provider": "*"}
        row |= {"requests": requests_of, "succeeded": requests_of, "source": "legacy"}
        zeros = {column.name: 0 for column in table.columns if not column.nullable} | row
        writer.con.register("old", pl.DataFrame([{name: zeros.get(name) for name in table.names}]).to_arrow())
        writer.con.execute(f"INSERT INTO {table.qualified} BY NAME FROM old")
    report = reported(writer)
    assert report.tables["totals"]["requests"].to_list() == [8]
    counts = dict(report.tables["data_quality"].select("reason", "number").iter_rows())
    assert (counts["legacy"], counts["months only"]) == (3, 2)
    days = reported(writer, "2026-03-01", "2026-03-30").tables["data_quality"]
    assert dict(days.select("reason", "number").iter_rows())["months only"] == 0


def test_limits_have_their_last_status_and_alerts_lie_in_the_days():
    writer = stored()
    writer.ensure(SPENDING_STATUS, SPENDING_ALERTS)
    limit = "'llm' AS site, DATE '2026-03-01' AS month, "
    limit += "'user' AS scope_type, 'ann' AS scope_id, 'month' AS \"window\", '2026-03' AS period"
    known = "5 AS spent, 10 AS amount, 5 AS remaining, 50 AS percent, 1 AS burn_per_day, 0 AS unrated_requests"
    for at, unlimited in (("2026-03-09", "false"), ("2026-03-10", "false"), ("2026-03-11", "true")):
        writer.con.execute(
            f"INSERT INTO {SPENDING_STATUS.qualified} BY NAME SELECT {limit}, "
            f"{known}, TIMESTAMP '{at}' AS as_of, {unlimited} AS unlimited"
        )
    for at in ("2026-03-02 23:59:59", "2026-03-03 00:00:00"):
        writer.con.execute(
            f"INSERT INTO {SPENDING_ALERTS.qualified} BY NAME SELECT {limit}, "
            f"0.5 AS threshold, TIMESTAMP '{at}' AS crossed_at, 'e' AS event_id, 'r' AS request_id, 5 AS spent, "
            f"10 AS amount, '{at}' AS id"
        )
    report = reported(writer, "2026-03-03", "2026-03-31")
    assert report.tables["limits"].select("as_of", "spent").rows() == [(datetime(2026, 3, 10), Decimal(5))]
    assert report.tables["alerts"]["crossed_at"].to_list() == [datetime(2026, 3, 3)]
    assert "Thresholds crossed" in page.as_html(report).decode()


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (None, "not read"),
        (datetime(2026, 3, 31, 23, 59), "running"),
        (datetime(2026, 4, 1), "late events"),
        (datetime(2026, 4, 8), "complete"),
    ],
)
def test_a_month_is_final_once_it_was_read_after_its_late_days(read: datetime | None, what: str):
    assert state(MARCH, read, 7) == what


def test_a_report_says_what_is_provisional():
    writer = stored()
    read_at(writer, {MARCH: datetime(2026, 4, 20), APRIL: datetime(2026, 4, 20)})
    assert reported(writer).provisional == ()
    (sentence,) = reported(writer, "2026-03", "2026-04").provisional
    assert sentence == "2026-04 is provisional: read before its end (read 2026-04-20 00:00 UTC)."


@pytest.mark.parametrize("form", FORMS)
def test_the_same_data_gives_the_same_bytes_and_other_data_another_name(form: Form):
    writer, again = stored(), stored(requests()[::-1])
    for each in (writer, again):
        version(each, "service/facts/service_requests", MARCH, 3)
        version(each, "service/reports/usage_report", MARCH, 1)
    files = report_files(reported(writer), form)
    assert files == report_files(reported(again), form)
    version(again, "service/reports/usage_report", MARCH, 2)  # a report is no input of itself
    assert files == report_files(reported(again), form)
    version(again, "service/facts/service_requests", MARCH, 4)
    assert set(files).isdisjoint(report_files(reported(again), form))
    assert all(name.startswith(f"llm_2026-03_{reported(writer).version}") for name in files)
    text = b"".join(files.values())
    assert b"12:34:56" not in text  # neither a clock of the machine
    assert b'"run"' not in text  # nor the id of a run


def test_json_has_all_of_it_with_sorted_keys_and_money_as_text(warehouse: Writer):
    report = reported(warehouse)
    found = json.loads(forms.as_json(report))
    assert list(found) == sorted(found)
    assert list(found["tables"]) == sorted(report.tables)
    assert list(found["tables"]["users"][0]) == sorted(report.tables["users"].columns)
    assert found["tables"]["users"][2]["cost"] == "0.000000000001"
    assert found["tables"]["days"][0]["date"] == "2026-03-02"
    assert found["period"] == {"from": "2026-03-01", "timezone": "UTC", "to": "2026-03-31"}


def test_every_table_is_a_file_in_csv_and_parquet_with_equal_rows(warehouse: Writer):
    report = reported(warehouse)
    csv, parquet = forms.as_csv(report), forms.as_parquet(report)
    assert set(csv) == set(parquet) == set(report.tables)
    for name, frame in report.tables.items():
        assert pl.read_parquet(io.BytesIO(parquet[name])).equals(frame)
        assert pl.read_csv(io.BytesIO(csv[name]), infer_schema=False).height == frame.height
    users = pl.read_csv(io.BytesIO(csv["users"]), infer_schema=False)
    assert users["cost"].to_list() == ["0.100000000000", "0.050000000000", "0.000000000001"]


def test_text_of_others_is_text_on_the_page_and_no_formula_in_a_sheet():
    rows = [request("r1", "03-02 10:00", "03-02 10:01", user_id=EVIL, model_id=f"=1+1{EVIL}", team_id=EVIL)]
    writer = stored(rows)
    report = reported(writer, site=SITE.model_copy(update={"name": EVIL, "currency": "<i>"}))
    html = page.as_html(report).decode()
    assert "<script" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html
    models = pl.read_csv(io.BytesIO(forms.as_csv(report)["models"]), infer_schema=False)
    assert models["model_id"].to_list() == [f"'=1+1{EVIL}"]


def test_a_page_shows_the_first_users_and_counts_the_rest():
    rows = [
        request(f"r{n:03}", "03-02 10:00", "03-02 10:01", user_id=f"user-{n:03}", cost=Decimal(n + 1))
        for n in range(60)
    ]
    report = reported(stored(rows))
    html = page.as_html(report).decode()
    assert [f"user-{n:03}" in html for n in (59, 10, 9, 0)] == [True, True, False, False]
    assert f"and {60 - MOST} more, of 10 requests and 55.00 together" in html
    assert pl.read_parquet(io.BytesIO(forms.as_parquet(report)["users"])).height == 60


def test_small_amounts_are_seen():
    amounts = ("1234.5", "0", "0.019", "0.0004", "0.0000001")
    assert [money(Decimal(text)) for text in amounts] == ["1,234.50", "0.00", "0.02", "0.0004", "0.00"]


def test_each_month_has_a_row_and_a_page(warehouse: Writer):
    months = [MARCH, APRIL]
    built = make_reports(SITE, months, read_reports(warehouse, SITE, months), {})
    assert built.rows.select("month", "period", "state", "requests", "page").rows() == [
        (MARCH, "2026-03", "not read", 5, "llm/usage_reports/monthly/2026-03.html"),
        (APRIL, "2026-04", "not read", 1, "llm/usage_reports/monthly/2026-04.html"),
    ]
    assert built.files[MARCH]["llm/usage_reports/monthly/2026-03.html"] == page.as_html(reported(warehouse))
    found = warehouse.con.register("built_rows", built.rows.to_arrow())
    assert violations(found, "built_rows", SERVICE_REPORTS) == []
    (asset,) = REPORT_ASSETS
    assert f"service/{asset.path}" == "service/reports/usage_report"


def test_files_are_written_whole(tmp_path: Path, warehouse: Writer):
    folder = tmp_path / "new"
    paths = write_report(warehouse, SITE, Period.of_month(MARCH), "csv", folder)
    files = report_files(reported(warehouse), "csv")
    assert {path.name: path.read_bytes() for path in paths} == files
    assert {path.name for path in folder.iterdir()} == set(files)


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"a\.json could not be written"):
        write_files({"a.json": b""}, tmp_path / "file")
