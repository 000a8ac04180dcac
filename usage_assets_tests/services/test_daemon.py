"""One night through a real Dagster daemon: the schedule fires, the run checks, a failed check is reported."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from usage_assets.partitions import month_of
from usage_assets_tests.assets.tiny import make_site

ROOT = Path(__file__).parents[2]
SECONDS = 150

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


def test_a_night_builds_the_last_two_months_and_reports_the_check_that_failed(
    tmp_path: Path, webhook: tuple[str, list[str]]
):
    site = make_site(tmp_path)
    (tmp_path / "sites").mkdir()
    databases = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    today = datetime.now(tz=UTC).date()
    # the first month is this one, and a zero date in a row that touches it is what a check points out
    (tmp_path / "sites" / "tiny.yaml").write_text(
        f"kind: openstack\nfirst_month: {month_of(today):%Y-%m}\ndatabases:\n{databases}\n"
    )
    _break(site.databases["blazar"], today)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {
        "USAGE_SITES": str(tmp_path / "sites"),
        "USAGE_NIGHTLY_CRON": "* * * * *",
        "USAGE_ALERT_WEBHOOK": webhook[0],
        "BROWSER_PATH": "nowhere",
        "PYTHONPATH": str(ROOT),
    }
    log = (tmp_path / "daemon.log").open("w")
    daemon = subprocess.Popen(
        [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
        env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        end = time.monotonic() + SECONDS
        while not webhook[1] and time.monotonic() < end and daemon.poll() is None:
            time.sleep(0.5)
    finally:
        daemon.send_signal(signal.SIGINT)
        daemon.wait(60)
        log.close()
    assert webhook[1], (tmp_path / "daemon.log").read_text()[-3000:]
    assert "openstack/raw/blazar_leases evidence" in webhook[1][0]
    assert f"{today:%Y-%m}" in webhook[1][0]


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
