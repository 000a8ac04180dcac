"""The doctor: each question answers ok, warns or fails with what was found, and one that breaks stops no other."""

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import dagster as dg
import duckdb
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from typer.testing import CliRunner

from usage_assets.alerts.sent_mail import LETTERS, Sent
from usage_assets.cli.app import app
from usage_assets.core import settings
from usage_assets.operations import doctor
from usage_assets.operations.backup import make_backup
from usage_assets.operations.doctor import PROBES, examine
from usage_assets.operations.doctor.probes import Installation, Outcome, outcomes_of
from usage_assets.operations.places import Places
from usage_assets.serving.publish import publish
from usage_assets.sites.base import Site
from usage_assets.specs.access_report import ServerAccess, SiteAccess, TableAccess
from usage_assets.specs.mail import DueReport
from usage_assets.warehouse import Warehouse, migrations
from usage_assets_tests.unit.operations.installation import instance_of, job, make, places_in


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("NOVA_PASSWORD", "s3cret-word")
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-word")
    made = make(tmp_path)
    monkeypatch.setenv("USAGE_SITES", str(made.sites))
    monkeypatch.setenv("USAGE_ALERTS", str(made.alerts))
    return made


@pytest.fixture
def patient(places: Places) -> Iterator[Installation]:
    found = Installation(places, datetime.now(tz=UTC), offline=True)
    yield found
    found.close()


def ask(patient: Installation, name: str) -> list[Outcome]:
    return outcomes_of(PROBES[name], patient)


def states(patient: Installation, name: str) -> list[str]:
    return [said.state for said in ask(patient, name)]


def run_of(places: Places, status: str, hours: float = 0, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    """A run of that age."""
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("usage_assets"), "__repository__")
    with instance_of(places) as instance:
        run = instance.create_run_for_job(
            job(), status=dg.DagsterRunStatus(status), tags=tags, remote_job_origin=RemoteJobOrigin(location, "job")
        )
    at = (datetime.now(tz=UTC) - timedelta(hours=hours)).replace(tzinfo=None)
    with closing(sqlite3.connect(places.home / "history" / "runs.db")) as con:
        con.execute("UPDATE runs SET create_timestamp = ? WHERE run_id = ?", [str(at), run.run_id])
        con.commit()
    return run.run_id[:8]


def test_good_site_files_are_well_and_each_bad_one_fails(patient: Installation):
    assert states(patient, "site files") == ["ok"]
    (patient.places.sites / "bad.yaml").write_text("kind: openstack\ncolour: red\n")
    (patient.places.sites / "worse.yaml").write_text("kind: [")
    del patient.book
    found = ask(patient, "site files")
    assert [said.state for said in found] == ["fail", "fail", "ok"]
    assert "bad.yaml:2: colour" in found[0].found


def test_without_a_folder_of_site_files_the_others_are_still_asked(tmp_path: Path):
    answers = list(examine(Installation(places_in(tmp_path / "nothing"), datetime.now(tz=UTC), offline=True)))
    assert {answer.probe for answer in answers} == set(PROBES)
    assert [answer.probe for answer in answers if answer.state == "fail"] == ["site files"]


