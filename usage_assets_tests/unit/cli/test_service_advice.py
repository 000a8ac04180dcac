"""`usage-assets service recommendations`, `service retention` and `scrub --user`."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from usage_assets.cli.app import app
from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.reports import recommend
from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATION_DECISIONS, RECOMMENDATIONS
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.reports.test_recommend import profile
from usage_assets_tests.unit.kinds.service.tables.made import MARCH, MadeSite, request, store


@pytest.fixture(autouse=True)
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse) -> None:
    """A service with a request and two unused models."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "llm.yaml").write_text(
        "kind: service\nname: LLM\nfirst_month: 2026-01\nretention: {facts_days: 90}\n"
        "sources:\n  - {reader: records, path: /srv/events, pattern: '*.jsonl'}\n"
    )
    monkeypatch.setenv("USAGE_SITES", str(tmp_path / "sites"))
    rows = [profile("a", days_since_use=50.0), profile("b", days_since_use=100.0)]
    with warehouse.write("test") as writer:
        store(writer, [request("r", "01-02 10:00:00", "01-02 10:00:01")])
        writer.ensure(MODEL_PROFILES)
        writer.put(MODEL_PROFILES, pl.DataFrame(rows, MODEL_PROFILES.polars_schema, orient="row"))
        made = recommend.make(MadeSite(), [MARCH], recommend.read(writer, MadeSite(), [MARCH]), {}).rows
        writer.replace(
            RECOMMENDATIONS, made, site="llm", months=[MARCH], asset="service/reports/recommendations", run_id="r"
        )


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_the_newest_advice_is_shown_and_a_decision_is_kept(warehouse: Warehouse) -> None:
    shown = _run("service", "recommendations", "--format", "csv")
    assert shown.exit_code == 0
    assert [line.split(",")[:4] for line in shown.output.splitlines() if line.startswith("cleanup")] == [
        ["cleanup", "b", "unused", "medium"],
        ["cleanup", "a", "unused", "medium"],
    ]

    done = _run("service", "recommendations", "--dismiss", "--model", "a", "--rule", "unused", "--note", "needed")

    assert (done.exit_code, done.output) == (0, "llm 2026-03: cleanup of a (unused) is dismissed\n")
    with warehouse.read() as reader:
        assert reader.frame(RECOMMENDATION_DECISIONS).select("model_id", "status", "note").rows() == [
            ("a", "dismissed", "needed")
        ]
        assert reader.frame(RECOMMENDATIONS).sort("model_id")["status"].to_list() == ["dismissed", "open"]


def test_a_decision_names_a_recommendation_that_is_there() -> None:
    assert _run("service", "recommendations", "--accept", "--model", "a").exit_code == 2
    assert _run("service", "recommendations", "--accept", "--dismiss").exit_code == 2
    assert _run("service", "recommendations", "--accept", "--model", "x", "--rule", "slow").exit_code != 0


def test_retention_says_what_keeps_a_month_back() -> None:
    for arguments in ([], ["--apply"]):
        shown = _run("service", "retention", *arguments)
        assert shown.exit_code == 0
    assert _run("service", "retention").output.startswith("llm 2026-01 facts/service_requests: 1 rows, 0.0 MB, kept: ")
    assert _run("service", "retention", "--apply").output.startswith("llm: nothing to remove as of ")


def test_a_user_is_taken_out(warehouse: Warehouse) -> None:
    done = _run("scrub", "--site", "llm", "--user", "ann")

    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "facts.service_requests: 1 row(s)"
    with warehouse.read() as reader:
        assert reader.frame(SERVICE_REQUESTS)["user_id"].to_list() == ["(erased)"]
    assert _run("scrub", "--site", "llm", "--user", "ann").output == "llm: no stored row has that user\n"


def test_hiding_all_persons_of_stored_rows_is_refused_with_what_can_be_done(tmp_path: Path) -> None:
    with (tmp_path / "sites" / "llm.yaml").open("a") as file:
        file.write("personal: {user_id: hash}\n")

    done = _run("scrub", "--site", "llm")

    assert isinstance(done.exception, UsageError)
    assert "usage-assets scrub --site llm --user NAME" in str(done.exception)
