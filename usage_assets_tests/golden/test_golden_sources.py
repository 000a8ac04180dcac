"""Sources of total on sites worked out by hand: which of them makes a machine exist, of which type and size."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.openstack.timelines.scope import usage_scope
from usage_assets.schema import violations
from usage_assets_tests.golden.builder import Rows, make_site
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.worked import FEB, JAN, Worked

COLUMNS = "hostname,node_type,vcpus,memory_mb,disk_gb,gpus,in_service_from,in_service_to\n"
SPAN = ("start_at", "end_at")


@pytest.fixture
def built(tmp_path: Path):
    """A site whose total is made of Nova's machines and then an inventory of these lines, by a policy."""

    def build(rows: Rows, inventory: str, policy: str = "gap_fill", **site: Any) -> Worked:
        path = tmp_path / "inventory.csv"
        path.write_text(COLUMNS + inventory)
        listed = ["nova_compute_nodes", {"name": "inventory", "policy": policy, "file": str(path)}]
        return Worked(rows, sources={"total": listed}, **site)

    return build


def account(site: Worked, source: str) -> dict[str, Any]:
    """Rows and hours of a source of total, zeros left out."""
    return {name: value for name, value in site.account(source, "total").items() if value}


def test_the_inventory_fills_the_gap_that_the_databases_leave(built):
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-10")
    rows.compute_node("h", "2024-01-20")
    rows.computehost("h", "2023-06-01", node_type="skylake", gpus=2)
    site = built(rows, "h,other,48,2000,200,0,2023-01-01,\n")
    assert site.kept("total", "source", "vcpus", "node_type") == [
        ("h", "01-01", "01-10", "kept", "nova_compute_nodes", 40.0, "skylake"),
        ("h", "01-10", "01-20", "clipped", "inventory", 48.0, "skylake"),
        ("h", "01-20", "02-01", "kept", "nova_compute_nodes", 40.0, "skylake"),
    ]
    assert site.hours("total") == site.hours("reservable") == 744
    assert account(site, "inventory") == {
        "rows_in": 1,
        "rows_kept": 1,
        "hours_in": 744,
        "hours_kept": 240,
        "hours_clipped": 504,
    }


def test_a_machine_that_only_the_inventory_knows_has_its_type_and_size_and_can_be_reserved(built):
    rows = Rows()
    rows.ironic_node("known", "2023-06-01")
    host = rows.computehost("h", "2023-06-01")
    rows.booked(host, "2024-01-10", "2024-01-12")
    rows.instance("h", "2024-01-10", "2024-01-12")
    site = built(rows, "h,gpu_a100,160,512,4000,4,2024-01-05,2024-01-25\n")
    sizes = ("node_type", "nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb", "gpus")
    assert site.kept("total", *sizes)[0] == (
        ("h", "01-05", "01-25", "kept", "gpu_a100", 1.0, 160.0, 160.0, 512.0, 4000.0, 4.0)
    )
    assert site.kept("reservable", "node_type", "vcpus", "gpus") == [
        ("h", "01-05", "01-25", "clipped", "gpu_a100", 48.0, 4.0)
    ]
    assert site.hours("committed", node_type="gpu_a100") == 48
    assert site.hours("occupied_unknown", "vcpus", "gpu_a100") == 160 * 48


def test_an_inventory_that_the_databases_cover_is_a_duplicate_and_one_that_ended_is_not_there(built):
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    site = built(rows, "h,a,1,1,1,0,2023-01-01,\nold,a,1,1,1,0,2016-01-01,2023-12-31\nnew,a,1,1,1,0,2024-02-01,\n")
    assert site.hours("total") == 744
    assert site.rejected("inventory", *SPAN) == [("h", "duplicate", "01-01", "02-01")]
    assert account(site, "inventory") == {
        "rows_in": 1,
        "rows_rejected": 1,
        "hours_in": 744,
        "hours_rejected": 744,
    }


def test_an_authoritative_inventory_replaces_nova_where_it_knows_the_machine(built):
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    rows.compute_node("other", "2023-06-01")
    site = built(rows, "h,a,48,,,0,2024-01-10,2024-01-20\n", "authoritative")
    assert site.kept("total", "source", "vcpus", "memory_mb") == [
        ("h", "01-01", "01-10", "clipped", "nova_compute_nodes", 40.0, 1000.0),
        ("h", "01-10", "01-20", "kept", "inventory", 48.0, 1000.0),
        ("h", "01-20", "02-01", "clipped", "nova_compute_nodes", 40.0, 1000.0),
        ("other", "01-01", "02-01", "kept", "nova_compute_nodes", 40.0, 1000.0),
    ]


