"""`usage-assets gpu ...`: windows, hosts and models as people name them, and every format with the same numbers."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from usage_assets.cli.app import app
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.orchestration.mail_sensor import Sent
from usage_assets.serving.pointer import Pointer, write_pointer
from usage_assets.specs.mail import DueReport
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.alerts.smtp import mail_server
from usage_assets_tests.unit.kinds.htcondor.tables.made import HOSTED, MadePool, States, claimed, every, idle, lent

SITE = """\
kind: htcondor
name: Pool
snapshots: nowhere
timezone: America/Chicago
masked: {z: broken}
reports: {prefix: GPUs, daily: {at: '06:00', to: [ops@example.org]}}
"""
START = datetime(2026, 3, 2, 12)  # 06:00 in Chicago
EVIL = "<script>alert(1)</script>"
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse) -> MadePool:
    """A day of a pool of four GPUs in the warehouse, and the site's file."""
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "p.yaml").write_text(SITE, encoding="utf-8")
    monkeypatch.setenv("USAGE_SITES", str(folder))
    gpus: States = {
        ("gpu1.x.edu", "0"): [claimed(EVIL, device="NVIDIA H200", memory_mb=143_771)] * 96,
        ("gpu1.x.edu", "1"): [idle(device="NVIDIA H200", memory_mb=143_771), claimed("ann", device="NVIDIA H200")] * 48,
        ("gpu2.x.edu", "0"): [lent(idle(HOSTED), "bob", "backfill_hosted")] * 96,
        ("z", "0"): [idle(masked="broken")] * 96,
    }
    made = MadePool(every(15, 24, START), gpus)
    tables = ((GPU_RUNS, made.runs), (GPU_POLLS, made.poll_rows), (GPU_PERFORMANCE, made.performance_rows))
    with warehouse.write("test") as writer:
        for table, rows in tables:
            done = writer.replace(
                table, rows, site="p", months=[date(2026, 3, 1)], asset=f"htcondor/facts/{table.name}", run_id="r"
            )
            assert not done.refused
    return made


@pytest.fixture
def run() -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["gpu", *words])

    return invoke


