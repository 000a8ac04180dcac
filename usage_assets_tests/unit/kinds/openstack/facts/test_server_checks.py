"""Servers that are shelved by their state alone are named once, in the month since when they count as shelved."""

from datetime import date
from pathlib import Path

import pytest

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.facts.machine_checks import shelved_without_events
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Month, Rows, make_site
from usage_assets_tests.golden.stores import put_raw
from usage_assets_tests.golden.worked import DEC, FEB, JAN, LATER


def named(folder: Path, rows: Rows, first: Month = DEC) -> dict[date, str]:
    months = [DEC, JAN, FEB]
    site = make_site(first_month=f"{first:%Y-%m}")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    put_raw(warehouse, rows, site, months, dict.fromkeys(months, LATER))
    with warehouse.read() as reader:
        found = shelved_without_events(reader, site, Window(site.key, tuple(months)))
    return {month: finding.text for month, finding in found.items() if not finding.passed}


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    told = rows.instance(None, "2023-12-10", vm_state="shelved_offloaded", updated_at="2024-01-20")
    rows.event(told, "compute_shelve_offload_instance", "2024-01-15")
    rows.instance("h", "2023-12-10", vm_state="stopped", updated_at="2024-01-20")
    return rows


def test_a_server_whose_events_say_since_when_is_not_named(tmp_path: Path, rows: Rows):
    assert named(tmp_path, rows) == {}


def test_a_server_without_such_events_is_named_in_the_month_of_its_last_change(tmp_path: Path, rows: Rows):
    rows.instance(None, "2023-12-10", uuid="untold", vm_state="shelved_offloaded", updated_at="2024-01-20")
    assert named(tmp_path, rows) == {
        JAN: "1 server(s) are shelved_offloaded and no event says since when (purged, or not granted): untold; they "
        "count as holding no host since their row was last changed"
    }


def test_one_changed_before_the_sites_first_month_is_named_in_that_one(tmp_path: Path, rows: Rows):
    rows.instance(None, "2023-10-10", uuid="untold", vm_state="shelved_offloaded", updated_at="2023-11-20")
    assert list(named(tmp_path, rows, DEC)) == [DEC]
