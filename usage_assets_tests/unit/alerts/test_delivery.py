"""What a channel does not take stays until it does, whatever happens between; one channel's fault is its own."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets.orchestration import alert_collection, alert_sensor
from usage_assets_tests import ROOT
from usage_assets_tests.unit.alerts.conftest import NOW, Receiver, World

MINUTE = timedelta(minutes=1)
DEAD = "http://127.0.0.1:9/t0ken"


def test_a_webhook_that_answers_500_gets_the_alert_again(world: World, hook: Receiver):
    hook.answers = [500]
    world.run("2020-01")
    with pytest.raises(AlertError, match="answered 500"):
        world.tick()
    world.tick(MINUTE)
    world.tick(2 * MINUTE)
    assert hook.subjects == ["usage_assets: 1 error (a)"]


def test_a_redirect_is_no_delivery(world: World, hook: Receiver):
    hook.answers = [302]
    world.run("2020-01")
    with pytest.raises(AlertError, match="answered 302"):
        world.tick()
    assert hook.paths == ["/"]


def test_a_server_that_refuses_the_connection_is_named_without_its_token(world: World, configure: Callable[..., Path]):
    configure({"kind": "webhook", "url": DEAD})
    world.run("2020-01")
    with pytest.raises(AlertError) as error:
        world.tick()
    assert "channel webhook: 127.0.0.1 can't be reached (ConnectionRefusedError)" in str(error.value)
    assert "t0ken" not in str(error.value)
    assert b"t0ken" not in settings.alerts_state().read_bytes()


def test_one_channel_that_fails_does_not_keep_another_from_being_told(
    world: World, receiver: Receiver, configure: Callable[..., Path]
):
    configure(
        {"kind": "webhook", "name": "dead", "url": DEAD}, {"kind": "webhook", "name": "fine", "url": receiver.url}
    )
    world.run("2020-01")
    with pytest.raises(AlertError, match="channel dead"):
        world.tick()
    assert str(world.tick(timedelta(seconds=10))) == "0 new, 0 delivered; waiting for another try: dead"
    assert len(receiver.bodies) == 1


def test_a_failing_channel_is_left_alone_twice_as_long_each_time_up_to_an_hour(
    world: World, configure: Callable[..., Path]
):
    configure({"kind": "webhook", "url": DEAD})
    world.run("2020-01")
    at, waits = timedelta(), []
    for _ in range(10):
        with pytest.raises(AlertError) as error:
            world.tick(at)
        waits.append(int(str(error.value).rsplit(" ", 2)[1]))
        at += timedelta(seconds=waits[-1])
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_what_waited_for_hours_comes_as_one_message_with_each_cause_once(world: World, hook: Receiver):
    hook.answers = [500]
    world.run("2020-01", text="rows are gone")
    with pytest.raises(AlertError):
        world.tick()
    world.run("2020-01", text="a column is missing")
    world.run("2020-02", site="b")
    world.tick(timedelta(seconds=5))
    world.tick(timedelta(hours=3))
    assert hook.subjects == ["usage_assets: 2 errors (a, b)"]
    assert hook.bodies[0]["groups"][0]["checks"][0]["sentences"] == ["a column is missing"]
    assert "waiting since" in hook.bodies[0]["text"]


_KILLED = """
import os, signal, sys
from datetime import datetime
import dagster as dg
from usage_assets.core import settings
from usage_assets.orchestration import alert_sensor
from usage_assets.alerts.state import State
setattr(State, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
State.plans = (lambda *_: {"x": None}) if sys.argv[2] == "set_plans" else State.plans
with dg.DagsterInstance.local_temp(sys.argv[1]) as instance:
    alert_sensor.tick(instance, settings.alerts_state(), [], dict, datetime.fromisoformat(sys.argv[3]))
"""


@pytest.fixture
def stored_world(tmp_path: Path) -> Iterator[World]:
    """A world whose runs another process can see."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield World(instance)


def tick_killed_in(step: str) -> None:
    """A tick in a process of its own, killed as it comes to that step of the alerts' memory."""
    home = os.environ["DAGSTER_HOME"]
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, home, step, NOW.isoformat()], cwd=ROOT, check=False, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_kill_between_delivery_and_note_repeats_the_alert_and_loses_nothing(stored_world: World, hook: Receiver):
    stored_world.run("2020-01")
    tick_killed_in("taken")
    assert len(hook.bodies) == 1
    stored_world.tick()
    stored_world.tick()
    assert hook.subjects == ["usage_assets: 1 error (a)"] * 2