def test_a_name_that_is_not_set_fails_and_is_named(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    assert states(patient, "secrets") == ["ok"]
    monkeypatch.delenv("NOVA_PASSWORD")
    assert ask(patient, "secrets")[1].found == "a.yaml names NOVA_PASSWORD, not set"


def test_without_alerts_yaml_it_warns_and_a_broken_one_fails(patient: Installation):
    assert ask(patient, "alerts") == [Outcome("ok", "alerts.yaml: mail")]
    patient.places.alerts.write_text("channels: [{kind: pigeon}]\n")
    assert states(patient, "alerts") == ["fail"]
    patient.places.alerts.unlink()
    assert states(patient, "alerts") == ["warn"]


def test_reports_that_have_no_mail_channel_or_were_not_taken_fail(patient: Installation):
    assert ask(patient, "mailed reports") == [Outcome("ok", "no site file names receivers")]
    reports = "reports: {daily: {to: [ops@example.org]}, monthly: {to: [boss@example.org]}}"
    pool = f"kind: htcondor\nname: P\nfirst_month: 2026-01\ntimezone: UTC\nsnapshots: nowhere\n{reports}\n"
    (patient.places.sites / "pool.yaml").write_text(pool)
    patient = Installation(patient.places, patient.now)
    assert ask(patient, "mailed reports") == [Outcome("ok", "2 wanted")]
    at = patient.now.replace(tzinfo=None)
    posting = DueReport("daily", "x", (), at, at, ("ops@example.org",))
    Sent(patient.places.home / LETTERS).note_failure("htcondor", "pool", posting, "no route to host")
    failing, _ = ask(patient, "mailed reports")
    assert (failing.state, failing.found) == (
        "fail", "daily report of pool to ops@example.org was not mailed: no route to host"
    )  # fmt: skip
    patient.places.alerts.write_text("channels: [{kind: log}]\n")
    assert states(patient, "mailed reports") == ["fail", "fail", "ok"]


def test_a_secrets_file_that_others_may_read_fails(
    patient: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    path = tmp_path / "secrets"
    path.write_text("A=s3cret-word\n")
    path.chmod(0o644)
    monkeypatch.setenv("USAGE_SECRETS", str(path))
    found = ask(patient, "secrets")
    assert found[0].state == "fail"
    assert "chmod 600" in found[0].found
    path.chmod(0o600)
    assert states(patient, "secrets") == ["ok"]


def test_a_data_folder_that_everybody_may_write_fails(patient: Installation):
    patient.places.data.chmod(0o777)
    assert states(patient, "folders") == ["fail", "ok"]
    patient.places.data.chmod(0o755)
    assert states(patient, "folders") == ["ok", "ok"]


@pytest.mark.parametrize(("free", "state"), [(1e8, "fail"), (5e8, "warn"), (5e9, "ok")])
def test_free_room_is_compared_with_the_warehouse(
    patient: Installation, monkeypatch: pytest.MonkeyPatch, free: float, state: str
):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1, used=1, free=free))
    assert states(patient, "disk") == [state, state]


