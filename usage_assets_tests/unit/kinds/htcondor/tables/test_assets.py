"""Tables by UTC month keep what their declarations say, and agree with the tables of the month's window."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, declarations, monthly
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    HOSTED,
    OPEN,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
    row,
)

MONTH = date(2026, 3, 1)
START = datetime(2026, 3, 1)


@dataclass
class Site:
    key: str = "p"

    def pool(self) -> Pool:
        return Pool(timezone="America/Chicago", masked={"gone": "sold", "x": "test stand"})


@pytest.fixture
def made() -> MadePool:
    polls = every(15, 30, START)
    gpus: States = {
        ("m", "0"): [claimed(), lent(idle()), claimed("<b>"), drained()] * 30,
        ("m", "1"): [claimed(class_=HOSTED, device="NVIDIA H200")] * 120,
        ("n", "0"): [idle(is_refusing=True, reason="fan"), lent(idle(HOSTED), "bob", "backfill_hosted")] * 60,
        ("n", "1"): [idle(device=None, memory_mb=None)] * 120,
        ("x", "0"): [idle(masked="test stand")] * 120,
    }
    return MadePool(polls, gpus, Site().pool(), performance=[(polls[0], "m", "NVIDIA H200", HOSTED, 1, 0.5)])


def test_every_table_is_stored_as_declared(made: MadePool, warehouse: Warehouse):
    rows = monthly.month_tables(made.pool, "p", MONTH, made.facts)
    assert set(rows) == {table.name for table in declarations.TABLES}
    with warehouse.write("test") as writer:
        for table in declarations.TABLES:
            frame = rows[table.name]
            written = writer.replace(table, frame, site="p", months=[MONTH], asset=f"k/{table.name}", run_id="r")
            assert not written.refused, written.refused
            assert frame.height or table.name == "gpu_never_active", table.name
            assert set(frame["expected"]) <= {31 * 96}


def test_rows_are_those_of_the_months_window(made: MadePool):
    rows = monthly.month_tables(made.pool, "p", MONTH, made.facts)["gpu_allocation"]
    cube = made.cube(monthly.month_window(MONTH, "America/Chicago"))
    whole = row(allocation.allocation_by_class(cube).frame, **{"class": OPEN})
    stored = row(rows, grouping="class", **{"class": OPEN})
    assert {name: stored[name] for name in whole if name != "label"} == {k: v for k, v in whole.items() if k != "label"}
    assert stored["coverage"] == pytest.approx(120 / (31 * 96))


def test_the_running_month_ends_at_its_extraction(made: MadePool):
    at = START + timedelta(hours=30)
    rows = monthly.month_tables(made.pool, "p", MONTH, made.facts, at)["gpu_allocation"]
    assert set(rows["expected"]) == {120}
    assert set(rows["coverage"]) == {1}
    # an extraction that a newer poll belies is not believed
    early = monthly.month_tables(made.pool, "p", MONTH, made.facts, START + timedelta(hours=3))["gpu_allocation"]
    assert set(early["intervals"]) == {120}


def test_assets_make_the_months_that_they_are_asked_for(made: MadePool, warehouse: Warehouse):
    site = Site()
    asset = next(asset for asset in monthly.TABLE_ASSETS if asset.name == "gpu_days")
    assert callable(asset.read)
    assert callable(asset.make)
    with warehouse.read() as reader:
        nothing = asset.make(site, [MONTH], asset.read(reader, site, [MONTH]), {})
    assert nothing.rows["coverage"].to_list() == [0.0] * nothing.rows.height
    assert nothing.rows["allocated_avg"].null_count() == nothing.rows.height
    days = asset.make(site, [MONTH], monthly.Months({MONTH: made.facts}), {}).rows
    total = days.filter(pl.col("class") == "total")
    assert total.select("local_at", "hours", "day_coverage").head(3).rows() == [
        (datetime(2026, 2, 28, 18), 6, 1),
        (datetime(2026, 3, 1), 24, 1),
        (datetime(2026, 3, 2), 24, 0),
    ]
    assert total["gpu_hours_observed"].sum() == pytest.approx(
        row(allocation.cluster_totals(made.cube()).frame)["gpu_hours_observed"]
    )