@pytest.fixture
def table(run: Run) -> Callable[..., list[dict[str, str]]]:
    def rows(*words: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").stdout)))

    return rows


def said(result: Result) -> str:
    """The sentence of an error."""
    assert isinstance(result.exception, UsageError)
    return str(result.exception)


WHOLE = ("--start", "2026-03-02T06:00", "--end", "2026-03-03T06:00")


def test_the_only_pool_need_not_be_named_and_the_head_says_what_was_seen(run: Run):
    text = run("allocation", *WHOLE).output
    assert "2026-03-02 06:00 to 2026-03-03 06:00 America/Chicago (24 hours)" in text
    assert "96 polls, 96 of 96 intervals of 15 minutes seen (100.0%)" in text
    assert "Masked hosts: z (broken)" in text
    assert "Without the families GTX 1080" in text
    total = next(line for line in text.splitlines() if line.startswith("TOTAL"))
    # three GPUs: one always held, one half of the time, one always by backfill
    assert total.split()[1:3] == ["2.5", "3.0"]


def test_the_default_window_ends_with_the_newest_poll(run: Run):
    assert "2026-03-02 05:45 to 2026-03-03 05:45" in run("allocation").output
    assert "95 of 96 intervals" in run("allocation").output, "the newest poll is the end, exclusive"
    assert "2026-03-03 03:45 to 2026-03-03 05:45" in run("allocation", "--hours-back", "2").output


def test_times_may_have_an_offset(run: Run):
    text = run("allocation", "--start", "2026-03-02T13:00+01:00", "--hours-back", "24").output
    assert "2026-03-02 06:00 to 2026-03-03 06:00 America/Chicago" in text


@pytest.mark.parametrize("wanted", ["text", "html", "json", "csv"])
@pytest.mark.parametrize(
    "words",
    [
        ("allocation",), ("allocation", "--group-by-device", "--classes", "legacy"), ("timeseries",), ("users",),
        ("users", "--model", "H200"), ("users", "--backfill", "--all-devices"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_table_is_shown_in_every_format(run: Run, words: tuple[str, ...], wanted: str, tmp_path: Path):
    path = tmp_path / "out" / f"table.{wanted}"
    result = run(*words, *WHOLE, "--format", wanted, "--output", str(path))
    assert result.exit_code == 0, result.output
    text = path.read_text(encoding="utf-8")
    if wanted == "text":
        assert max(map(len, text.splitlines())) <= 100
    elif wanted == "html":
        assert "<script>" not in text
    elif wanted == "json":
        assert json.loads(text)["tables"]
    else:
        assert len(list(csv.DictReader(io.StringIO(text)))) > 1


def test_text_and_json_agree(run: Run):
    rows = json.loads(run("users", *WHOLE, "--format", "json").output)["tables"]["users"]["rows"]
    hours = {row["user"]: row["gpu_hours_observed"] for row in rows if row["class"] == "total"}
    assert hours == pytest.approx({EVIL: 24.0, "ann": 12.0, "bob": 24.0})
    assert "12.0" in next(line for line in run("users", *WHOLE).output.splitlines() if line.startswith("ann"))


def test_buckets_are_as_wide_as_asked_for(table: Callable[..., list[dict[str, str]]]):
    rows = table("timeseries", *WHOLE, "--bucket-minutes", "360")
    assert [row["local_at"][:16] for row in rows if row["class"] == "total"] == [
        "2026-03-02T06:00", "2026-03-02T12:00", "2026-03-02T18:00", "2026-03-03T00:00",
    ]  # fmt: skip


def test_hosts_are_names_or_patterns(run: Run):
    text = run("users", *WHOLE, "--host", "GPU2").output
    assert "bob" in text
    assert "ann" not in text
    assert "ann" in run("users", *WHOLE, "--host", "gpu[12]*").output


def test_an_unknown_host_is_an_error_with_near_names(run: Run):
    assert said(run("users", *WHOLE, "--host", "gpu3")).startswith(
        "no machine of that time is called gpu3; near names: gpu"
    )


def test_an_unknown_model_is_an_error_with_near_names(run: Run):
    assert "no GPU of that time is called H201; there are: H200" in said(run("users", *WHOLE, "--model", "H201"))


def test_a_window_outside_of_what_is_stored_is_an_error(run: Run):
    text = said(run("allocation", "--start", "2025-01-01", "--end", "2025-01-02"))
    assert "polls from 2026-03-02 06:00 to 2026-03-03 05:45 (America/Chicago)" in text


def test_wrong_usage_is_said_in_a_sentence(run: Run):
    assert "2026-13 is not a month" in run("monthly", "--month", "2026-13").output.replace("'", "")
    for words in (
        ("allocation", "--start", "yesterday"),
        ("allocation", "--classes", "seven"),
        ("allocation", "--format", "pdf"),
        ("allocation", "--site", "elsewhere"),
        ("report", "yearly"),
        ("report", "--to", "a@b"),
        ("monthly", "--table", "devises"),
        ("monthly", "--month", "2026-03", "--format", "csv"),
        ("allocation", "--start", "2026-03-02", "--end", "2026-03-03", "--hours-back", "3"),
    ):
        assert run(*words).exit_code == 2, words


def test_a_pool_without_facts_says_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_DATA", str(tmp_path / "other"))
    assert said(run("allocation")) == "site p has no polls yet: materialize its facts first (usage-assets backfill)"


def test_one_poll_answers_for_a_model(run: Run):
    text = run("model-at", "--model", "H200", "--at", "2026-03-02T06:05").output
    assert "answered by the poll of 2026-03-02 06:00 (America/Chicago; -5.0 minutes)" in text
    assert EVIL in text
    everything = run("model-at", "--at", "2026-03-02T06:05").output
    assert "L40S" in everything
    far = run("model-at", "--at", "2026-03-01T06:05")
    assert far.exit_code == 1
    assert "minutes of 2026-03-01 12:05 UTC; the nearest one is that of" in str(far.exception)


def test_a_month_has_its_own_coverage(run: Run):
    text = run("monthly", "--month", "2026-03").output
    assert "96 of 2,972 intervals" in text
    assert max(map(len, text.splitlines())) <= 100


def test_one_table_of_a_month_may_be_csv(table: Callable[..., list[dict[str, str]]]):
    assert table("monthly", "--month", "2026-03", "--table", "memory")[-1]["band"] == "total"


def test_the_published_snapshot_gives_the_same_numbers(run: Run, warehouse: Warehouse):
    # as publishing leaves it; this warehouse was never checked, so that all of it would be held back
    folder = settings.published_dir()
    folder.mkdir(parents=True)
    shutil.copyfile(warehouse.path, folder / "snapshot-1.duckdb")
    write_pointer(folder, Pointer(1, "snapshot-1.duckdb", "", 0, START, "0", ""))
    warehouse.path.unlink()
    published = run("users", *WHOLE, "--published").output
    assert "bob" in published
    assert "12.0" in next(line for line in published.splitlines() if line.startswith("ann"))


def test_a_report_is_text_or_a_page_and_of_any_window(run: Run, tmp_path: Path):
    text = run("report", *WHOLE).output
    assert text.startswith("Pool: report, 2026-03-03 (24h)\n")
    assert "Real slots" in text
    page = tmp_path / "r.html"
    assert run("report", "monthly", "--month", "2026-03", "--format", "html", "--output", str(page)).exit_code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert EVIL not in page.read_text()
    assert "daily report, 2026-03-02 (24h)" in run("report").output, "the polls end before 06:00 of the third"


def test_a_report_is_mailed_to_the_receivers_of_the_site(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with mail_server() as server:
        config = tmp_path / "alerts.yaml"
        config.write_text(
            f"channels: [{{kind: mail, to: [a@b], smtp: {{host: 127.0.0.1, port: {server.port}, tls: none}}}}]"
        )
        monkeypatch.setenv("USAGE_ALERTS", str(config))
        result = run("report", *WHOLE, "--mail")
        assert result.exit_code == 0, (result.output, result.exception)
        assert "sent to ops@example.org: GPUs 2026-03-03 24h: Researcher -" in result.output
    (mail,) = server.mails
    assert "To: ops@example.org" in mail
    assert "multipart/alternative" in mail


def test_what_was_mailed_by_hand_is_not_mailed_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with mail_server() as server:
        config = tmp_path / "alerts.yaml"
        smtp = f"{{host: 127.0.0.1, port: {server.port}, tls: none}}"
        config.write_text(f"channels: [{{kind: mail, to: [a@b], smtp: {smtp}}}]")
        monkeypatch.setenv("USAGE_ALERTS", str(config))
        posting = DueReport("daily", "2026-03-02", (), START, START, ())
        assert run("report", "daily", "--mail", "--to", "else@example.org").exit_code == 0
        assert not Sent.here().has("p", posting), "those whom the site names have not got it"
        assert run("report", "daily", "--mail").exit_code == 0
        assert Sent.here().has("p", posting)
    assert len(server.mails) == 2


def test_a_report_is_not_mailed_without_a_mail_channel(run: Run):
    result = run("report", *WHOLE, "--mail", "--to", "x@example.org")
    assert "has none; see docs/gpu-reports.md" in said(result)


def test_the_commands_load_neither_polars_nor_dagster():
    code = "import sys, usage_assets.cli.app; sys.exit(bool({'dagster', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