def test_a_supplement_adds_machines_that_nova_never_knew_not_times_of_those_it_knew_once(built):
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2023-09-01")
    site = built(rows, "h,a,1,1,1,0,2023-01-01,\nnew,a,1,1,1,0,2023-01-01,\n", "supplement")
    assert [interval[0] for interval in site.kept("total")] == ["new"]
    assert site.rejected("inventory") == [("h", "duplicate")]


def test_bad_lines_of_the_inventory_are_rejected(built):
    lines = ",a,1,1,1,0,2024-01-05,\nh,a,1,1,1,0,2024-01-20,2024-01-10\ntimeless,a,1,1,1,0,,\n"
    site = built(Rows(), lines)
    assert site.rejected("inventory") == [(None, "null_key"), ("h", "never_ran"), ("timeless", "bad_time")]
    assert account(site, "inventory")["rows_rejected"] == 3


def test_of_two_stays_of_a_machine_each_has_its_own_size_and_instants_count_to_the_minute(built):
    lines = "h,a,8,1,1,0,2023-01-01,2024-01-05 06:00\nh,a,16,1,1,0,2024-01-05T18:00:00Z,\n"
    assert built(Rows(), lines).kept("total", "vcpus") == [
        ("h", "01-01", "01-05 06:00", "kept", 8.0),
        ("h", "01-05 18:00", "02-01", "kept", 16.0),
    ]


def test_overcommit_and_missing_sizes_of_a_gap_are_those_of_nova_nearest_in_time(built):
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-11", cpu_allocation_ratio=2.0, vcpus=10)
    rows.compute_node("h", "2024-01-21", cpu_allocation_ratio=4.0, vcpus=20)
    rows.instance("h", "2024-01-12", "2024-01-14")
    site = built(rows, "h,a,,,,,2023-01-01,\n")
    gap = [
        interval for interval in site.kept("total", "source", "vcpus", "vcpus_overcommit") if interval[4] == "inventory"
    ]
    assert gap == [
        ("h", "01-11", "01-16", "clipped", "inventory", 10.0, 20.0),
        ("h", "01-16", "01-21", "clipped", "inventory", 20.0, 80.0),
    ]
    assert site.hours("occupied_unknown") == round(4 / 10 * 48, 6)


def test_a_known_gap_of_nova_does_not_hide_what_the_inventory_knows_but_hides_what_others_lack(built):
    gaps = [{"source": "nova_compute_nodes", "to": "2024-02-01"}, {"source": "blazar_computehosts", "to": "2024-01-10"}]
    rows = Rows()
    rows.computehost("h", "2023-06-01")
    site = built(rows, "h,a,1,1,1,0,2023-01-01,\n", known_gaps=gaps)
    assert (site.hours("total"), site.hours("reservable")) == (744, 528)
    for metric, nulls in (("total", 0), ("reservable", 9), ("ondemand_capacity", 9)):
        values = site.usage.usage.filter(metric=metric, resource="nodes", node_type="a")["value"]
        assert (len(values), values.null_count()) == (31, nulls)
    assert Worked(rows, known_gaps=gaps).usage.usage.filter(metric="total")["value"].null_count() > 0


def test_a_gap_that_all_sources_of_total_share_stays_one():
    def gaps(*known: dict[str, str]) -> list[tuple[str, str]]:
        site = make_site(sources={"total": ["nova_compute_nodes", "nova_services"]}, known_gaps=list(known))
        return [(f"{gap.start:%m-%d}", f"{gap.end:%m-%d}") for gap in usage_scope(site).gaps["total"]]

    nova = {"source": "nova_compute_nodes", "from": "2020-01-01", "to": "2020-03-01"}
    services = {"source": "nova_services", "from": "2020-02-01", "to": "2020-04-01"}
    assert gaps(nova) == gaps(services) == []
    assert gaps(nova, services) == [("02-01", "03-01")]


def service(
    rows: Rows, host: str | None, created: str, deleted: str | None = None, binary: str = "nova-compute"
) -> None:
    rows.add("nova_services", id=rows.number(), host=host, binary=binary, created_at=created, deleted_at=deleted)


def test_services_fill_gaps_of_hypervisors_under_their_hostname_and_never_of_bare_metal():
    rows = Rows()
    rows.compute_node("h.example", "2024-01-10", host="h")
    rows.ironic_node("metal", "2024-01-10", host="ironic-conductor")
    service(rows, "h", "2024-01-05")
    service(rows, "new", "2023-01-01", "2024-01-03")
    service(rows, "ironic-conductor", "2023-01-01")
    service(rows, "h", "2023-01-01", binary="nova-scheduler")
    site = Worked(rows, sources={"total": ["nova_compute_nodes", "nova_services"]})
    assert site.kept("total", "source", "nodes", "vcpus") == [
        ("h.example", "01-05", "01-10", "clipped", "nova_services", 1.0, 40.0),
        ("h.example", "01-10", "02-01", "kept", "nova_compute_nodes", 1.0, 40.0),
        ("metal", "01-10", "02-01", "kept", "nova_compute_nodes", 1.0, None),
        ("new", "01-01", "01-03", "kept", "nova_services", 1.0, None),
    ]
    assert account(site, "nova_services")["rows_in"] == 2


