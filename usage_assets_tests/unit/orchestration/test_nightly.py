"""The nightly schedule: which months of which sites, on any day of the year, and while the last night has not ended."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._utils.schedules import schedule_execution_time_iterator  # what the daemon iterates; no public name

from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.definitions import build_defs
from usage_assets.facts.tables import LEASES
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.kind import OpenStack
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.cron import clock_of
from usage_assets.orchestration.nightly import first_unsettled, nightly_schedule, pending_since, requests
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import make_site

BERLIN = ZoneInfo("Europe/Berlin")
NOWHERE = Warehouse(Path("/nowhere/warehouse.duckdb"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    Path(os.environ["DAGSTER_HOME"]).mkdir()
    with dg.DagsterInstance.get() as instance:  # a schedule opens the instance anew, so it can't be in memory
        yield instance


@dg.job
def openstack() -> None:
    """A job of the kind's name: whose runs they are is all that the schedule asks."""


def tick(
    instance: dg.DagsterInstance, sites: Mapping[str, Site], at: datetime, warehouse: Warehouse
) -> ScheduleExecutionData:
    """What the real schedule gives at an instant."""
    schedule = nightly_schedule(OPENSTACK, sites, warehouse)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context:
        return schedule.evaluate_tick(context)


def site(key: str, **more) -> OpenStackSite:
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": key, "name": key, "databases": {"nova": "sqlite://"}, **more}
    )


def test_a_night_asks_for_previous_and_current_month_of_every_site_as_one_range_each():
    found = list(requests({"a": site("a"), "b": site("b")}, date(2020, 1, 15), "now"))
    assert [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in found] == [
        ("2019-12-01|a", "2020-01-01|a"),
        ("2019-12-01|b", "2020-01-01|b"),
    ]
    assert len({one.run_key for one in found}) == 2


def test_a_night_does_not_ask_for_months_before_a_sites_first():
    found = list(
        requests(
            {"new": site("new", first_month="2020-01"), "planned": site("planned", first_month="2020-02")},
            date(2020, 1, 15),
            "now",
        )
    )
    assert [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in found] == [("2020-01-01|new", "2020-01-01|new")]


def with_leases(folder: Path, *leases: tuple[str, str, date, str]) -> Warehouse:
    """A warehouse with leases: id, site, month, outcome."""
    empty = dict.fromkeys(LEASES.names)
    rows = [
        empty
        | {"lease_id": name, "site": at, "month": month, "outcome": outcome, "node_type": "t"}
        | {"created_at": datetime(month.year, month.month, 2)}
        for name, at, month, outcome in leases
    ]
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(LEASES)
        writer.put(LEASES, pl.DataFrame(rows, schema=LEASES.polars_schema))
    return warehouse


def test_a_night_reaches_back_to_the_first_month_with_pending_leases_at_most_a_year(tmp_path: Path):
    warehouse = with_leases(
        tmp_path,
        ("1", "a", date(2019, 9, 1), "pending"),
        ("2", "a", date(2019, 5, 1), "started"),
        ("3", "b", date(2018, 12, 1), "pending"),
        ("4", "c", date(2020, 1, 1), "pending"),
        ("5", "d", date(2019, 1, 1), "pending"),
    )
    pending = pending_since(warehouse, date(2020, 1, 15))
    assert pending == {"a": date(2019, 9, 1), "c": date(2020, 1, 1), "d": date(2019, 1, 1)}
    sites = {key: site(key) for key in "abc"} | {"d": site("d", first_month="2019-11")}
    found = list(requests(sites, date(2020, 1, 15), "now", pending))
    assert [one.tags[RANGE_START] for one in found] == ["2019-09-01|a", "2019-12-01|b", "2019-12-01|c", "2019-11-01|d"]
    assert {one.tags[RANGE_END].partition("|")[0] for one in found} == {"2020-01-01"}


def test_a_warehouse_that_holds_no_leases_yet_leaves_the_plain_range(tmp_path: Path):
    assert pending_since(Warehouse(tmp_path / "none.duckdb"), date(2020, 1, 15)) == {}


