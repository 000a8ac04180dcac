"""Mailed reports: each once, when its site was read after its end, or late with what there is."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_string
from email.policy import default
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from usage_assets.alerts.channels.log import Log
from usage_assets.alerts.message import Message
from usage_assets.alerts.sent_mail import Sent
from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.definitions import build_defs
from usage_assets.kinds import HTCONDOR, OPENSTACK
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.openstack.kind import OpenStack
from usage_assets.orchestration import alert_sensor, mail_sensor
from usage_assets.orchestration.mail_sensor import GRACE, Looked, look
from usage_assets.orchestration.partitions import partition_key
from usage_assets.specs.mail import DueReport, MailMessage
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import DUMPS
from usage_assets_tests.unit.alerts.smtp import MailServer, mail_server

END = datetime(2026, 3, 3, 12)  # 06:00 in Chicago
NOW = END + timedelta(minutes=5)
MAR = date(2026, 3, 1)
Look = Callable[..., Looked]


@pytest.fixture
def site() -> HTCondorSite:
    said = {"daily": {"to": ["ops@example.org"]}, "prefix": "GPUs"}
    return HTCondorSite.model_validate(
        {
            "kind": "htcondor", "key": "p", "name": "P", "snapshots": "nowhere", "first_month": "2026-03",
            "timezone": "America/Chicago", "reports": said,
        }
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server that alerts.yaml names."""
    with mail_server() as running:
        config = tmp_path / "alerts.yaml"
        smtp = f"{{host: 127.0.0.1, port: {running.port}, tls: none}}"
        config.write_text(f"channels: [{{kind: mail, to: [alerts@example.org], from: u@example.org, smtp: {smtp}}}]")
        monkeypatch.setenv("USAGE_ALERTS", str(config))
        yield running


@pytest.fixture
def look_at(site: HTCondorSite, warehouse: Warehouse) -> Iterator[Look]:
    with dg.DagsterInstance.ephemeral() as instance:

        def now(at: datetime = NOW, kind=HTCONDOR, sites=None) -> Looked:
            return look(instance, kind, sites or {"p": site}, warehouse, at, sent=Sent.here())

        yield now


def read_at(warehouse: Warehouse, at: datetime) -> None:
    """Note that the month's snapshots were read."""
    with warehouse.write("test") as writer:
        writer.ensure(DUMPS)
        columns = {column.name: column for column in DUMPS.columns}
        row = {"site": "p", "month": MAR, "table_name": "gpu_state", "extracted_at": at}
        rest = [name for name in columns if name not in row and not columns[name].nullable]
        values = {
            **row,
            **{name: 0 if str(columns[name].type) in {"BIGINT", "BOOLEAN", "DOUBLE"} else "x" for name in rest},
        }
        values |= {name: at for name in rest if str(columns[name].type) == "TIMESTAMP"}
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        writer.con.execute(f"INSERT INTO {DUMPS.qualified} ({names}) VALUES ({marks})", list(values.values()))