def test_a_kill_before_the_transaction_ends_leaves_the_run_to_the_next_tick(stored_world: World, hook: Receiver):
    stored_world.run("2020-01")
    tick_killed_in("set_plans")
    assert hook.bodies == []
    stored_world.tick()
    assert len(hook.bodies) == 1


def test_a_new_channel_begins_with_what_is_new(world: World, receiver: Receiver, configure: Callable[..., Path]):
    configure({"kind": "log"})
    world.run("2020-01")
    world.tick()
    configure({"kind": "log"}, {"kind": "webhook", "url": receiver.url})
    world.tick()
    world.run("2020-01", "2020-02")
    world.tick()
    assert [body["groups"][0]["checks"][0]["months"] for body in receiver.bodies] == ["2020-02"]


def test_a_channel_without_warnings_hears_of_errors_and_when_they_end(
    world: World, receiver: Receiver, configure: Callable[..., Path]
):
    configure({"kind": "webhook", "url": receiver.url})
    for severity in ("WARN", "ERROR", "WARN"):
        world.run("2020-01", severity=severity)
        world.tick()
    world.run()
    world.tick()
    assert receiver.subjects == ["usage_assets: 1 error (a)", "usage_assets: 1 recovered (a)"]


def test_a_broken_configuration_is_told_by_the_log_and_costs_the_channels_nothing(
    world: World, hook: Receiver, caplog: pytest.LogCaptureFixture
):
    world.tick()
    path = settings.alerts_file()
    good = path.read_text()
    path.write_text("channels: [{kind: pigeon}]")
    world.run("2020-01")
    world.tick()
    assert "alerts.yaml\n  can't be used" in caplog.text
    assert hook.bodies == []
    path.write_text(good)
    world.tick()
    told = [(group["severity"], group["asset"]) for group in hook.bodies[0]["groups"]]
    assert told == [("ERROR", "k/raw/thing"), ("RECOVERED", "alerts.yaml")]


def test_a_site_file_with_a_fault_is_told_and_that_it_was_mended(world: World, hook: Receiver):
    world.faults = {"chi": "chi.yaml:3: first_month: '2016' is not a month"}
    world.tick()
    world.tick()
    world.faults = {}
    world.tick()
    assert hook.subjects == ["usage_assets: 1 error", "usage_assets: 1 recovered"]
    assert hook.bodies[0]["groups"][0]["asset"] == "site file chi.yaml"


def test_more_runs_than_a_page_are_all_told(world: World, hook: Receiver):
    world.tick()
    for month in range(1, 13):
        world.run(f"2020-{month:02}", first=f"2020-{month:02}", last=f"2020-{month:02}")
    world.tick()
    assert hook.bodies[0]["groups"][0]["checks"][0]["months"] == "2020-01..2020-12"


def test_a_run_stored_by_a_clock_that_was_set_back_is_told(world: World, hook: Receiver):
    world.run()
    world.tick(timedelta(days=400))
    world.run("2020-01")
    world.tick(timedelta(days=-400))
    assert len(hook.bodies) == 1


def test_a_channel_that_waits_by_a_clock_that_was_set_back_is_tried(world: World, hook: Receiver):
    hook.answers = [500]
    world.tick()
    world.run("2020-01")
    with pytest.raises(AlertError):
        world.tick(timedelta(days=400))
    world.tick()
    assert len(hook.bodies) == 1