def test_a_warehouse_that_can_not_be_read_leaves_the_plain_range(tmp_path: Path, instance: dg.DagsterInstance):
    broken = tmp_path / "warehouse.duckdb"
    broken.write_text("no database", encoding="utf-8")
    found = tick(instance, {"a": site("a")}, datetime(2020, 1, 15, tzinfo=UTC), Warehouse(broken))
    assert [one.tags[RANGE_START] for one in found.run_requests or ()] == ["2019-12-01|a"]


@pytest.mark.parametrize(
    ("today", "settle_days", "first"),
    [
        (date(2020, 1, 31), 31, date(2019, 12, 1)),
        (date(2020, 3, 1), 31, date(2020, 1, 1)),
        (date(2020, 3, 2), 31, date(2020, 1, 1)),
        (date(2020, 3, 3), 31, date(2020, 2, 1)),
        (date(2020, 1, 1), 0, date(2019, 12, 1)),
        (date(2020, 5, 15), 90, date(2020, 2, 1)),
        (date(2020, 1, 15), 366, date(2019, 1, 1)),
    ],
)
def test_a_closed_month_is_read_until_settle_days_have_passed_and_the_previous_one_always(
    today: date, settle_days: int, first: date
):
    assert first_unsettled(site("a", settle_days=settle_days), today) == first


def test_every_day_of_a_year_asks_for_each_month_until_it_has_settled():
    one = site("a", settle_days=45)
    for day in range(366):
        today = date(2020, 1, 1) + timedelta(days=day)
        (found,) = requests({"a": one}, today, "now")
        first = date.fromisoformat(found.tags[RANGE_START].partition("|")[0])
        before = first - timedelta(days=1)  # the last day of the newest month that is not asked for
        assert before + timedelta(days=1 + 45) <= today
        assert (first.year, first.month) != (today.year, today.month)