def test_a_report_of_a_site_that_was_read_is_mailed_once(look_at: Look, server: MailServer, warehouse: Warehouse):
    read_at(warehouse, END)
    assert len(look_at().sent) == 1
    (mail,) = server.mails
    found = message_from_string(mail, policy=default)
    assert found["To"] == "ops@example.org"
    assert found["From"] == "u@example.org"
    assert found["Subject"].startswith("GPUs 2026-03-03 24h: ")
    kinds = [part.get_content_type() for part in found.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    # a restart knows what was sent
    assert look_at(NOW + timedelta(hours=3)).sent == []
    assert len(look_at(NOW + timedelta(days=1, hours=3)).sent) == 1, "the next day has a report of its own"
    assert len(server.mails) == 2


def test_a_site_that_was_read_before_the_end_is_read_first(look_at: Look, server: MailServer, warehouse: Warehouse):
    read_at(warehouse, END - timedelta(minutes=1))
    found = look_at()
    (request,) = found.requests
    assert request.tags[RANGE_START] == request.tags[RANGE_END] == str(partition_key("p", MAR))
    assert request.tags["usage/site"] == "p"
    assert found.sent == server.mails == []
    read_at(warehouse, END + timedelta(minutes=6))
    assert len(look_at(NOW + timedelta(minutes=10)).sent) == 1


def test_after_the_grace_it_is_sent_with_what_there_is(look_at: Look, server: MailServer):
    assert look_at(END + GRACE - timedelta(seconds=1)).sent == []
    assert len(look_at(END + GRACE).sent) == 1
    assert "No poll saw the pool in this period" in server.mails[0]


def test_it_waits_for_a_run_that_goes_on(look_at: Look, site: HTCondorSite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail_sensor, "_is_running", lambda *_: True)
    found = look_at()
    assert (found.sent, found.requests) == ([], [])
    assert "a run of the site goes on" in str(found)


def test_what_a_server_does_not_take_is_tried_again(
    look_at: Look, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read_at(warehouse, END)
    config = tmp_path / "alerts.yaml"
    monkeypatch.setenv("USAGE_ALERTS", str(config))
    config.write_text("channels: [{kind: mail, to: [a@b], smtp: {host: 127.0.0.1, port: 9, tls: none}}]")
    (said,) = look_at().failed
    assert "did not take the mail" in said
    with mail_server() as server:
        config.write_text(
            f"channels: [{{kind: mail, to: [a@b], smtp: {{host: 127.0.0.1, port: {server.port}, tls: none}}}}]"
        )
        assert len(look_at().sent) == 1
    assert len(server.mails) == 1


def test_without_a_mail_channel_that_is_said(look_at: Look, warehouse: Warehouse):
    read_at(warehouse, END)
    (said,) = look_at().failed
    assert "mail channel of alerts.yaml, and it has none" in said
    with pytest.raises(AlertError, match="no mail channel 'other'; mail channels there: none"):
        mail_sensor.mail_channel("other")


def test_a_broken_note_of_what_was_sent_stops_mails_and_is_told(
    look_at: Look, server: MailServer, warehouse: Warehouse
):
    read_at(warehouse, END)
    path = Sent.here().path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no database" * 100)
    (said,) = look_at().failed
    assert "letters.db can't be used" in said
    assert server.mails == []


def test_a_site_without_receivers_gets_no_mail(look_at: Look, site: HTCondorSite):
    silent = site.model_copy(update={"reports": Reports()})
    assert str(look_at(sites={"p": silent})) == "no report is due"


def test_a_kind_that_mails_nothing_is_asked_nothing(look_at: Look, server: MailServer, site: HTCondorSite):
    assert OPENSTACK.due_reports(site, NOW) == ()
    posting = DueReport("hourly", "x", (MAR,), END, END, ("a@b",))

    class Mailing(OpenStack):
        mails_reports = True

        def due_reports(self, *_: Any) -> list[DueReport]:
            return [posting]

        def mail_message(self, *_: Any) -> MailMessage:
            return MailMessage("s\r\nBcc: x@y", "text")

    assert len(look_at(END + GRACE, kind=Mailing()).sent) == 1, "any kind may mail: nothing here knows pools"
    assert "Bcc:" not in server.mails[0].split("\n\n")[0].replace("s Bcc: x@y", "")


def test_definitions_have_the_sensor_of_kinds_that_mail(site: HTCondorSite, warehouse: Warehouse):
    defs = build_defs({"p": site}, warehouse)
    assert {"htcondor_report_mailer"} <= {sensor.name for sensor in defs.sensors or ()}


def test_a_report_that_is_not_mailed_is_told_and_so_is_that_it_was_again(
    look_at: Look, site: HTCondorSite, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read_at(warehouse, END)
    config = tmp_path / "alerts.yaml"
    monkeypatch.setenv("USAGE_ALERTS", str(config))
    told: list[Message] = []
    monkeypatch.setattr(Log, "send", lambda self, message: told.append(message))

    def tick() -> str:
        told.clear()
        with dg.DagsterInstance.ephemeral() as instance:
            alert_sensor.tick(instance, settings.alerts_state(), [], dict, datetime.now(tz=UTC))
        return "\n".join(message.text() for message in told)

    config.write_text(
        "channels: [{kind: log}, {kind: mail, name: dead, to: [a@b], smtp: {host: 127.0.0.1, port: 9, tls: none}}]"
    )
    look_at()
    config.write_text("channels: [{kind: log}]")
    assert re.search(r"ERROR p daily report\n  not mailed\n    - .*did not take the mail", tick())
    assert tick() == ""
    with mail_server() as server:
        mail = f"{{kind: mail, to: [a@b], smtp: {{host: 127.0.0.1, port: {server.port}, tls: none}}}}"
        config.write_text(f"channels: [{{kind: log}}, {mail}]")
        look_at()
    config.write_text("channels: [{kind: log}]")
    assert re.search(r"RECOVERED p daily report\n  mailed again", tick())


def test_failures_of_reports_that_nobody_wants_any_more_are_forgotten_without_a_word(
    look_at: Look, site: HTCondorSite, warehouse: Warehouse
):
    read_at(warehouse, END)
    look_at()
    assert set(Sent.here().failures()) == {("p", "daily")}
    Sent.here().note_failure("service", "q", DueReport("hourly", "x", (MAR,), END, END, ("a@b",)), "as it was")
    look_at(sites={"p": site.model_copy(update={"reports": Reports()})})
    assert Sent.here().failures() == {("q", "hourly"): "as it was"}  # of another kind, whose sensor looks after it


def test_a_broken_note_of_what_was_sent_does_not_silence_alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_ALERTS", str(tmp_path / "none.yaml"))
    (tmp_path / "none.yaml").write_text("channels: [{kind: log}]")
    told: list[Message] = []
    monkeypatch.setattr(Log, "send", lambda self, message: told.append(message))
    path = Sent.here().path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no database" * 100)
    with dg.DagsterInstance.ephemeral() as instance:
        alert_sensor.tick(instance, settings.alerts_state(), [], dict, datetime.now(tz=UTC))
    assert "letters.db" in told[0].text()
    assert "no report is mailed" in told[0].text()
