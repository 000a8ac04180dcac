"""One night through a real Dagster daemon: the schedule fires, the run checks, what failed is told, readers get it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from usage_assets.core.months import month_of
from usage_assets.serving import read
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import make_site

SECONDS = 300
WORDS = ("openstack/raw/blazar_leases", "torn")
"""What the alerts of the night name."""

pytestmark = pytest.mark.skipif(
    os.environ.get("USAGE_REQUIRE_SERVICES") != "1", reason="waits for the minute to turn; runs where services do"
)


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", got
        server.shutdown()


def test_a_night_builds_the_good_sites_tells_what_failed_and_publishes(tmp_path: Path, webhook: tuple[str, list[str]]):
    site = make_site(tmp_path)
    (tmp_path / "sites").mkdir()
    databases = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    today = datetime.now(tz=UTC).date()
    # the first month is this one, and a zero date in a row that touches it is what a check points out
    (tmp_path / "sites" / "tiny.yaml").write_text(
        f"kind: openstack\nfirst_month: {month_of(today):%Y-%m}\ndatabases:\n{databases}\n"
    )
    (tmp_path / "sites" / "torn.yaml").write_text("kind: openstack\nfirst_month: [2020-01\n")
    _break(site.databases["blazar"], today)
    (tmp_path / "alerts.yaml").write_text(f"channels: [{{kind: webhook, url: '{webhook[0]}', warnings: true}}]\n")
    home = tmp_path / "home"
    home.mkdir()
    # each second minute: nights that follow each other without a pause would hold up what is published
    minutes = ",".join(str((datetime.now(tz=UTC) + timedelta(minutes=after)).minute) for after in (1, 3, 5))
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {
        "USAGE_SITES": str(tmp_path / "sites"),
        "USAGE_NIGHTLY_CRON": f"{minutes} * * * *",
        "USAGE_ALERTS": str(tmp_path / "alerts.yaml"),
        "BROWSER_PATH": "nowhere",
        "PYTHONPATH": str(ROOT),
    }
    published = tmp_path / "data" / "published"
    log = (tmp_path / "daemon.log").open("w")
    daemon = subprocess.Popen(
        [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
        env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        end = time.monotonic() + SECONDS
        while not (_told(webhook[1]) and _readable(published)) and time.monotonic() < end and daemon.poll() is None:
            time.sleep(0.5)
    finally:
        daemon.send_signal(signal.SIGINT)
        daemon.wait(60)
        log.close()
    assert webhook[1], (tmp_path / "daemon.log").read_text()[-3000:]
    told = "\n".join(webhook[1])
    assert "WARN tiny openstack/raw/blazar_leases" in told
    assert f"evidence: {today:%Y-%m}" in told
    assert "torn.yaml" in told
    with read.open(published) as snapshot:
        assert snapshot.sites() == ["tiny"]
    assert _readable(published)


def _told(got: list[str]) -> bool:
    return all(any(word in one for one in got) for word in WORDS)


def _readable(published: Path) -> bool:
    """Whether readers get the night's rows: a snapshot made while the run goes on holds none of them yet."""
    if not (published / "CURRENT").exists():
        return False
    with read.open(published) as snapshot:
        there = snapshot.sql("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'timelines' AND table_name = 'usage'")
        return len(there) > 0 and len(snapshot.sql("FROM timelines.usage LIMIT 1")) > 0


def _break(url: str, today: date) -> None:
    import sqlite3

    con = sqlite3.connect(url.removeprefix("sqlite:///"))
    con.execute(
        "INSERT INTO leases (id, created_at, start_date, end_date, updated_at) VALUES (?, ?, ?, ?, ?)",
        (
            "l2",
            f"{month_of(today)} 00:00:00",
            f"{month_of(today)} 00:00:00",
            "2999-01-01 00:00:00",
            "0000-00-00 00:00:00",
        ),
    )
    con.commit()
    con.close()