def test_a_run_that_was_under_way_is_told_when_it_ends(world: World, hook: Receiver):
    run = world.instance.create_run_for_job(_empty, status=dg.DagsterRunStatus.STARTED)
    world.tick()
    world.run()
    world.tick()
    assert hook.bodies == []
    world.instance.report_run_failed(run, "it was killed")
    world.tick()
    assert hook.bodies[0]["groups"][0]["asset"] == "_empty"


def test_a_deleted_run_is_let_go(world: World, hook: Receiver):
    run = world.instance.create_run_for_job(_empty, status=dg.DagsterRunStatus.STARTED)
    world.tick()
    world.instance.delete_run(run.run_id)
    world.tick()
    assert world.state().unread_runs() == []


def test_another_storage_of_runs_is_looked_at_a_day_back(world: World, hook: Receiver):
    world.run("2020-01")
    world.tick()
    with dg.DagsterInstance.ephemeral() as other:
        world.instance = other
        world.run("2020-02")
        world.tick()
        world.tick()
    assert [body["groups"][0]["checks"][0]["months"] for body in hook.bodies] == ["2020-01", "2020-02"]


def test_a_run_whose_events_can_not_be_read_does_not_silence_others(
    world: World, hook: Receiver, monkeypatch: pytest.MonkeyPatch
):
    bad = world.run("2020-01")
    world.run("2020-02", site="b")
    whole = alert_collection.verdicts_of

    def verdicts_of(instance: dg.DagsterInstance, run: dg.DagsterRun):
        if run.run_id == bad:
            raise sqlite3.DatabaseError("malformed")
        return whole(instance, run)

    monkeypatch.setattr(alert_collection, "verdicts_of", verdicts_of)
    monkeypatch.setattr(alert_collection, "_TRIES", 2)
    world.tick()
    world.tick()
    assert [body["groups"][0]["site"] for body in hook.bodies] == ["b", ""]
    assert "can't be read" in hook.bodies[1]["groups"][0]["checks"][0]["sentences"][0]


def test_a_damaged_memory_is_put_aside_and_said(world: World, hook: Receiver):
    path = settings.alerts_state()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all" * 1000)
    world.tick()
    assert "alerts.db.broken-" in hook.bodies[0]["text"]
    assert list(path.parent.glob("alerts.db.broken-*"))


def test_two_ticks_at_once_tell_everything_once(world: World, hook: Receiver):
    world.run("2020-01")
    alerts = alert_sensor.alert_sensor([], dict)
    told: list[object] = []

    def one() -> None:
        with dg.build_sensor_context(instance=world.instance) as context:
            told.append(alerts(context))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4
    assert len(hook.bodies) == 1


def test_the_heartbeat_is_asked_every_five_minutes_while_all_is_well(
    world: World, receiver: Receiver, configure: Callable[..., Path]
):
    configure({"kind": "log"}, heartbeat={"url": f"{receiver.url}/beat"})
    for seconds in (0, 30, 299, 300, 330):
        world.tick(timedelta(seconds=seconds))
    assert receiver.paths == ["/beat", "/beat"]


def test_the_heartbeat_stops_while_a_channel_does_not_deliver(
    world: World, receiver: Receiver, configure: Callable[..., Path]
):
    configure({"kind": "webhook", "url": DEAD}, heartbeat={"url": f"{receiver.url}/beat"})
    world.run("2020-01")
    with pytest.raises(AlertError):
        world.tick()
    world.tick(timedelta(seconds=10))
    assert receiver.paths == []


def test_the_memory_is_readable_by_its_owner_only(world: World):
    world.tick()
    assert settings.alerts_state().stat().st_mode & 0o777 == 0o600


def test_one_sensor_is_on_by_default():
    alerts = alert_sensor.alert_sensor([], dict)
    assert (alerts.name, alerts.minimum_interval_seconds) == ("alerts", 30)
    assert alerts.default_status == dg.DefaultSensorStatus.RUNNING


@dg.job(name="_empty")
def _empty():
    pass
