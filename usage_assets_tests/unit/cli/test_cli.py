"""The command line: wrong usage is said with what is allowed, and ends with 2."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from usage_assets.cli.app import app
from usage_assets.cli.backfill import plan
from usage_assets.cli.daemon import find_daemon, submit
from usage_assets.cli.home import dagster_home
from usage_assets.cli.local import runs_of
from usage_assets.cli.outcome import Outcome
from usage_assets.core import settings
from usage_assets.core.errors import SiteError, UsageError
from usage_assets.core.months import Window, ranges
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.run_faults import Failure

TODAY = date(2020, 6, 15)


def site(key: str, **more) -> OpenStackSite:
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": key, "name": key, "databases": {"nova": "sqlite:///nova.db"}, **more}
    )


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sites"
    folder.mkdir()
    for name in ("chi_a", "chi_b"):
        (folder / f"{name}.yaml").write_text("kind: openstack\ndatabases: {nova: 'sqlite:///nova.db'}\n")
    monkeypatch.setenv("USAGE_SITES", str(folder))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--site nope --from 2019-01 --to 2019-02", "unknown site nope; there are: chi_a, chi_b"),
        ("--site chi_a --from 2019-13 --to 2019-02", "'2019-13' is not a month; write it as 2019-03"),
        ("--site chi_a --from 2019-03 --to 2019-02", "2019-03 comes after --to 2019-02"),
        ("--site chi_a --from 2019-03 --to 2999-02", "lies in the future"),
        ("--site chi_a --from 2015-03 --to 2019-02", "2015-03 comes before 2016-01"),
        ("--from 2019-03 --to 2019-02", "Missing option"),
    ],
)
@pytest.mark.usefixtures("sites")
def test_wrong_usage_of_backfill_ends_with_2_and_says_what_is_allowed(arguments: str, said: str):
    found = CliRunner().invoke(app, ["backfill", *arguments.split()])
    assert found.exit_code == 2
    assert said in " ".join(found.output.replace("│", " ").split())


@pytest.mark.usefixtures("sites")
def test_an_unknown_site_is_wrong_usage_of_every_command():
    for command in ("check-site", "grants"):
        assert CliRunner().invoke(app, [command, "nope"]).exit_code == 2
    assert CliRunner().invoke(app, ["status", "--site", "nope"]).exit_code == 2


@pytest.mark.usefixtures("sites")
def test_the_status_of_an_empty_warehouse_says_that_everything_is_missing():
    found = CliRunner().invoke(app, ["status", "--site", "chi_a"])
    assert found.exit_code == 0
    assert " raw/nova_instances " in found.output
    assert "2016-01.." in found.output


@pytest.fixture
def broken(sites: None) -> None:
    text = "kind: openstack\ncolour: red\ndatabases: {nova: 'sqlite:///nova.db'}\n"
    (Path(os.environ["USAGE_SITES"]) / "chi_bad.yaml").write_text(text)


@pytest.mark.usefixtures("broken")
def test_a_command_that_names_good_sites_works_beside_a_broken_file_and_says_its_fault():
    found = CliRunner().invoke(app, ["status", "--site", "chi_a"])
    assert found.exit_code == 0
    assert " raw/nova_instances " in found.stdout
    assert "site chi_bad is left out, its file has a fault: chi_bad.yaml:2: colour" in found.stderr


@pytest.mark.usefixtures("broken")
def test_the_status_of_all_shows_the_good_sites_and_ends_with_2_where_a_file_is_broken():
    found = CliRunner().invoke(app, ["status"])
    assert found.exit_code == 2
    assert "(chi_a)" in found.stdout
    assert "(chi_b)" in found.stdout
    assert "chi_bad.yaml:2: colour" in found.stderr


@pytest.mark.parametrize("command", ["check-site chi_bad", "backfill --site chi_bad --from 2019-01 --to 2019-02"])
@pytest.mark.usefixtures("broken")
def test_naming_a_site_whose_file_is_broken_is_refused_with_its_fault(command: str):
    found = CliRunner().invoke(app, command.split())
    assert isinstance(found.exception, SiteError)  # main() prints it and ends with 2
    assert "chi_bad.yaml:2: colour: unknown key" in str(found.exception)


def test_a_plan_is_one_window_per_site_and_two_calendar_years():
    found = plan(
        {"a": site("a"), "b": site("b", first_month="2020-02")}, date(2019, 11, 1), date(2020, 3, 1), today=TODAY
    )
    assert [str(window) for window in found] == [
        "site a 2019-11..2019-12",
        "site a 2020-01..2020-03",
        "site b 2020-02..2020-03",
    ]


def test_a_site_that_begins_later_is_wrong_usage():
    with pytest.raises(typer.BadParameter, match="site a begins in 2020-02"):
        plan({"a": site("a", first_month="2020-02")}, date(2019, 1, 1), date(2020, 1, 1), today=TODAY)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(), 0),
        (Outcome(checks=[Failure("WARN", "", "a", "order")]), 0),
        (Outcome(checks=[Failure("ERROR", "", "a", "contract")]), 1),
        (Outcome(failed=["why"]), 1),
        (Outcome(failed=["why"], interrupted=True), 130),
    ],
)
def test_exit_codes(outcome: Outcome, code: int):
    assert outcome.code == code


def test_months_are_shown_as_ranges():
    months = [date(2019, 11, 1), date(2019, 12, 1), date(2020, 1, 1), date(2020, 5, 1)]
    assert ranges(months) == "2019-11..2020-01, 2020-05"
    assert ranges([]) == ""


def test_dagster_home_is_made_with_the_shipped_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(tmp_path)
    home = dagster_home()
    assert home == tmp_path / ".dagster"
    assert "SteadySqliteEventLogStorage" in (home / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text("mine: true\n")
    dagster_home()
    assert (home / "dagster.yaml").read_text() == "mine: true\n"


WINDOWS = [Window("a", (date(2020, 1, 1), date(2020, 2, 1)))]
SPAN = [
    {"key": "dagster/asset_partition_range_start", "value": "2020-01-01|a"},
    {"key": "dagster/asset_partition_range_end", "value": "2020-02-01|a"},
]


@pytest.fixture
def webserver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """A webserver that answers as Dagster's does: one run that failed, with one failed check."""
    asked: list[dict] = []
    answers = {
        "daemonHealth": {"instance": {"info": "base_dir: here", "daemonHealth": {"daemonStatus": {"healthy": True}}}},
        "launchPartitionBackfill": {"launchPartitionBackfill": {"backfillId": "b1"}},
        "partitionBackfillOrError": {
            "partitionBackfillOrError": {
                "__typename": "PartitionBackfill",
                "status": "COMPLETED_FAILED",
                "error": None,
                "assetBackfillData": None,
                "runs": [{"id": "r1", "status": "FAILURE", "tags": SPAN}],
            }
        },
        "logsForRun": {
            "logsForRun": {
                "__typename": "EventConnection",
                "cursor": "x",
                "hasMore": False,
                "events": [
                    {
                        "__typename": "ExecutionStepFailureEvent",
                        "stepKey": "openstack_raw",
                        "error": None,
                        "failureMetadata": {"description": "the source gave no answer"},
                    },
                    {
                        "__typename": "AssetCheckEvaluationEvent",
                        "evaluation": {
                            "checkName": "contract",
                            "severity": "ERROR",
                            "description": "site a 2020-01: refused",
                            "partition": None,
                            "success": False,
                            "assetKey": {"path": ["openstack", "raw", "nova_instances"]},
                            "metadataEntries": [
                                {"label": "failing_months"},
                                {"label": "failing", "jsonString": '[{"month": "2020-01", "text": "refused"}]'},
                            ],
                        },
                    },
                    {
                        "__typename": "AssetCheckEvaluationEvent",
                        "evaluation": {
                            "checkName": "evidence",
                            "severity": "WARN",
                            "description": "Now 1 site-month(s) fail: another one's",
                            "partition": None,
                            "success": False,
                            "assetKey": {"path": ["openstack", "raw", "nova_instances"]},
                            "metadataEntries": [{"label": "failing", "jsonString": "[]"}],
                        },
                    },
                ],
            }
        },
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(question)
            data = next((answer for name, answer in answers.items() if name in question["query"]), None)
            if data is None:
                data = {"assetNodes": question["variables"]["keys"]}
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("USAGE_WEBSERVER_URL", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


def test_a_backfill_is_submitted_where_a_webserver_answers(webserver: list[dict], tmp_path: Path):
    server, _ = find_daemon({"a": site("a")}, WINDOWS, home=tmp_path)
    assert server is not None
    outcome = submit(server, {"a": site("a")}, WINDOWS, {"usage/purge_known": "true"})
    params = next(one["variables"]["params"] for one in webserver if "params" in one["variables"])
    assert params["partitionNames"] == ["2020-01-01|a", "2020-02-01|a"]
    assert {"path": ["openstack", "timelines", "usage"]} in params["assetSelection"]
    assert {"key": "usage/purge_known", "value": "true"} in params["tags"]
    assert (outcome.code, outcome.runs) == (1, 1)
    where = "2020-01-01|a to 2020-02-01|a"
    assert outcome.failed == [f"run r1 of {where}: openstack_raw: the source gave no answer"]
    # what only other runs' months fail is not said of this backfill
    assert [(one.asset, one.check, one.site, one.month, one.text) for one in outcome.checks] == [
        ("openstack/raw/nova_instances", "contract", "a", "2020-01", "refused")
    ]


def test_a_webserver_that_is_named_but_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("USAGE_WEBSERVER_URL", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="gave no answer"):
        find_daemon({"a": site("a")}, WINDOWS, home=tmp_path)


def test_without_a_webserver_it_is_said_where_was_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("usage_assets.cli.daemon.DEFAULT_URL", "http://127.0.0.1:9")
    home = dagster_home()
    settings.remember_ui("http://127.0.0.1:8", "http://127.0.0.1:7")
    server, why_not = find_daemon({"a": site("a")}, WINDOWS, home=home)
    assert server is None
    told = "the webserver at http://127.0.0.1:{} gave no answer (nothing listens there)"
    assert why_not == f"{told.format(8)}; {told.format(9)}"


def test_a_daemon_is_found_where_the_last_ui_of_this_home_was(
    webserver: list[dict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    url = os.environ["USAGE_WEBSERVER_URL"]
    monkeypatch.delenv("USAGE_WEBSERVER_URL")
    monkeypatch.setattr("usage_assets.cli.daemon.DEFAULT_URL", "http://127.0.0.1:9")
    dagster_home()
    settings.remember_ui(url, "http://127.0.0.1:7")
    server, why_not = find_daemon({"a": site("a")}, WINDOWS, home=Path("here"))
    assert (server and server.url, why_not) == (url, "")


def test_the_plots_of_several_years_are_drawn_in_one_run_after_their_data():
    found = plan(
        {"a": site("a"), "b": site("b", first_month="2020-02")}, date(2019, 11, 1), date(2020, 3, 1), today=TODAY
    )
    data = ("raw", "facts", "timelines")
    assert [(str(window), stages) for window, stages in runs_of(found)] == [
        ("site a 2019-11..2019-12", data),
        ("site a 2020-01..2020-03", data),
        ("site a 2019-11..2020-03", ("reports",)),
        ("site b 2020-02..2020-03", (*data, "reports")),
    ]