@pytest.mark.parametrize("around", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 3 * * *", "15 0 * * *"])
def test_the_clock_change_gives_each_site_exactly_one_run_a_night(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, around: datetime, cron: str
):
    monkeypatch.setenv("USAGE_NIGHTLY_CRON", cron)
    monkeypatch.setenv("USAGE_TIMEZONE", "Europe/Berlin")
    sites = {"a": site("a"), "b": site("b")}
    schedule = nightly_schedule(OPENSTACK, sites, NOWHERE)
    assert isinstance(schedule.cron_schedule, str)
    ticks = [
        *islice(
            schedule_execution_time_iterator(
                (around - timedelta(days=3)).timestamp(), schedule.cron_schedule, schedule.execution_timezone
            ),
            7,
        )
    ]
    nights = [at.astimezone(BERLIN).date() for at in ticks]
    assert [after - before for before, after in pairwise(nights)] == [timedelta(days=1)] * 6
    keys = [one.run_key for at in ticks for one in tick(instance, sites, at, NOWHERE).run_requests or ()]
    assert len(keys) == len(set(keys)) == 14


def test_a_clock_set_back_asks_under_the_same_keys_which_dagster_runs_once(instance: dg.DagsterInstance):
    at = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    first = tick(instance, {"a": site("a")}, at, NOWHERE).run_requests or []
    again = tick(instance, {"a": site("a")}, at.astimezone(UTC), NOWHERE).run_requests or []
    assert [one.run_key for one in first] == [one.run_key for one in again]


def test_a_clock_set_forward_by_a_year_and_back_asks_for_the_months_of_each_night(instance: dg.DagsterInstance):
    asked = []
    for at in (datetime(2026, 5, 4, tzinfo=UTC), datetime(2027, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)):
        (one,) = tick(instance, {"a": site("a")}, at, NOWHERE).run_requests or []
        asked.append((one.tags[RANGE_START], one.tags[RANGE_END]))
    assert asked == [
        ("2026-04-01|a", "2026-05-01|a"),
        ("2027-04-01|a", "2027-05-01|a"),
        ("2026-04-01|a", "2026-05-01|a"),
    ]


NIGHT = datetime(2020, 1, 15, 2, 15, tzinfo=UTC)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_site_whose_night_has_not_ended_is_not_asked_for_again(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
):
    tags = {"usage/site": "a", "usage/trigger": "nightly"}
    run = instance.create_run_for_job(openstack, tags=tags, status=status)
    both = tick(instance, {"a": site("a"), "b": site("b")}, NIGHT, NOWHERE)
    assert [one.tags["usage/site"] for one in both.run_requests or ()] == ["b"]
    alone = tick(instance, {"a": site("a")}, NIGHT, NOWHERE)
    assert alone.skip_message == (
        f"Site a is not asked for again tonight: its nightly run {run.run_id[:8]} has not ended"
    )
    instance.report_run_failed(run)
    assert len(tick(instance, {"a": site("a")}, NIGHT, NOWHERE).run_requests or ()) == 1


def test_a_backfill_that_runs_does_not_keep_the_night_from_its_site(instance: dg.DagsterInstance):
    tags = {"usage/site": "a", "usage/trigger": "command"}
    instance.create_run_for_job(openstack, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert len(tick(instance, {"a": site("a")}, NIGHT, NOWHERE).run_requests or ()) == 1


def test_a_site_whose_file_is_broken_is_skipped_and_said(instance: dg.DagsterInstance):
    book = SiteBook({}, {"bad": "bad.yaml:2: colour: unknown key"}, {"bad": "openstack"})
    assert tick(instance, book, NIGHT, NOWHERE).skip_message == (
        "Site bad is not read tonight, its file has a fault: bad.yaml:2: colour: unknown key"
    )
    found = tick(instance, SiteBook({"a": site("a")}, book.faults, book.kinds), NIGHT, NOWHERE)
    assert [one.tags["usage/site"] for one in found.run_requests or ()] == ["a"]


def test_kinds_have_their_nights_apart(instance: dg.DagsterInstance):
    tags = {"usage/site": "a", "usage/trigger": "nightly"}
    instance.create_run_for_job(openstack, tags=tags, status=dg.DagsterRunStatus.STARTED)

    class Other(OpenStack):
        name = "other"

    other = nightly_schedule(Other(), {"a": site("a")}, NOWHERE)
    assert (other.name, other.job_name) == ("other_nightly", "other")
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=NIGHT) as context:
        assert len(other.evaluate_tick(context).run_requests or ()) == 1


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("USAGE_NIGHTLY_CRON", "at night", "USAGE_NIGHTLY_CRON is 'at night', which is no cron line of five fields"),
        ("USAGE_NIGHTLY_CRON", "0 0 30 2 *", "USAGE_NIGHTLY_CRON is '0 0 30 2 *', which is no cron line"),
        ("USAGE_NIGHTLY_CRON", "15 2 * * * *", "Until then it is 15 2 * * *"),
        ("USAGE_TIMEZONE", "Europe/Berln", "USAGE_TIMEZONE is 'Europe/Berln', which is no time zone"),
        ("USAGE_TIMEZONE", "../etc/passwd", "Until then it is UTC"),
    ],
)
def test_a_clock_that_can_not_be_read_is_told_and_the_default_holds(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, variable: str, value: str, said: str
):
    monkeypatch.setenv(variable, value)
    clock = clock_of("USAGE_NIGHTLY_CRON")
    assert (clock.cron, clock.timezone) == ("15 2 * * *", "UTC")
    assert said in clock.faults[0]
    assert len(tick(instance, {"a": site("a")}, NIGHT, NOWHERE).run_requests or ()) == 1


def test_a_variable_that_is_empty_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_NIGHTLY_CRON", "")
    monkeypatch.setenv("USAGE_TIMEZONE", "")
    assert clock_of("USAGE_NIGHTLY_CRON").faults == ()


def test_a_site_that_is_down_does_not_stop_the_others(tmp_path: Path, instance: dg.DagsterInstance):
    up = make_site(tmp_path)
    down = up.model_copy(update={"key": "down", "databases": {"nova": f"sqlite:///{tmp_path}/gone/nova.db"}})
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    sites = {"down": down, "tiny": up}
    job = build_defs(sites, warehouse, automation=False).resolve_job_def("openstack")
    chosen = [dg.AssetKey(["openstack", "raw", "nova_instances"])]
    ended = {}
    for asked in tick(instance, sites, datetime(2020, 2, 15, tzinfo=UTC), warehouse).run_requests or ():
        run = job.execute_in_process(
            instance=instance, asset_selection=chosen, tags=dict(asked.tags), raise_on_error=False
        )
        ended[asked.tags["usage/site"]] = run.success
    assert ended == {"down": False, "tiny": True}
    with warehouse.read() as reader:
        assert reader.sql("SELECT DISTINCT site FROM raw.nova_instances").rows() == [("tiny",)]
