"""Table assets: one declaration gives a step that writes a table, its gates and its views."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.build import build_assets
from usage_assets.schema import Column, Rule, Table, Type
from usage_assets.specs.asset import Asset, Built
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import GATES
from usage_assets.warehouse.readiness import blocked_months

JAN, FEB = date(2024, 1, 1), date(2024, 2, 1)
COUNTS = Table(
    name="counts",
    stage="reports",
    description="Counts per month.",
    key=("name",),
    columns=(Column("name", Type.TEXT, "Name", nullable=False), Column("n", Type.INT, "Count", "rows")),
    rules=(Rule("not negative", "n >= 0", "A count"),),
)
SITE = OpenStackSite.model_validate({"kind": "openstack", "key": "metal", "name": "Metal", "databases": {"nova": "x"}})
WINDOW = Window("metal", (JAN, FEB))


def build(warehouse: Warehouse, table: Asset, run_id: str = "1") -> dict[date, dict]:
    return build_assets(OPENSTACK, SITE, WINDOW, warehouse, [table], run_id=run_id)[table.path]


def asset(rows: list[tuple[date, str, int]], **more) -> Asset:
    frame = pl.DataFrame([("metal", *row) for row in rows], schema=pl.Schema(COUNTS.polars_schema), orient="row")
    return Asset(
        stage="reports",
        name="counts",
        table=COUNTS,
        after=(),
        read=lambda reader, site, months: None,
        make=lambda site, months, read, extracted: Built(frame.filter(pl.col("month").is_in(list(months)))),
        **more,
    )


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


def stored(warehouse: Warehouse) -> set[tuple]:
    with warehouse.read() as reader:
        return set(reader.frame(COUNTS).rows())


def test_a_month_that_breaks_a_rule_keeps_its_rows_and_the_others_are_written(warehouse: Warehouse):
    build(warehouse, asset([(JAN, "a", 1), (FEB, "a", 2)]))
    shown = build(warehouse, asset([(JAN, "a", 7), (FEB, "a", -1)]), run_id="2")
    assert stored(warehouse) == {("metal", JAN, "a", 7), ("metal", FEB, "a", 2)}
    assert (shown[JAN]["status"], shown[FEB]["status"]) == ("written", "kept_old")
    with warehouse.read() as reader:
        gates = {row["month"]: row["ok"] for row in reader.frame(GATES).iter_rows(named=True)}
    assert gates == {JAN: True, FEB: False}


def test_only_the_owned_rows_are_replaced(warehouse: Warehouse):
    first = asset([(JAN, "a", 1)], owned={"name": ("a",)})
    second = replace(asset([(JAN, "b", 2)], owned={"name": ("b",)}), name="others")
    for table in (first, second, first):
        build(warehouse, table)
    assert stored(warehouse) == {("metal", JAN, "a", 1), ("metal", JAN, "b", 2)}


def test_a_month_waits_for_its_inputs(warehouse: Warehouse):
    table = replace(asset([(JAN, "a", 1)]), after=("facts/total",))
    shown = build(warehouse, table)
    assert "openstack/facts/total was never built" in shown[JAN]["reason"]
    assert stored(warehouse) == set()
    with warehouse.read() as reader:
        assert set(blocked_months(reader, SITE, [JAN, FEB], ["openstack/reports/counts"])) == {JAN, FEB}


def test_a_site_that_does_not_have_it_has_empty_months_that_count_as_built(warehouse: Warehouse):
    table = asset([(JAN, "a", 1)], applies=lambda site: False)
    shown = build(warehouse, table)
    assert shown[JAN]["status"] == "written"
    assert stored(warehouse) == set()


def test_a_view_is_made_after_each_write(warehouse: Warehouse):
    view = "CREATE OR REPLACE VIEW reports.names AS SELECT DISTINCT name FROM reports.counts"
    build(warehouse, asset([(JAN, "a", 1)], views=(view,)))
    with warehouse.read() as reader:
        assert reader.sql("SELECT * FROM reports.names").rows() == [("a",)]
