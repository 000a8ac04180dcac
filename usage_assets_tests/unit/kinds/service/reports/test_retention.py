"""Retention: when a month is old enough, what keeps it back, what goes, and that it does not come again."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.kind import Service
from usage_assets.kinds.service.raw.tables import USAGE_EVENTS
from usage_assets.kinds.service.reports.retention import LEVELS, apply, made_of, plan
from usage_assets.kinds.service.reports.retention_tables import RETENTION_LOG, gone_months
from usage_assets.kinds.service.site.model import Retention, ServiceSite
from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets.orchestration.neighbours import without_rows
from usage_assets.specs.asset import Asset
from usage_assets.warehouse import Writer
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS, GATES, VERSIONS
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, FEB, MARCH, build, opened, request, store

JAN, MAY = date(2026, 1, 1), date(2026, 5, 1)
NOW = datetime(2026, 6, 10)
_FAILED = """
INSERT INTO serving.failed_checks VALUES ('llm', '2026-01-01', 'service/timelines/service_model_daily', 'cost_in_facts',
  '{}', 'x', 'r', now()::TIMESTAMP)
"""


KIND = Service()


def _site(**days: int) -> ServiceSite:
    return ServiceSite.model_construct(key="llm", first_month=JAN, retention=Retention(**days), sources=())


def _good(writer: Writer, months: Sequence[date], paths: Sequence[str] | None = None) -> None:
    """Bookkeeping of assets that were written and then checked."""
    names = paths or list(KIND.declared)
    writer.ensure(GATES, VERSIONS, CHECKED, FAILED_CHECKS)
    for month in months:
        for name in names:
            who = ("llm", month, f"service/{name}")
            writer.con.execute(f"INSERT INTO {GATES.qualified} VALUES (?, ?, ?, true, NULL, 'r')", who)
            writer.con.execute(f"INSERT INTO {VERSIONS.qualified} VALUES (?, ?, ?, 3, 1, 'r', '2026-05-01')", who)
            writer.con.execute(f"INSERT INTO {CHECKED.qualified} VALUES (?, ?, ?, 'r', '2026-05-02')", who)


@pytest.fixture
def writer() -> Writer:
    writer = opened()
    months = (JAN, FEB, MARCH, APRIL, MAY)
    store(writer, [request(f"r{month:%m}", f"{month:%m}-10 10:00", f"{month:%m}-10 11:00") for month in months])
    for name in ("service_user_daily", "service_uses"):
        build(writer, name, months)
    writer.ensure(USAGE_EVENTS.table)
    for month in months:
        writer.con.execute(
            f"INSERT INTO {USAGE_EVENTS.table.qualified} BY NAME SELECT 'llm' AS site, $month AS month, "
            "'e' AS event_id, $month::TIMESTAMP AS ts, 'complete' AS event_type, 1 AS requests, 'end' AS time_of, "
            "'records' AS reader, "
            "'f' AS source_file, 1 AS source_row, now()::TIMESTAMP AS ingested_at, false AS is_context, "
            "now()::TIMESTAMP AS extracted_at, now()::TIMESTAMP AS seen_from",
            {"month": month},
        )
    _good(writer, months)
    return writer


def _listed(writer: Writer, site: ServiceSite, as_of: datetime = NOW) -> list[tuple[Any, ...]]:
    return [(one.part.asset, one.month, one.kept_because) for one in plan(writer, KIND, site, as_of)]


def test_by_default_everything_is_kept(writer: Writer) -> None:
    assert plan(writer, KIND, _site(), NOW) == []
    assert apply(writer, KIND, _site(), NOW) == []


@pytest.mark.parametrize(
    ("as_of", "months"),
    [
        (datetime(2026, 3, 30, 23, 59), []),
        (datetime(2026, 3, 31), [JAN]),
        (datetime(2026, 4, 30, 23, 59), [JAN]),
        (datetime(2026, 5, 1), [JAN, FEB]),
    ],
)
def test_a_month_is_old_enough_when_the_month_after_it_ended_long_ago(
    writer: Writer, as_of: datetime, months: list[date]
) -> None:
    # February ended with the 1st of March, 30 days before the 31st; March with the 1st of April
    assert [month for _, month, _ in _listed(writer, _site(raw_events_days=30), as_of)] == months


def test_what_goes_is_listed_first_and_then_removed_and_logged(writer: Writer) -> None:
    site = _site(raw_events_days=90)
    (planned,) = plan(writer, KIND, site, NOW)
    assert (planned.part.asset, planned.month, planned.rows, planned.version) == ("raw/usage_events", JAN, 1, None)
    before = writer.sql(f"SELECT count(*) FROM {USAGE_EVENTS.table.qualified}").item()

    removed = apply(writer, KIND, site, NOW)

    assert removed == [planned]
    assert writer.frame(USAGE_EVENTS.table)["month"].sort().to_list() == [FEB, MARCH, APRIL, MAY]
    assert before == 5
    log = writer.frame(RETENTION_LOG).drop("removed_at").rows()
    assert log == [("llm", JAN, "raw/usage_events", 1, planned.bytes, None, 90, NOW)]
    assert planned.bytes > 100
    assert apply(writer, KIND, site, NOW) == []


def test_facts_go_with_their_intervals_and_versions_say_so(writer: Writer) -> None:
    writer.ensure(INTERVALS)
    writer.con.execute(
        "INSERT INTO facts.intervals BY NAME SELECT 'llm' AS site, $month AS month, 'running' AS metric, "
        "'r' AS source, 'x' AS node_type, 'e' AS entity_id",
        {"month": JAN},
    )

    removed = apply(writer, KIND, _site(facts_days=90), NOW)

    assert [(one.part.asset, one.version) for one in removed] == [
        ("facts/service_requests", 3),
        ("facts/running", 3),
    ]
    assert writer.sql("SELECT count(*) FROM facts.intervals").item() == 0
    assert JAN not in writer.frame(SERVICE_REQUESTS)["month"]
    found = writer.frame(VERSIONS, where="asset = 'service/facts/service_requests'").sort("month")
    assert found.select("version", "rows").rows()[:2] == [(4, 0), (3, 1)]
    assert found["written_at"].n_unique() == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "DELETE FROM serving.gates WHERE month = '2026-02-01' AND asset LIKE '%user_daily'",
            "timelines/service_user_daily of 2026-02 is not built",
        ),
        (
            "UPDATE serving.gates SET ok = false WHERE month = '2026-01-01' AND asset LIKE '%service_requests'",
            "facts/service_requests of 2026-01 is not built",
        ),
        (
            "UPDATE serving.checked SET checked_at = '2026-04-01', run_id = 'old' WHERE asset LIKE '%team_daily'",
            "timelines/service_team_daily of 2026-01 was not checked since it was written",
        ),
        (
            _FAILED.format("ERROR"),
            "timelines/service_model_daily of 2026-01 fails its check cost_in_facts",
        ),
    ],
)
def test_a_month_is_kept_back_until_what_is_made_of_it_is_there_and_good(writer: Writer, change: str, why: str) -> None:
    writer.con.execute(change)

    assert _listed(writer, _site(raw_events_days=90)) == [("raw/usage_events", JAN, why)]
    assert apply(writer, KIND, _site(raw_events_days=90), NOW) == []


def test_a_warning_keeps_nothing_back(writer: Writer) -> None:
    writer.con.execute(_FAILED.format("WARN"))

    assert _listed(writer, _site(raw_events_days=90)) == [("raw/usage_events", JAN, None)]


def test_without_bookkeeping_nothing_goes() -> None:
    writer = opened()
    store(writer, [request("a", "01-10 10:00", "01-10 11:00")])

    assert _listed(writer, _site(facts_days=1)) == [
        ("facts/service_requests", JAN, "timelines/usage_steps of 2026-01 is not built")
    ]


def test_aggregates_that_went_first_do_not_keep_facts_back_and_uses_stay(writer: Writer) -> None:
    apply(writer, KIND, _site(aggregates_days=90), NOW)
    writer.con.execute("DELETE FROM serving.gates WHERE month = '2026-01-01' AND asset LIKE '%service_user_daily'")

    assert [one.part.asset for one in apply(writer, KIND, _site(facts_days=90), NOW)] == ["facts/service_requests"]
    assert JAN in writer.sql("SELECT month FROM timelines.service_uses")["month"]
    assert JAN not in writer.sql("SELECT month FROM timelines.service_user_daily")["month"]
    assert sorted(gone_months(writer, "llm")) == ["facts/service_requests", "timelines/service_user_daily"]
    assert gone_months(writer, "other") == {}


def test_every_level_names_an_option_of_the_site_and_assets_that_are_there() -> None:
    known = {*KIND.declared, *(f"raw/{raw.name}" for raw in KIND.raw_tables)}

    assert list(LEVELS) == list(Retention.model_fields)
    assert {part.asset for level in LEVELS.values() for part in level} <= known


def test_months_wait_for_all_that_is_made_of_them_directly_or_not() -> None:
    site = _site()

    of_raw, of_facts = (made_of(KIND, site, [name]) for name in ("raw/usage_events", "facts/service_requests"))

    assert {"facts/service_requests", "timelines/service_user_monthly", "reports/recommendations"} <= set(of_raw)
    assert {"timelines/service_user_daily", "timelines/usage", "reports/model_profiles"} <= set(of_facts)
    assert "facts/service_requests" not in of_facts
    assert "reports/spending_alerts" not in of_raw


def test_nothing_is_made_again_of_months_that_are_gone_or_beside_them(writer: Writer) -> None:
    apply(writer, KIND, _site(facts_days=90), NOW)
    (daily,) = (asset for asset in TABLE_ASSETS if asset.name == "service_user_daily")
    folded = Asset(
        "facts", "service_requests", SERVICE_REQUESTS, ("raw/usage_events",), months_before=1, months_after=1
    )
    window = Window("llm", (date(2025, 12, 1), JAN, FEB))
    site = _site()

    gone = without_rows(writer, KIND, site, window, daily)

    why = (
        "facts/service_requests of 2026-01 was removed: timelines/service_user_daily can't be built again, "
        "its rows stay"
    )
    assert gone == {date(2025, 12, 1): why, JAN: why}
    assert list(without_rows(writer, KIND, site, window, folded)) == [JAN]
    writer.put(
        RETENTION_LOG,
        pl.DataFrame(
            [("llm", JAN, "raw/usage_events", 1, 1, 1, 1, NOW, NOW)], RETENTION_LOG.polars_schema, orient="row"
        ),
    )
    assert list(without_rows(writer, KIND, site, window, folded)) == list(window.months)
