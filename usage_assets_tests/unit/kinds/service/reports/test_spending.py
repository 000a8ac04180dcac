"""Spending against limits: what was crossed in which month, what is told, and how far each scope has come."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core import clock
from usage_assets.core.errors import SiteError
from usage_assets.core.months import Window, month_of
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.reports.limits import crossed_in, status_at
from usage_assets.kinds.service.reports.overview import Days
from usage_assets.kinds.service.reports.spending import SPENDING_ASSETS, crossed, known_requests
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Asset
from usage_assets.warehouse import Query, Warehouse
from usage_assets.warehouse.bookkeeping import DUMPS

FEB, MAR = date(2026, 2, 1), date(2026, 3, 1)
ALERTS, STATUS = SPENDING_ASSETS


def site(tmp_path: Path, *limits: dict[str, Any], **more: Any) -> ServiceSite:
    path = tmp_path / "limits.jsonl"
    path.write_text("".join(f"{json.dumps(limit)}\n" for limit in limits))
    values = {"kind": "service", "key": "llm", "name": "LLM", "sources": [{"reader": "records", "path": "events"}]}
    named = {"limits": str(path)} if limits else {}
    return ServiceSite.model_validate(values | named | more, context={"folder": tmp_path})


def spend(warehouse: Warehouse, *charges: tuple[str, str, str | None], **columns: str) -> None:
    """Requests of user ann, (end, cost, session) each, in the order of their numbers."""
    rows = []
    for number, (end, cost, session) in enumerate(charges):
        at = datetime.fromisoformat(end)
        rows.append({
            "site": "llm", "month": month_of(at.date()), "request_id": f"r{number}", "event_id": f"e{number}",
            "user_id": "ann", "model_id": "m", "provider": "p", "session_id": session, "submitted_at": at,
            "started_at": at, "ended_at": at, "final_state": "succeeded", "requests": 1, "attempts": 1,
            "cost": Decimal(cost) if cost != "?" else None, "cost_source": "stated" if cost != "?" else "unrated",
            "reader": "records", **columns,
        })  # fmt: skip
    names = SERVICE_REQUESTS.polars_schema
    frame = pl.DataFrame([{name: row.get(name) for name in names} for row in rows], schema=names)
    with warehouse.write("test") as writer:
        writer.ensure(SERVICE_REQUESTS, DUMPS)
        writer.con.register("made", frame.drop("meters").to_arrow())
        writer.con.execute(f"INSERT INTO {SERVICE_REQUESTS.qualified} BY NAME FROM made").fetchall()


def build(warehouse: Warehouse, of: ServiceSite, asset: Asset, month: date, read_at: datetime | None = None) -> None:
    with warehouse.write("test") as writer:
        assert asset.select is not None
        queries = asset.select(writer, of, month, {month: read_at} if read_at else {})
        assert not writer.insert_month(
            asset.table, queries, site="llm", month=month, asset=f"service/{asset.path}", run_id="1"
        )


def alerts(warehouse: Warehouse) -> list[tuple]:
    columns = ["month", "scope_id", "window", "period", "threshold", "request_id", "spent"]
    with warehouse.read() as reader:
        return sorted(reader.frame(SPENDING_ALERTS, columns=columns).iter_rows())


def test_each_threshold_of_a_day_is_crossed_once_in_the_month_of_its_request(tmp_path: Path, warehouse: Warehouse):
    of = site(tmp_path, {"scope_type": "user", "scope_id": "*", "window": "day", "amount": 10, "thresholds": [0.5, 1]})
    spend(
        warehouse,
        ("2026-02-28T10:00", "4.9", None),
        ("2026-02-28T23:00", "0.1", None),
        ("2026-03-01T01:00", "9", None),
        ("2026-03-01T02:00", "1", None),
        ("2026-03-01T03:00", "5", None),
    )
    for month in (MAR, FEB):
        build(warehouse, of, ALERTS, month)
    half, whole = Decimal("0.5"), Decimal(1)
    assert alerts(warehouse) == [
        (FEB, "ann", "day", "2026-02-28", half, "r1", Decimal(5)),
        (MAR, "ann", "day", "2026-03-01", half, "r2", Decimal(9)),
        (MAR, "ann", "day", "2026-03-01", whole, "r3", Decimal(10)),
    ]
    with warehouse.read() as reader:
        assert crossed_in(reader, "llm", Days(MAR, MAR)).height == 2
        assert known_requests(reader, of, Window("llm", (FEB, MAR)))[MAR].passed


def test_a_local_month_that_began_in_the_utc_month_before_is_counted_from_its_start(
    tmp_path: Path, warehouse: Warehouse
):
    limit = {"scope_type": "site", "scope_id": "llm", "window": "month", "amount": 10, "thresholds": [1]}
    of = site(tmp_path, limit, reporting_tz="America/Chicago")
    spend(warehouse, ("2026-02-02T12:00", "6", None), ("2026-03-01T05:59", "5", None), ("2026-03-01T06:00", "9", None))
    build(warehouse, of, ALERTS, MAR)
    assert alerts(warehouse) == [(MAR, "llm", "month", "2026-02", Decimal(1), "r1", Decimal(11))]


def test_a_session_is_counted_from_its_start_however_long_ago(tmp_path: Path, warehouse: Warehouse):
    limit = {"scope_type": "user", "scope_id": "ann", "window": "session", "amount": 10, "thresholds": [1]}
    spend(warehouse, ("2025-11-05T12:00", "6", "s"), ("2026-03-05T12:00", "4", "s"), ("2026-03-06T12:00", "9", "t"))
    build(warehouse, site(tmp_path, limit), ALERTS, MAR)
    assert alerts(warehouse) == [(MAR, "ann", "session", "s", Decimal(1), "r1", Decimal(10))]


LIMIT = {"scope_type": "user", "scope_id": "ann", "window": "day", "amount": 10, "thresholds": [1]}


def dumped(warehouse: Warehouse, at: datetime) -> None:
    names = "'llm' AS site, DATE '2026-03-01' AS month, 'usage_events' AS table_name"
    counts = ", ".join(f"0 AS rows{name}" for name in ("", "_new", "_changed", "_moved", "_gone"))
    query = Query(f"SELECT {names}, $at::TIMESTAMP AS extracted_at, {counts}, 0 AS zero_dates", {"at": at})
    with warehouse.write("test") as writer:
        writer.con.execute(f"INSERT INTO {DUMPS.qualified} BY NAME {query.sql}", query.params).fetchall()


def told(warehouse: Warehouse, of: ServiceSite, months: Sequence[date] = (MAR,)) -> list[str]:
    with warehouse.read() as reader:
        found = crossed(reader, of, Window("llm", tuple(months)))
    return [text for finding in found.values() for text in finding.notices.values()]


def test_a_first_import_tells_of_the_periods_that_are_open(tmp_path: Path, warehouse: Warehouse):
    of = site(tmp_path, LIMIT)
    spend(warehouse, ("2026-03-05T12:00", "11", None), ("2026-03-06T12:00", "12", None))
    dumped(warehouse, datetime(2026, 3, 6, 18))
    build(warehouse, of, ALERTS, MAR)
    assert told(warehouse, of) == [
        "user ann has spent 12.0000 of 10.00 USD per day (2026-03-06): 1 of it since 2026-03-06 12:00 UTC"
    ]


def test_what_was_found_days_ago_is_told_no_more_though_the_month_is_built_again(
    tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    of = site(tmp_path, LIMIT)
    spend(warehouse, ("2026-03-06T12:00", "12", None))
    dumped(warehouse, datetime(2026, 3, 6, 18))
    build(warehouse, of, ALERTS, MAR)
    later = clock.naive_utc_now() + timedelta(days=4)
    monkeypatch.setattr(clock, "naive_utc_now", lambda: later)
    build(warehouse, of, ALERTS, MAR)
    assert told(warehouse, of) == []
    assert len(alerts(warehouse)) == 1


def test_default_tiers_hold_for_users_without_a_row_of_their_own(tmp_path: Path, warehouse: Warehouse):
    (tmp_path / "users.csv").write_text("user_id,tier\nann,free\nbob,free\n")
    own = {"scope_type": "user", "scope_id": "ann", "window": "day", "amount": 50, "thresholds": [1]}
    of = site(tmp_path, own, default_tiers=True, users="users.csv")
    spend(warehouse, ("2026-03-05T12:00", "10", None))
    build(warehouse, of, ALERTS, MAR)
    assert {row[2] for row in alerts(warehouse)} == {"request"}
    with pytest.raises(SiteError, match=r"default_tiers: needs a file of users"):
        build(warehouse, site(tmp_path, default_tiers=True), ALERTS, MAR)


def test_the_status_of_a_running_month_is_as_of_its_extraction(tmp_path: Path, warehouse: Warehouse):
    limit = {"scope_type": "user", "scope_id": "*", "window": "month", "amount": 100}
    spend(warehouse, ("2026-03-02T12:00", "7", None), ("2026-03-09T00:00", "14", None), ("2026-03-09T06:00", "?", None))
    build(warehouse, site(tmp_path, limit), STATUS, MAR, datetime(2026, 3, 10))
    with warehouse.read() as reader:
        found = status_at(reader, "llm", Days(MAR, MAR))
    rows = found.filter(pl.col("scope_type") == "user", pl.col("window") == "month").rows(named=True)
    # 14 in the seven days before: 2 a day, 79 left, 39.5 days: after the month's end
    assert rows == [{
        "as_of": datetime(2026, 3, 10), "scope_type": "user", "scope_id": "ann", "window": "month", "period": "2026-03",
        "amount": Decimal(100), "spent": Decimal(21), "remaining": Decimal(79), "percent": Decimal(21),
        "burn_per_day": Decimal(2), "projected_crossing_date": None, "unrated_requests": 1,
    }]  # fmt: skip


def test_the_status_of_a_month_that_is_over_is_that_of_its_end(tmp_path: Path, warehouse: Warehouse):
    limit = {"scope_type": "team", "scope_id": "lab", "window": "month", "amount": 10}
    spend(warehouse, ("2026-03-31T23:59", "7", None), team_id="lab")
    build(warehouse, site(tmp_path, limit), STATUS, MAR, datetime(2026, 4, 10))
    with warehouse.read() as reader:
        rows = reader.frame(SPENDING_STATUS, where="\"window\" = 'month'")
    assert set(rows["period"]) == {"2026-03"}
    assert dict(rows.select("scope_type", "unlimited").iter_rows()) == {
        "team": False, "user": True, "model": True, "provider": True, "site": True
    }  # fmt: skip
    assert set(rows["spent"]) == {Decimal(7)}


def test_a_site_without_limits_has_no_alerts(tmp_path: Path):
    assert not ALERTS.applies(site(tmp_path))
