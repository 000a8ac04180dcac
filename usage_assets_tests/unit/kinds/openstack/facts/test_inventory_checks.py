"""Machines that only the inventory or only the databases know are pointed out, where a site lists an inventory."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from usage_assets.checks.facts import overlaps, rejects_share
from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.facts.inventory_checks import inventory
from usage_assets.orchestration.finding_metadata import lists
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows, make_site
from usage_assets_tests.golden.stored import store

JAN = date(2024, 1, 1)
WINDOW = Window("golden", (JAN,))
NOVA = "nova_compute_nodes"


def machines() -> Rows:
    rows = Rows()
    rows.compute_node("both", "2023-06-01")
    rows.compute_node("forgotten", "2023-06-01")
    rows.compute_node("left", "2023-06-01", "2023-12-01")
    return rows


def stored(folder: Path, rows: Rows, lines: str, sources: Any = (NOVA, {}), **more: Any):
    """A site with these lines in its inventory, and a warehouse that has its month."""
    path = folder / "inventory.csv"
    path.write_text("hostname,in_service_from,in_service_to\n" + lines)
    listed = [{"name": "inventory", "file": str(path)} | one if isinstance(one, dict) else one for one in sources]
    site = make_site(sources={"total": listed} if listed else {}, **({"first_month": "2024-01"} | more))
    warehouse = Warehouse(folder / "warehouse.duckdb")
    store(warehouse, rows, site, [JAN], timelines=False)
    return site, warehouse


def found(folder: Path, lines: str, **more: Any) -> Finding:
    site, warehouse = stored(folder, more.pop("rows", machines()), lines, **more)
    with warehouse.read() as reader:
        return inventory(reader, site, WINDOW)[JAN]


def test_both_sides_are_told_apart_and_named_in_a_table(tmp_path: Path):
    lines = "both,2023-01-01,\nleft,2023-01-01,\nunseen,2024-01-05,\nold,2020-01-01,2021-01-01\n"
    lines += "over,2020-01-01,2024-01-01\n"
    finding = found(tmp_path, lines)
    assert finding.text == (
        "2 machine(s) in service by the inventory that the databases do not know: left, unseen; "
        "1 machine(s) in the databases that the inventory does not have in service: forgotten"
    )
    assert finding.figures == {"only_in_inventory": 2, "only_in_databases": 1}
    assert finding.names == {"only_in_inventory": ("left", "unseen"), "only_in_databases": ("forgotten",)}
    assert "| 2024-01 | only_in_inventory | unseen |" in str(lists({JAN: finding})["names"].value)


def test_many_names_are_cut_at_whole_ones_and_all_are_in_the_table(tmp_path: Path):
    names = [f"machine-{n:03}-with-a-long-name" for n in range(40)]
    finding = found(
        tmp_path, "both,2023-01-01,\nforgotten,2023-01-01,\n" + "".join(f"{n},2023-01-01,\n" for n in names)
    )
    assert finding.text.endswith(f": {', '.join(names[:5])}, ...")
    assert finding.names == {"only_in_inventory": tuple(names)}


def test_the_same_machines_pass_however_their_names_are_written(tmp_path: Path):
    assert found(tmp_path, "Both,2023-01-01,\nforgotten,2023-01-01,\n").passed


def test_a_site_without_an_inventory_passes(tmp_path: Path):
    assert found(tmp_path, "", sources=()).passed


@pytest.mark.parametrize("sources", [({},), ({"policy": "authoritative"}, NOVA), (NOVA, {"policy": "supplement"})])
def test_what_was_dumped_is_asked_whichever_source_the_site_lists(tmp_path: Path, sources: Any):
    rows = machines()
    rows.computehost("of-blazar", "2023-06-01")
    lines = "both,2023-01-01,\nforgotten,2023-01-01,\nof-blazar,2023-01-01,\nm3,2023-01-01,\n"
    finding = found(tmp_path, lines, rows=rows, sources=sources)
    assert finding.names == {"only_in_inventory": ("m3",)}


def test_time_in_a_known_gap_of_novas_machines_is_not_asked_for(tmp_path: Path):
    lines = "both,2023-01-01,\nforgotten,2023-01-01,\nin-the-gap,2023-01-01,2024-01-20\nlater,2024-01-10,\n"
    whole = {"known_gaps": [{"source": NOVA, "to": "2024-02-01"}]}
    assert found(tmp_path, lines, **whole).passed
    part = {"known_gaps": [{"source": NOVA, "to": "2024-01-20"}]}
    assert found(tmp_path, lines, **part).names == {"only_in_inventory": ("later",)}


def share(folder: Path, rows: Rows, lines: str, sources: Any, name: str = "total") -> dict[str, Finding]:
    site, warehouse = stored(folder, rows, lines, sources)
    fact = next(fact for fact in OPENSTACK.facts if fact.name == name)
    with warehouse.read() as reader:
        return {
            "share": rejects_share(OPENSTACK.asset("facts", name), fact, reader, site, WINDOW)[JAN],
            "overlaps": overlaps(fact.metrics, fact.sharing, reader, site, WINDOW)[JAN],
        }


@pytest.mark.parametrize("sources", [(NOVA, {"policy": "authoritative"}), ({"policy": "authoritative"}, NOVA)])
def test_rows_of_a_source_that_the_site_does_not_believe_are_no_rejected_share(tmp_path: Path, sources: Any):
    lines = "both,2023-01-01,\nforgotten,2023-01-01,\n"
    assert share(tmp_path, machines(), lines, sources)["share"].passed


def test_rows_that_another_row_of_their_source_hides_are_one(tmp_path: Path):
    rows = machines()
    rows.compute_node("forgotten", datetime(2023, 5, 1))
    rows.compute_node("sick", "2024-01-10", "2024-01-05")
    finding = share(tmp_path, rows, "both,2023-01-01,\n", (NOVA, {"policy": "authoritative"}))["share"]
    assert finding.text == "2 of 4 rows rejected (50.0%): duplicate 1, never_ran 1"


def test_containers_that_share_a_device_are_neither_rejected_too_often_nor_overlap(tmp_path: Path):
    rows = Rows()
    rows.device("pi-1", "2023-06-01", id="d")
    for name in ("a", "b", "c"):
        rows.container("2024-01-10", "2024-01-12", host="pi-1", annotations="{}", uuid=name)
    assert all(finding.passed for finding in share(tmp_path, rows, "", (), "occupied").values())
    for _ in range(2):
        rows.container("2024-01-10", "2024-01-12", host="pi-1", annotations="{}", uuid="twice")
    assert "rejected (20.0%): duplicate 1" in share(tmp_path, rows, "", (), "occupied")["share"].text
