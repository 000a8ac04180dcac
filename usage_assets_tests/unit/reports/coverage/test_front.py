"""What coverage tells the pages that lead to the plots."""

import json
from datetime import date, datetime

import polars as pl

from usage_assets.core import settings
from usage_assets.reports import landing
from usage_assets.reports.coverage.front import front, write_front
from usage_assets.reports.tables import COVERAGE
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS
from usage_assets_tests.unit.reports.test_figures import site

JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)


def rows(*each: tuple[date, str, str]) -> pl.DataFrame:
    made = [{"site": "made", "month": month, "asset": asset, "status": status} for month, asset, status in each]
    return pl.DataFrame(made, schema=COVERAGE.polars_schema)


def test_a_month_counts_as_the_worst_of_its_assets():
    found = front(rows((JAN, "a", "ok"), (JAN, "b", "waits"), (FEB, "a", "ok")), {"made": site()}, None)
    assert found["sites"] == {"made": {"name": "Made", "kind": "openstack", "counts": {"ok": 1, "blocked": 1}}}
    assert (found["failing"], found["failures"]) == (0, [])


def test_the_newest_failures_are_told_and_warnings_are_not(warehouse: Warehouse):
    failing = [
        {"site": name, "month": JAN, "asset": "openstack/facts/total", "check_name": f"c{n}", "severity": severity,
         "text": "x" * 399 + "\n", "run_id": "r", "evaluated_at": datetime(2026, 2, 1, n % 24, n // 24)}
        for n in range(40) for name, severity in (("made", "ERROR"), ("gone", "WARN"))
    ]  # fmt: skip
    with warehouse.write("test") as writer:
        writer.ensure(FAILED_CHECKS)
        writer.put(FAILED_CHECKS, pl.DataFrame(failing, schema=FAILED_CHECKS.polars_schema, orient="row"))
    write_front(rows((JAN, "a", "ok")), {"made": site()}, warehouse)
    told = json.loads((settings.plots_dir() / landing.FRONT).read_text(encoding="utf-8"))
    assert told["failing"] == 40
    assert len(told["failures"]) == 30
    assert [one["check"] for one in told["failures"][:2]] == ["c23", "c22"]
    first = told["failures"][0]
    assert (first["name"], first["month"], first["at"], len(first["text"])) == (
        "Made",
        "2026-01",
        "2026-02-01 23:00",
        300,
    )
    page = landing.page_of(settings.plots_dir(), [])
    assert page is not None
    assert "30 of 40 are shown" in page
