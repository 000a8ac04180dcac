"""`usage-assets service users`, `models`, `cost`, `limits` and `report`: sums of whole days, exact in every form."""

import csv
import io
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from usage_assets.cli.app import app
from usage_assets.core.months import month_of
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.kinds.service.tables.declarations import (
    ADDITIVE,
    SERVICE_MODEL_DAILY,
    SERVICE_TEAM_DAILY,
    SERVICE_USER_DAILY,
)
from usage_assets.schema import Table
from usage_assets.warehouse import Warehouse

MARCH = date(2026, 3, 1)


def put(warehouse: Warehouse, table: Table, *rows: dict[str, Any]) -> None:
    """Rows of a table; what they leave out is 0 or null."""
    with warehouse.write("test") as writer:
        writer.ensure(table)
        for row in rows:
            values = {"site": "llm", "month": month_of(row.get("date", MARCH)), **row}
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" for _ in values)
            writer.con.execute(f"INSERT INTO {table.qualified} ({names}) VALUES ({marks})", list(values.values()))


def sums(**given: Any) -> dict[str, Any]:
    """A row of requests, all of which succeeded."""
    return {column.name: 0 for column in ADDITIVE} | {"sessions": 0, "source": "events"} | given


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse) -> Warehouse:
    """A service of two users over three days."""
    sites = tmp_path / "sites"
    sites.mkdir()
    (sites / "llm.yaml").write_text("kind: service\nname: LLM\nsources: [{reader: records, path: /nowhere}]\n")
    monkeypatch.setenv("USAGE_SITES", str(sites))
    money = "0.100000000001"
    days = [MARCH + timedelta(days=number) for number in (0, 1, 30)]
    for day in days:
        for user, model, cost in (("ann", "small", money), ("bob", "big", "2")):
            row = sums(date=day, model_id=model, provider="own", requests=2, succeeded=2, cost=Decimal(cost),
                       latency_sum_s=3, latency_n=2)  # fmt: skip
            put(warehouse, SERVICE_USER_DAILY, row | {"user_id": user})
            del row["source"]
            put(warehouse, SERVICE_TEAM_DAILY, row | {"team_id": "lab", "users": 1})
            put(warehouse, SERVICE_MODEL_DAILY, row | {"users": 1, "distinct_prompts": 0})
    return warehouse


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["service", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    done = run(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_users_are_summed_over_a_month_the_dearest_first(service: Warehouse):
    found = rows("users", "--month", "2026-03")
    assert [(row["user_id"], row["requests"], row["cost"]) for row in found] == [
        ("bob", 6, "6.000000000000"),
        ("ann", 6, "0.300000000003"),
    ]
    assert found[0]["success_rate"] == 1
    assert found[0]["latency_mean_s"] == 1.5


def test_a_range_of_days_has_its_last_day_and_is_the_sum_of_its_days(service: Warehouse):
    whole = rows("cost", "--from", "2026-03-01", "--to", "2026-03-31")
    assert [row["date"] for row in whole] == ["2026-03-01", "2026-03-02", "2026-03-31"]
    single = [Decimal(row["cost"]) for day in whole for row in rows("cost", "--from", day["date"], "--to", day["date"])]
    assert sum(single) == sum(Decimal(row["cost"]) for row in whole) == Decimal("6.300000000003")


def test_models_of_one_user_and_cost_by_parts(service: Warehouse):
    assert [row["model_id"] for row in rows("models", "--month", "2026-03", "--user", "ann")] == ["small"]
    by = rows("cost", "--month", "2026-03", "--by", "team", "--by", "model")
    assert [(row["team_id"], row["model_id"]) for row in by] == [("lab", "big"), ("lab", "small")]
    (month,) = rows("cost", "--month", "2026-03", "--by", "month")
    assert month["cost"] == "6.300000000003"


def test_csv_has_exact_money_and_text_counts_what_it_leaves_out(service: Warehouse, tmp_path: Path):
    done = run("users", "--month", "2026-03", "--format", "csv", "--output", str(tmp_path / "users.csv"))
    assert done.exit_code == 0, done.output
    found = list(csv.DictReader(io.StringIO((tmp_path / "users.csv").read_text())))
    assert [row["cost"] for row in found] == ["6.000000000000", "0.300000000003"]
    shown = run("users", "--month", "2026-03", "--top", "1")
    assert "bob" in shown.stdout
    assert "... and 1 more (--top 0 shows all)" in shown.stdout


def test_limits_show_the_newest_status_and_the_thresholds_crossed(service: Warehouse):
    scope = {"scope_type": "user", "scope_id": "bob", "window": "month", "period": "2026-03"}
    for day, spent in ((5, 1), (6, 3)):
        put(service, SPENDING_STATUS, scope | {
            "as_of": datetime(2026, 3, day), "unlimited": False, "amount": 4, "spent": spent, "remaining": 4 - spent,
            "percent": 25 * spent, "burn_per_day": 1, "unrated_requests": 0,
        })  # fmt: skip
    put(service, SPENDING_ALERTS, scope | {
        "threshold": Decimal("0.5"), "crossed_at": datetime(2026, 3, 6, 12), "event_id": "e", "request_id": "r",
        "spent": 3, "amount": 4, "percent": 75, "id": "i",
    })  # fmt: skip
    (status,) = rows("limits", "--month", "2026-03")
    assert (status["as_of"], status["spent"]) == ("2026-03-06T00:00:00Z", "3.000000000000")
    assert [row["request_id"] for row in rows("limits", "--crossed", "--from", "2026-03-06", "--to", "2026-03-06")] == [
        "r"
    ]
    assert rows("limits", "--crossed", "--from", "2026-03-07", "--to", "2026-03-31") == []
    assert rows("limits", "--month", "2026-03", "--scope", "ann") == []


def test_a_report_says_which_files_it_wrote(service: Warehouse, tmp_path: Path):
    with service.write("test") as writer:
        writer.ensure(SERVICE_REQUESTS)
    done = run("report", "--month", "2026-03", "--format", "json", "--output", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "out").iterdir()
    assert written.name in done.stdout.replace("\n", "")
    assert written.name.startswith("llm_2026-03")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("users", "--site", "other"), "unknown site other"),
        (("users", "--month", "2026-03", "--from", "2026-03-01"), "choose --month, or --from and"),
        (("users", "--to", "2026-03-01"), "name the first day, too"),
        (("users", "--from", "2026-03-02", "--to", "2026-03-01"), "lies before --from"),
        (("cost", "--by", "team", "--user", "ann"), "sums are by user or by team"),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_reason(service: Warehouse, arguments: tuple[str, ...], said: str):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_before_anything_is_built_there_is_nothing(service: Warehouse):
    assert rows("users", "--month", "2020-01") == []
    assert rows("limits") == []