def test_a_time_zone_that_is_none_fails(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    assert states(patient, "clock") == ["ok"]
    monkeypatch.setenv("USAGE_TIMEZONE", "Mars")
    assert states(patient, "clock") == ["fail", "ok"]


def test_a_clock_that_went_back_fails(patient: Installation):
    patient.now = patient.now - timedelta(days=1)
    assert "lies ahead" in ask(patient, "clock")[1].found


def test_a_package_that_does_not_fit_fails(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    assert states(patient, "packages") == ["ok"]
    real = __import__("importlib.metadata").metadata.version
    monkeypatch.setattr(
        "usage_assets.operations.doctor.configuration.version", lambda name: "2.0.1" if name == "duckdb" else real(name)
    )
    found = ask(patient, "packages")
    assert {said.state for said in found} == {"fail"}
    assert "usage-assets needs duckdb~=1.5.0, found 2.0.1" in [said.found for said in found]


def test_a_webserver_that_others_reach_is_warned_of(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    assert states(patient, "addresses") == ["ok"]
    monkeypatch.setenv("UI_HOST", "0.0.0.0")
    assert states(patient, "addresses") == ["warn"]


def access(**more) -> SiteAccess:
    table = TableAccess("nova_instances", "nova.instances", more.get("state", "found"))
    return SiteAccess((ServerAccess("db:3306", "encrypted", more.get("warnings", ())),), (table,))


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (access(), "ok", "1 tables, db:3306 (encrypted)"),
        (access(state="not granted"), "fail", "not granted: nova.instances"),
        (access(warnings=("the account may also write",)), "warn", "may also write"),
        (ValueError("mysql://usage:s3cret-word@db"), "fail", "can't be asked (ValueError)"),
    ],
)
def test_each_site_is_asked(patient: Installation, monkeypatch: pytest.MonkeyPatch, found, state: str, said: str):
    def look(*args, **kwargs):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("usage_assets.kinds.openstack.raw.access.check_site", look)
    patient.offline = False
    answer = ask(patient, "sources")[0]
    assert answer.state == state
    assert said in answer.found
    assert "s3cret-word" not in answer.found


def test_a_server_that_does_not_answer_fails_in_time_and_the_others_are_told(
    patient: Installation, monkeypatch: pytest.MonkeyPatch
):
    (patient.places.sites / "slow.yaml").write_text((patient.places.sites / "a.yaml").read_text())

    def look(site: Site, tables: object, *, count: bool) -> SiteAccess:
        time.sleep(5 if site.key == "slow" else 0)
        return access()

    monkeypatch.setattr("usage_assets.kinds.openstack.raw.access.check_site", look)
    patient.offline, patient.seconds = False, 0.5
    began = time.monotonic()
    assert [(said.state, said.found[:30]) for said in ask(patient, "sources")] == [
        ("ok", "a: 1 tables, db:3306 (encrypted"[:30]),
        ("fail", "slow: no answer within 0 s"),
    ]
    assert time.monotonic() - began < 3


def test_a_daemon_that_has_gone_fails_and_one_that_never_ran_is_warned_of(patient: Installation):
    from dagster._daemon.types import DaemonHeartbeat

    assert states(patient, "daemon") == ["warn"]
    for ago, state in ((3600.0, "fail"), (10.0, "ok")):
        with instance_of(patient.places) as instance:
            instance.add_daemon_heartbeat(DaemonHeartbeat(patient.now.timestamp() - ago, "SENSOR", "id", None))
        assert states(patient, "daemon") == [state]


@pytest.mark.parametrize(
    ("status", "hours", "state"),
    [("SUCCESS", 5, "ok"), ("FAILURE", 5, "fail"), ("SUCCESS", 50, "fail"), ("STARTED", 1, "ok")],
)
def test_the_last_night_of_each_site_is_asked_for(patient: Installation, status: str, hours: float, state: str):
    assert states(patient, "nightly") == ["warn"]
    run_of(patient.places, status, hours, {"usage/trigger": "nightly", "usage/site": "a"})
    assert states(patient, "nightly") == [state]


@pytest.mark.parametrize(("status", "hours", "state"), [
    ("STARTED", 1, "ok"), ("STARTED", 13, "fail"), ("QUEUED", 0.5, "ok"), ("QUEUED", 2, "fail"),
])  # fmt: skip
def test_a_run_without_an_end_fails_after_its_time(patient: Installation, status: str, hours: float, state: str):
    assert states(patient, "runs") == ["ok"]
    run_of(patient.places, status, hours)
    assert states(patient, "runs") == [state]


def test_a_run_whose_process_is_gone_fails_at_once(patient: Installation):
    dead = {"usage/host": socket.gethostname(), "usage/boot_id": "earlier", "usage/pid": "1"}  # as runs were tagged
    run = run_of(patient.places, "STARTED", tags=dead)
    assert [said.found for said in ask(patient, "runs")] == [f"run {run}: its process is gone"]


def test_a_warehouse_of_an_older_release_is_warned_of_and_not_upgraded(
    patient: Installation, monkeypatch: pytest.MonkeyPatch
):
    assert states(patient, "warehouse") == ["ok"]
    more = migrations.Migration(migrations.newest() + 1, "wider things", lambda con: None)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, more))
    for _ in range(2):
        found = ask(patient, "warehouse")
        assert [said.state for said in found] == ["warn"]
        assert "upgrades it to" in found[0].found
        assert "wider things" in found[0].found


def test_a_warehouse_of_a_newer_release_fails(patient: Installation):
    with duckdb.connect(str(patient.places.warehouse)) as con:
        con.execute("INSERT INTO serving.schema_version VALUES (99, '9.9', '2030-01-01')").fetchall()
    found = ask(patient, "warehouse")
    assert found[0].state == "fail"
    assert "made by release 9.9" in found[0].found


