"""Exclusions and further sources of a site's file through Dagster: conserved, checked, and a broken file said."""

from pathlib import Path

import dagster as dg
import pytest

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, build, checks, failed, make_site, tables

LINES = "hostname,node_type,in_service_from,in_service_to\nnode1,a,2020-01-01,\nspare,b,2020-02-11,2020-02-21\n"
RULES = [
    {"table": "nova_instances", "where": {"uuid": "s1"}, "to": "2020-01-20", "reason": "load test", "by": "ops"},
    {"table": "blazar_leases", "where": {"id": "l1"}, "from": "2020-02-01", "reason": "load test", "by": "ops"},
]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def ruled(folder: Path, lines: str = LINES) -> OpenStackSite:
    """The tiny site with its rules and an inventory."""
    (folder / "inventory.csv").write_text(lines)
    listed = ["nova_compute_nodes", {"name": "inventory", "file": str(folder / "inventory.csv")}]
    values = make_site(folder).model_dump(by_alias=True) | {"exclusions": RULES, "sources": {"total": listed}}
    return OpenStackSite.model_validate(values)


def sums(warehouse: Warehouse, metric: str) -> dict:
    with warehouse.read() as reader:
        found = reader.sql(
            "SELECT month, sum(hours) FROM timelines.usage WHERE metric = $metric AND resource = 'nodes' GROUP BY ALL",
            {"metric": metric},
        )
    return dict(found.iter_rows())


def test_what_is_excluded_is_conserved_and_what_only_one_side_knows_is_pointed_out(tmp_path, instance):
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    result = build(ruled(tmp_path), warehouse, instance, tables_only=True)
    assert result.success
    # the server's February has no lease any more
    assert failed(result) == {
        ("openstack/facts/total", "inventory", None),
        ("openstack/facts/total", "sizes", None),  # nothing tells the size of the machine that is spare
        ("openstack/facts/committed", "rejects_share", None),
        ("openstack/facts/occupied", "rejects_share", None),
    }
    assert sums(warehouse, "total") == {JAN: 2 * 744, FEB: 2 * 696 + 240, MAR: 2 * 744}
    assert sums(warehouse, "committed") == {JAN: 21 * 24, FEB: 0, MAR: 0}
    assert sums(warehouse, "occupied_reservation") == {JAN: 12 * 24, FEB: 0, MAR: 0}
    shown = checks(result)["openstack/facts/total", "inventory", None].metadata["this_run"]
    assert isinstance(shown, dg.TableMetadataValue)
    said = {str(row.data["month"]): str(row.data["found"]) for row in shown.records}
    assert "1 machine(s) in the databases that the inventory does not have in service: node2" in said["2020-01"]
    assert "1 machine(s) in service by the inventory that the databases do not know: spare" in said["2020-02"]


def test_a_broken_inventory_fails_the_facts_says_where_and_keeps_the_old_rows(tmp_path, instance):
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    build(ruled(tmp_path), warehouse, instance, tables_only=True)
    before = tables(warehouse, ["facts.intervals"])
    result = build(ruled(tmp_path, LINES + "x,a,soon,\n"), warehouse, instance, tables_only=True)
    assert not result.success
    texts = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert any("line 4, column in_service_from: found 'soon'" in text for text in texts)
    assert tables(warehouse, ["facts.intervals"]) == before