def test_services_can_be_excluded_as_any_source():
    rows = Rows()
    service(rows, "h", "2024-01-05")
    taken = {"table": "nova_services", "where": {"host": "h"}, "to": "2024-01-10", "reason": "spare", "by": "ops"}
    site = Worked(rows, sources={"total": ["nova_services"]}, exclusions=[taken])
    assert site.kept("total") == [("h", "01-10", "02-01", "kept")]
    assert site.rejected("nova_services", *SPAN) == [("h", "excluded", "01-05", "01-10")]


def test_three_sources_each_fill_what_those_before_them_leave_and_months_are_alike(built, tmp_path: Path):
    rows = Rows()
    rows.compute_node("h", "2024-01-20", "2024-02-10", host="h")
    service(rows, "h", "2024-01-10")
    path = tmp_path / "three.csv"
    path.write_text(COLUMNS + "h,a,1,1,1,0,2024-01-01,\n")
    listed = ["nova_compute_nodes", "nova_services", {"name": "inventory", "file": str(path)}]
    sources = {"total": [*listed, {"name": "chameleon_usage_node_count_cache", "policy": "gap_fill"}]}
    site = Worked(rows, (JAN, FEB), sources=sources)
    assert site.kept("total", "source") == [
        ("h", "01-01", "01-10", "clipped", "inventory"),
        ("h", "01-10", "01-20", "clipped", "nova_services"),
        ("h", "01-20", "02-01", "kept", "nova_compute_nodes"),
        ("h", "02-01", "02-10", "kept", "nova_compute_nodes"),
        ("h", "02-10", "03-01", "clipped", "nova_services"),
    ]


def test_legacy_counts_alone_beside_nova_change_nothing():
    rows = Rows()
    rows.compute_node("h", "2024-01-20")
    with_counts = Worked(rows, sources={"total": ["nova_compute_nodes", "chameleon_usage_node_count_cache"]})
    assert with_counts.facts.intervals.equals(Worked(rows).facts.intervals)


@pytest.mark.parametrize("policy", ["authoritative", "gap_fill", "supplement"])
@pytest.mark.parametrize("seed", range(4))
def test_on_random_sites_a_machine_counts_once_and_every_hour_of_a_source_is_accounted_for(
    built, seed: int, policy: str
):
    rng = random.Random(seed)
    case = random_case(rng)
    start = [datetime(2024, 1, 1) + timedelta(hours=6 * rng.randint(-40, 200)) for _ in range(6)]
    stays = [(rng.choice(("h0", "h1", "h9")), at, at + timedelta(hours=rng.randint(-5, 900))) for at in start]
    lines = "".join(f"{name},a,8,,,,{at},{'' if rng.random() < 0.2 else end}\n" for name, at, end in stays)
    rules = case.site.model_dump(include={"exclusions", "node_types"}, by_alias=True)
    site = built(case.rows, lines, policy, months=case.months, extracted=case.extracted[case.months[0]], **rules)
    total = site.facts.intervals.filter(pl.col("devices").is_null(), metric="total").sort(
        "month", "entity_id", "start_at"
    )
    overlaps = total.filter((pl.col("start_at") < pl.col("end_at").shift(1)).over("month", "entity_id"))
    assert overlaps.is_empty()
    for row in site.facts.accounts.iter_rows(named=True):
        hours = row["hours_kept"] + row["hours_clipped"] + row["hours_rejected"]
        assert row["hours_in"] == pytest.approx(hours)
        assert row["hours_clipped"] > -1e-6
        assert row["rows_in"] == row["rows_kept"] + row["rows_rejected"] + row["rows_outside"]
    order = {row["metric"]: row["hours"] for row in _node_hours(site)}
    assert order["total"] >= order["reservable"] - 1e-6
    with duckdb.connect(":memory:") as con:
        con.register("frame", site.facts.intervals.to_arrow())
        assert violations(con, "frame", INTERVALS) == []


def _node_hours(site: Worked) -> list[dict[str, Any]]:
    nodes = site.usage.usage.filter(resource="nodes")
    return nodes.group_by("metric").agg(pl.col("hours").sum()).rows(named=True)
