"""Nightlies that did not come, came late or were stopped, also on the nights in which clocks change."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from usage_assets.orchestration import missed
from usage_assets.orchestration.missed import Nightly, NightRun, due, verdict_of_site
from usage_assets_tests.unit.alerts.conftest import NOW, Receiver, World

HOUR = timedelta(hours=1)
SUCCESS, FAILURE, STARTED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED
UTC_NIGHTLY = Nightly("openstack_nightly", "15 2 * * *", "UTC", {"a": date(2016, 1, 1)})
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def fault(*runs: NightRun, now: str, since: datetime = LONG_AGO, nightly: Nightly = UTC_NIGHTLY) -> str | None:
    """What is said of site a: a sentence, nothing ("") where all is well, None where nothing shows."""
    found = verdict_of_site(nightly, "a", runs, since=since, now=at(now), grace=2 * HOUR)
    return None if found is None else next((one.text for one in found.troubles.values()), "")


def run(created: str, status: dg.DagsterRunStatus = SUCCESS, ended: str | None = None) -> NightRun:
    end = None if status == STARTED else at(ended or created) + (timedelta() if ended else HOUR / 6)
    return NightRun("a", at(created), status, end)


NIGHTS = [f"2026-10-{day:02} 02:15" for day in (7, 8, 9)]


def test_nights_that_all_came_are_well():
    assert fault(*map(run, NIGHTS), now="2026-10-09 12:00") == ""


def test_a_night_that_did_not_come_is_told_after_the_grace():
    runs = [run(night) for night in NIGHTS[:2]]
    assert fault(*runs, now="2026-10-09 04:00") == ""
    text = fault(*runs, now="2026-10-09 04:16")
    assert text is not None
    assert text.startswith("the nightly of 2026-10-09 02:15 UTC did not start within 2 h")


def test_a_night_that_still_runs_after_the_grace_is_late():
    runs = [run(NIGHTS[0]), run(NIGHTS[1]), run(NIGHTS[2], STARTED)]
    assert fault(*runs, now="2026-10-09 04:00") == ""
    assert "has not ended within 2 h" in str(fault(*runs, now="2026-10-09 05:00"))


def test_a_night_that_failed_is_not_missed_too():
    assert fault(run(NIGHTS[0]), run(NIGHTS[1]), run(NIGHTS[2], FAILURE), now="2026-10-09 12:00") == ""


def test_a_night_that_was_not_asked_for_because_the_one_before_still_ran_is_not_missed():
    before = run(NIGHTS[1], SUCCESS, ended="2026-10-09 03:00")
    assert fault(run(NIGHTS[0]), before, now="2026-10-09 12:00") == ""


def test_a_night_that_came_hours_later_makes_good_for_those_missed():
    assert fault(run("2026-10-09 10:00"), now="2026-10-09 12:00") == ""


def test_a_night_before_the_schedule_was_known_is_not_missed():
    assert fault(now="2026-10-09 12:00", since=at("2026-10-09 08:00")) is None


def test_a_night_before_a_sites_first_month_is_not_missed():
    nightly = Nightly("openstack_nightly", "15 2 * * *", "UTC", {"a": date(2026, 11, 1)})
    assert fault(now="2026-10-09 12:00", nightly=nightly) is None


@pytest.mark.parametrize(
    ("start", "instants"),
    [
        # 02:15 does not exist: the scheduler takes 03:00 summer time
        ("2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:15"]),
        # 02:15 exists twice: the scheduler takes it once, in winter time
        ("2026-10-24 12:00", ["2026-10-25 01:15", "2026-10-26 01:15"]),
    ],
)
def test_a_night_in_which_clocks_change_is_due_once(start: str, instants: list[str]):
    berlin = Nightly("openstack_nightly", "15 2 * * *", "Europe/Berlin", {"a": date(2016, 1, 1)})
    assert list(due(berlin, at(start), at(start) + timedelta(days=2))) == [at(one) for one in instants]


def nightly_of(world: World, when: datetime, *, sites: tuple[str, ...] = ("a",)) -> Nightly:
    """A schedule that is due once a day at this hour."""
    made = Nightly(
        "openstack_nightly", f"{when.minute} {when.hour} * * *", "UTC", dict.fromkeys(sites, date(2016, 1, 1))
    )
    world.nightlies = [made]
    return made


def test_a_missed_nightly_is_told_once_and_that_one_succeeded(world: World, hook: Receiver):
    due_at = NOW - timedelta(minutes=20)
    nightly_of(world, due_at, sites=("a", "b"))
    tags = {"usage/trigger": "nightly", "usage/site": "b"}
    world.instance.create_run_for_job(_empty, tags=tags, status=SUCCESS)
    world.tick(-HOUR)
    world.tick(HOUR)
    assert hook.bodies == []
    world.tick(2 * HOUR)
    world.tick(3 * HOUR)
    assert hook.subjects == ["usage_assets: 1 error (a)"]
    assert hook.bodies[0]["groups"][0]["checks"][0]["check"] == "nightly"
    world.instance.create_run_for_job(_empty, tags=tags | {"usage/site": "a"}, status=FAILURE)
    world.tick(3 * HOUR)
    world.instance.create_run_for_job(_empty, tags=tags | {"usage/site": "a"}, status=SUCCESS)
    world.tick(3 * HOUR)
    assert hook.bodies[-1]["groups"][0]["severity"] == "RECOVERED"
    assert [body["groups"][0]["checks"][0]["check"] for body in hook.bodies].count("nightly") == 2


def test_a_schedule_with_another_hour_is_watched_from_then_on(world: World, hook: Receiver):
    nightly_of(world, NOW + 12 * HOUR)
    world.tick()
    nightly_of(world, NOW + 3 * HOUR)
    world.tick(6 * HOUR)
    world.tick(12 * HOUR)
    assert hook.bodies == []


def test_a_missed_nightly_of_a_site_that_was_removed_is_forgotten(world: World, hook: Receiver):
    nightly_of(world, NOW)
    world.tick(-HOUR)
    world.tick(3 * HOUR)
    world.nightlies = []
    world.tick(4 * HOUR)
    assert len(hook.bodies) == 1
    assert world.state().causes_of("nightly") == []


def test_a_stopped_schedule_is_told_once_and_its_nights_are_not_missed(
    world: World, hook: Receiver, monkeypatch: pytest.MonkeyPatch
):
    nightly_of(world, NOW)
    stopped = {"openstack_nightly"}
    monkeypatch.setattr(missed, "stopped", lambda *_: stopped)
    for hours in (0, 3, 48):
        world.tick(hours * HOUR)
    assert hook.subjects == ["usage_assets: 1 error"]
    assert "the nightly schedule is stopped" in hook.bodies[0]["text"]
    stopped.clear()
    world.tick(49 * HOUR)
    assert hook.subjects[1:] == ["usage_assets: 1 recovered"]


def test_a_schedule_that_was_stopped_in_the_ui_is_found(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        target = LoadableTargetOrigin(executable_path="python", module_name="usage_assets.definitions")
        location = InProcessCodeLocationOrigin(target, location_name="here")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "openstack_nightly")
        assert missed.stopped(instance, ["openstack_nightly"]) == set()
        data = ScheduleInstigatorData("15 2 * * *")
        state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data)
        instance.add_instigator_state(state)
        assert missed.stopped(instance, ["openstack_nightly", "other"]) == {"openstack_nightly"}
        assert missed.stopped(instance, ["other"]) == set()


@dg.job(name="_empty")
def _empty():
    pass