def test_a_restore_that_did_not_end_fails(patient: Installation):
    assert states(patient, "restore") == ["ok"]
    (patient.places.data / ".restore.json").write_text(json.dumps({"aside": "x", "from": "/backups/b"}))
    assert ask(patient, "restore")[0].do == "usage-assets restore /backups/b"


def test_tables_of_an_older_dagster_fail(patient: Installation):
    assert states(patient, "Dagster storage") == ["ok"]
    patient.close()
    with closing(sqlite3.connect(patient.places.home / "history" / "runs.db")) as con:
        con.execute("UPDATE alembic_version SET version_num = '7e2f3204cf8e'")
        con.commit()
    found = ask(patient, "Dagster storage")
    assert found[0].state == "fail"
    assert "runs" in found[0].found


def test_a_long_history_is_warned_of(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    assert states(patient, "history") == ["ok"]
    monkeypatch.setattr("usage_assets.operations.doctor.storage._MANY_RUNS", 0)
    assert ask(patient, "history")[0].do.startswith("usage-assets prune")


def test_who_holds_a_lock_is_told_and_for_hours_is_warned_of(patient: Installation):
    assert [said.found for said in ask(patient, "locks")] == ["none is held"]
    with Warehouse(patient.places.warehouse).site("a", "reading site a"):
        found = ask(patient, "locks")
        assert found == [Outcome("ok", f"a.lock: held by process {os.getpid()}: reading site a")]
        patient.now = patient.now + timedelta(hours=5)
        assert states(patient, "locks") == ["warn"]


def test_a_published_snapshot_is_whole_or_fails(patient: Installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_DATA", str(patient.places.data))
    assert [said.found for said in ask(patient, "published")] == ["nothing is published yet"]
    publish(Warehouse(patient.places.warehouse))
    assert states(patient, "published") == ["ok"]
    snapshot = next(settings.published_dir().glob("*.duckdb"))
    snapshot.chmod(0o600)
    snapshot.write_bytes(snapshot.read_bytes() + b"x")
    assert states(patient, "published") == ["fail"]


def test_without_a_backup_of_late_it_warns(patient: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("USAGE_BACKUPS", str(tmp_path / "backups"))
    assert states(patient, "backups") == ["warn"]
    make_backup(patient.places, tmp_path / "backups")
    assert states(patient, "backups") == ["ok"]
    patient.now = patient.now + timedelta(days=10)
    assert states(patient, "backups") == ["warn"]


def test_a_question_that_breaks_is_an_answer_and_tells_no_secret(
    patient: Installation, monkeypatch: pytest.MonkeyPatch
):
    def breaks(patient: Installation) -> list[Outcome]:
        raise ValueError("mysql://usage:s3cret-word@db/nova")

    monkeypatch.setitem(doctor.PROBES, "breaks", breaks)
    answers = list(examine(patient))
    assert [answer.found for answer in answers if answer.probe == "breaks"] == ["can't be answered (ValueError)"]
    assert len({answer.probe for answer in answers}) == len(PROBES)


def test_the_command_ends_with_1_where_something_fails_and_tells_no_secret(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("USAGE_DATA", str(places.data))
    good = CliRunner().invoke(app, ["doctor", "--offline"])
    assert good.exit_code == 0, good.output
    (places.sites / "bad.yaml").write_text("kind: [")
    bad = CliRunner().invoke(app, ["doctor", "--offline", "--json"])
    assert bad.exit_code == 1
    found = json.loads(bad.output)
    assert {answer["question"] for answer in found if answer["state"] == "fail"} == {"site files"}
    assert "s3cret-word" not in good.output + bad.output


def test_the_doctor_changes_nothing(tmp_path: Path):
    folder = tmp_path / "nothing"
    list(examine(Installation(places_in(folder), datetime.now(tz=UTC), offline=True)))
    assert not folder.exists()
