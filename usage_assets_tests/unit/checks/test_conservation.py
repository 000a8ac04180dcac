"""Conservation of facts: rows in = kept + rejected + outside, hours alike, and no join multiplies rows."""

import json
from datetime import date

import polars as pl
import pytest

from usage_assets.checks.facts import conservation
from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets_tests.golden.builder import make_site

MONTH = date(2024, 1, 1)
WINDOW = Window("a", (MONTH,))
GOOD = {
    "site": "a", "month": MONTH, "asset": "openstack/facts/committed", "source": "blazar_computehost_allocations",
    "rows_in": 3, "rows_kept": 1, "rows_rejected": 1, "rows_outside": 1, "hours_in": 0.0, "hours_kept": 0.0,
    "hours_clipped": 0.0, "hours_rejected": 0.0, "joins": json.dumps({"leases": {"rows_in": 3, "rows_out": 3}}),
}  # fmt: skip


def found(tmp_path, **changes):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(ACCOUNTS)
        writer.put(ACCOUNTS, pl.DataFrame([GOOD | changes], schema=ACCOUNTS.polars_schema))
    fact = next(fact for fact in OPENSTACK.facts if fact.name == "committed")
    with warehouse.read() as reader:
        return conservation("openstack/facts/committed", fact, reader, make_site(), WINDOW)[MONTH]


def test_a_month_whose_rows_and_hours_add_up_passes(tmp_path):
    assert found(tmp_path).passed


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows_in": 4}, "4 rows in, but 3 kept, rejected or outside"),
        ({"hours_in": 5.0, "hours_clipped": 2.0}, "5.000000 hours in, but 2.000000 kept, clipped or rejected"),
        ({"hours_in": -1.0, "hours_clipped": -1.0}, "more was kept than there was"),
        ({"hours_in": 2.0, "hours_kept": 2.0}, "2.000000 hours kept by the account, 0.000000 by the stored rows"),
        (
            {"joins": json.dumps({"leases": {"rows_in": 3, "rows_out": 4}})},
            "3 rows before the join with leases, 4 after it",
        ),
    ],
)
def test_what_does_not_add_up_fails_and_says_what(tmp_path, changes, text):
    finding = found(tmp_path, **changes)
    assert not finding.passed
    assert text in finding.text
    assert "blazar_computehost_allocations" in finding.text
