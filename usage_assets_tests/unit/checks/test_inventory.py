"""Machines that only the inventory or only the databases know are pointed out, where a site lists an inventory."""

from datetime import date
from pathlib import Path

from usage_assets.checks.inventory import inventory
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.partitions import Window
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows, make_site
from usage_assets_tests.golden.compare import build
from usage_assets_tests.golden.worked import JAN, LATER

WINDOW = Window("golden", (date(2024, 1, 1),))


def found(folder: Path, lines: str, *, listed: bool = True):
    rows = Rows()
    rows.compute_node("both", "2023-06-01")
    rows.compute_node("forgotten", "2023-06-01")
    rows.compute_node("left", "2023-06-01", "2023-12-01")
    path = folder / "inventory.csv"
    path.write_text("hostname,in_service_from,in_service_to\n" + lines)
    sources = {"total": ["nova_compute_nodes", {"name": "inventory", "file": str(path)}]} if listed else {}
    site = make_site(sources=sources)
    facts, _ = build(site, rows, [JAN], {JAN: LATER})
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(INTERVALS, REJECTS)
        writer.put(INTERVALS, facts.intervals)
        writer.put(REJECTS, facts.rejects)
    with warehouse.read() as reader:
        return inventory(reader, site, WINDOW)[JAN]


def test_both_sides_are_told_apart(tmp_path: Path):
    lines = "both,2023-01-01,\nleft,2023-01-01,\nunseen,2024-01-05,\nold,2020-01-01,2021-01-01\n"
    finding = found(tmp_path, lines)
    assert finding.text == (
        "2 machine(s) in service by the inventory that the databases do not know: left, unseen; "
        "1 machine(s) in the databases that the inventory does not have in service: forgotten"
    )
    assert finding.figures == {"only_in_inventory": 2, "only_in_databases": 1}


def test_the_same_machines_pass(tmp_path: Path):
    assert found(tmp_path, "both,2023-01-01,\nforgotten,2023-01-01,\n").passed


def test_a_site_without_an_inventory_passes(tmp_path: Path):
    assert found(tmp_path, "", listed=False).passed
