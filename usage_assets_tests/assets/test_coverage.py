"""The asset `usage/reports/coverage`: its table, page and checks after real runs, and what the command prints of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import polars as pl
import pytest

from usage_assets.cli.access import show_status
from usage_assets.core import settings
from usage_assets.core.months import Window
from usage_assets.definitions import build_defs
from usage_assets.kinds import kind_of
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.coverage_step import KEY
from usage_assets.reports import pictures
from usage_assets.reports.coverage.judge import assets_of
from usage_assets.reports.tables import COVERAGE
from usage_assets.sites.book import SiteBook
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import DUMPS, GATES, VERSIONS
from usage_assets.warehouse.readiness import GATED
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, build, make_site

NOON = datetime(2020, 3, 10, 12)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The clock of coverage stands in March 2020; the sources of SQLite files have the real one's."""
    for module in ("usage_assets.orchestration.coverage_step", "usage_assets.cli.access"):
        monkeypatch.setattr(f"{module}.naive_utc_now", lambda: NOON)
    monkeypatch.setenv("USAGE_PICTURES", "none")
    return NOON


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def cover(
    book: dict[str, OpenStackSite] | SiteBook, warehouse: Warehouse, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    job = build_defs(book, warehouse, automation=False).resolve_job_def("publish")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(instance=instance, asset_selection=[KEY], run_config=quiet, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def failing(check: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    found = check.metadata["failing"].value
    assert isinstance(found, list)
    return found


def keep_books(
    warehouse: Warehouse,
    site: OpenStackSite,
    months: Sequence[date],
    at: datetime,
    closed: Mapping[tuple[str, date], str] = MappingProxyType({}),
) -> None:
    """What runs record of a site's months: every asset written at an instant, but for those that are `closed`."""
    kind = kind_of(site)
    every = [(name, month) for month in months for name in assets_of(kind, site)]
    gates = [
        {"site": site.key, "month": month, "asset": name, "ok": (name, month) not in closed}
        | {"reason": closed.get((name, month))}
        for name, month in every
    ]
    versions = [
        {"site": site.key, "month": month, "asset": name, "version": 1, "rows": 1, "run_id": "r", "written_at": at}
        for name, month in every
    ]
    counts = dict.fromkeys(("rows", "rows_new", "rows_changed", "rows_moved", "rows_gone", "zero_dates"), 1)
    dumps = [
        {"site": site.key, "month": month, "table_name": table.name, "extracted_at": at, **counts}
        for month in months
        for table in kind.tables_of(site)
    ]
    with warehouse.write("test") as writer:
        for table, rows in ((GATES, gates), (VERSIONS, versions), (DUMPS, dumps)):
            writer.ensure(table)
            writer.delete(table, site=site.key, months=list(months))
            writer.put(table, pl.DataFrame(rows, schema=table.polars_schema))


def stored(warehouse: Warehouse) -> pl.DataFrame:
    with warehouse.read() as reader:
        return reader.frame(COVERAGE)


def test_what_was_built_is_ok_and_what_was_not_is_missing_and_told_by_site_and_month(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime
):
    site = make_site(tmp_path)
    build(site, warehouse, instance, Window("tiny", (JAN, FEB)), tables_only=True, derived=True)
    result = cover({"tiny": site}, warehouse, instance)
    assert result.success
    rows = stored(warehouse)
    by_month = dict(rows.group_by("month").agg(pl.col("status").unique()).iter_rows())
    assert by_month == {JAN: ["ok"], FEB: ["ok"], MAR: ["missing"]}
    servers = rows.filter(pl.col("asset") == "openstack/raw/nova_instances", pl.col("month") == JAN).row(0, named=True)
    assert (servers["rows"], servers["version"]) == (1, 1)
    assert servers["written_at"] is not None
    found = checks(result)
    assert {name: one.passed for name, one in found.items()} == {"fresh": True, "complete": False, "schedules": True}
    assert found["complete"].severity == dg.AssetCheckSeverity.ERROR
    (entry,) = failing(found["complete"])
    assert (entry["site"], entry["month"]) == ("tiny", "2020-03")
    assert entry["text"].startswith(f"{rows.filter(pl.col('month') == MAR).height} missing: raw/blazar_")
    assert len(entry["text"]) <= 200
    assert found["complete"].description == "1 of 3 site-months incomplete: tiny 1"


def test_a_refused_month_and_those_that_wait_for_it_are_told_with_the_reason(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime
):
    site = make_site(tmp_path)
    refused, waiting = "openstack/raw/nova_instances", "openstack/facts/active"
    closed = {(refused, FEB): "doubled keys", (waiting, FEB): f"{GATED}{refused} was refused"}
    keep_books(warehouse, site, (JAN, FEB, MAR), now, closed)
    assert failing(checks(cover({"tiny": site}, warehouse, instance))["complete"]) == [
        {
            "site": "tiny",
            "month": "2020-02",
            "text": "1 refused, 1 blocked: raw/nova_instances: doubled keys; facts/active: "
            "openstack/raw/nova_instances was refused",
        }
    ]


def test_a_night_that_did_not_come_makes_the_months_stale_that_can_still_change(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    site = make_site(tmp_path)
    keep_books(warehouse, site, (JAN, FEB, MAR), datetime(2020, 3, 8, 2, 15))
    found = checks(cover({"tiny": site}, warehouse, instance))["fresh"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert [entry["month"] for entry in failing(found)] == ["2020-03", "2020-02"]
    assert "last read 2020-03-08 02:15 UTC, 57 h ago" in failing(found)[0]["text"]
    monkeypatch.setenv("USAGE_STALE_HOURS", "58")
    assert checks(cover({"tiny": site}, warehouse, instance))["fresh"].passed


def test_a_limit_that_is_no_number_fails_the_run_with_its_name(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("USAGE_STALE_HOURS", "two days")
    result = cover({"tiny": make_site(tmp_path)}, warehouse, instance)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "USAGE_STALE_HOURS is 'two days'; write a number of hours" in str(failure.event_specific_data)


def test_a_misspelt_time_zone_fails_the_check_of_the_schedules(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("USAGE_TIMEZONE", "Europe/Berln")
    found = checks(cover({"tiny": make_site(tmp_path)}, warehouse, instance))["schedules"]
    assert not found.passed
    assert found.description == (
        "USAGE_TIMEZONE is 'Europe/Berln', which is no time zone; write one such as Europe/Berlin. Until then it is UTC"
    )


def test_rows_of_a_site_whose_file_broke_stay_and_those_of_a_site_that_is_no_more_go(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime
):
    site = make_site(tmp_path)
    three = {key: site.model_copy(update={"key": key}) for key in ("bad", "gone", "good")}
    cover(three, warehouse, instance)
    assert set(stored(warehouse)["site"]) == {"bad", "gone", "good"}
    before = stored(warehouse).filter(pl.col("site") == "bad")
    result = cover(
        SiteBook({"good": three["good"]}, {"bad": "bad.yaml:2: x"}, {"bad": "openstack"}), warehouse, instance
    )
    assert result.success
    assert set(stored(warehouse)["site"]) == {"bad", "good"}
    assert stored(warehouse).filter(pl.col("site") == "bad").equals(before)
    (made,) = result.asset_materializations_for_node("usage__reports__coverage")
    assert "bad.yaml:2: x" in str(made.metadata["left_out"].value)


def test_page_and_csv_say_what_the_table_says(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime
):
    result = cover({"tiny": make_site(tmp_path)}, warehouse, instance)
    folder = settings.plots_dir()
    csv = pl.read_csv(folder / "coverage.csv")
    rows = stored(warehouse)
    said, stands = (sorted(frame.select("site", "month", "asset", "status").rows()) for frame in (csv, rows))
    assert [(site, asset, status) for site, _, asset, status in said] == [
        (site, asset, status) for site, _, asset, status in stands
    ]
    assert "Plotly.newPlot" in (folder / "coverage.html").read_text()
    (made,) = result.asset_materializations_for_node("usage__reports__coverage")
    assert made.metadata["plot"].value == f"{settings.plots_url()}/coverage.html"
    assert made.metadata["missing"].value == rows.height


def test_a_picture_is_drawn_again_only_when_something_changed(
    tmp_path: Path,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
):
    drawn: list[str] = []

    def draw(figures: dict[str, Any]) -> dict[str, bytes]:
        drawn.extend(figures)
        return dict.fromkeys(figures, b"png")

    monkeypatch.setattr(pictures, "draw", draw)
    monkeypatch.setenv("USAGE_PICTURES", "auto")
    site = make_site(tmp_path)
    for _ in range(2):
        result = cover({"tiny": site}, warehouse, instance)
        (made,) = result.asset_materializations_for_node("usage__reports__coverage")
        assert made.metadata["picture"].value == str(settings.plots_dir() / "coverage.png")
    assert drawn == ["coverage"]
    keep_books(warehouse, site, (JAN,), now)
    cover({"tiny": site}, warehouse, instance)
    assert drawn == ["coverage"] * 2


def test_the_asset_has_no_partitions_and_stands_in_the_group_of_what_is_published(tmp_path: Path):
    defs = build_defs({"tiny": make_site(tmp_path)})
    spec = defs.resolve_asset_graph().get(KEY)
    assert (spec.partitions_def, spec.group_name, spec.tags["stage"]) == (None, "usage_serving", "serving")
    daily = next(schedule for schedule in defs.schedules or () if schedule.name == "coverage_daily")
    assert isinstance(daily, dg.ScheduleDefinition)
    assert (daily.cron_schedule, daily.job_name) == ("0 12 * * *", "publish")


def test_the_status_on_the_command_line_is_the_same_judgement(
    tmp_path: Path, warehouse: Warehouse, now: datetime, capsys: pytest.CaptureFixture[str]
):
    site = make_site(tmp_path)
    keep_books(warehouse, site, (JAN, FEB), now)
    show_status({"tiny": site})
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " raw/nova_instances " in line]
    cells = [cell.strip() for cell in line.strip("│┃ ").split("│")]
    assert cells[:6] == ["raw/nova_instances", "2/3", "2020-01", "2020-02", "2020-03", ""]


def test_what_stands_in_the_metadata_is_small_enough_for_the_event_log(
    tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance, now: datetime
):
    sites = {key: make_site(tmp_path).model_copy(update={"key": key}) for key in "ab"}
    (made,) = cover(sites, warehouse, instance).asset_materializations_for_node("usage__reports__coverage")
    assert len(json.dumps({name: str(value.value) for name, value in made.metadata.items()})) < 20_000
