"""Machines whose name is spelt in several ways, worked out by hand: one machine, one identity, in every table."""

from datetime import date

import pytest

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import JAN, Worked, one_metal

FEB = date(2024, 2, 1)


def test_names_that_differ_by_case_are_one_machine():
    rows = Rows()
    rows.compute_node("KVM-1", "2023-01-01")
    rows.compute_node("kvm-1", "2024-01-11")
    rows.computehost("Kvm-1", "2023-01-01", node_type="a")
    site = Worked(rows, months=(JAN, FEB))
    assert site.kept("total", "node_type") == [
        ("kvm-1", "01-01", "01-11", "clipped", "a"),
        ("kvm-1", "01-11", "02-01", "kept", "a"),
        ("kvm-1", "02-01", "03-01", "kept", "a"),
    ]
    assert site.hours("total") == site.hours("reservable") == 24 * (31 + 29)


@pytest.mark.parametrize("node", ["H", "h", "h.site.example", "H.Site.Example"])
@pytest.mark.parametrize("reserved", [True, False])
def test_a_server_on_a_machine_in_other_letters_holds_it(node, reserved):
    rows, host = one_metal(node_type="t")
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance(node, "2024-01-12", "2024-01-14")
    rows.spec(server, spec_text([reservation] if reserved else None))
    metric = "occupied_reservation" if reserved else "occupied_ondemand"
    assert Worked(rows).kept(metric, "node", "node_type", "nodes", "vcpus") == [
        (server, "01-12", "01-14", "kept", "h", "t", 1.0, 48.0)
    ]


def test_a_short_name_is_the_only_full_one_that_begins_with_it():
    rows = Rows()
    rows.compute_node("H1.site", "2023-01-01")
    rows.computehost("h1", "2023-01-01", node_type="t")
    one = rows.instance("h1", "2024-01-10", "2024-01-20")
    rows.spec(one)
    site = Worked(rows)
    assert site.kept("total", "node_type") == [("h1.site", "01-01", "02-01", "kept", "t")]
    assert site.kept("reservable") == [("h1.site", "01-01", "02-01", "kept")]
    assert site.kept("occupied_ondemand", "node", "nodes") == [(one, "01-10", "01-20", "kept", "h1.site", 0.1)]


def test_a_short_name_of_two_full_ones_is_none_of_them():
    rows = Rows()
    rows.compute_node("h1.east", "2023-01-01")
    rows.compute_node("h1.west", "2023-01-01")
    one = rows.instance("h1", "2024-01-10", "2024-01-20")
    rows.spec(one)
    assert Worked(rows).kept("occupied_ondemand", "node", "nodes") == [(one, "01-10", "01-20", "kept", "h1", None)]


def test_full_names_of_two_domains_do_not_both_mean_a_short_one():
    rows = Rows()
    rows.compute_node("h1", "2023-01-01")
    for domain in ("east", "west"):
        rows.spec(rows.instance(f"h1.{domain}", "2024-01-10", "2024-01-20"))
    kept = Worked(rows).kept("occupied_ondemand", "node", "nodes")
    assert [row[4:] for row in kept] == [("h1.east", None), ("h1.west", None)]


@pytest.mark.parametrize(("until", "machines"), [("2023-06-01", {"h1.site"}), ("2024-01-11", {"h1", "h1.site"})])
def test_a_short_and_a_full_hypervisor_are_two_only_if_they_were_there_together(until, machines):
    rows = Rows()
    rows.compute_node("h1", "2023-01-01", until)
    rows.compute_node("h1.site", "2023-06-01")
    assert {row[0] for row in Worked(rows).kept("total")} == machines


def _shelved(rows: Rows, *, host: str) -> str:
    """A server of 10 days that was then offloaded, its node forgotten; its events name a host."""
    server = rows.instance(None, "2024-01-01", vm_state="shelved_offloaded", vcpus=12)
    rows.spec(server)
    rows.event(server, "compute__do_build_and_run_instance", "2024-01-01", host=host)
    rows.event(server, "compute_shelve_offload_instance", "2024-01-11", host=host)
    return server


@pytest.mark.parametrize("host", ["kvm-a", "KVM-A", "service-a", "kvm-a.site"])
def test_a_shelved_server_is_found_by_the_service_that_ran_it(host):
    rows = Rows()
    rows.compute_node("kvm-a.site", "2023-01-01", vcpus=48, host="Service-A")
    server = _shelved(rows, host=host)
    assert Worked(rows).kept("occupied_ondemand", "node", "nodes") == [
        (server, "01-01", "01-11", "clipped", "kvm-a.site", 0.25)
    ]


def test_a_service_of_several_machines_names_none():
    rows = Rows()
    rows.compute_node("a.site", "2023-01-01", host="service")
    rows.compute_node("b.site", "2023-01-01", host="service")
    server = _shelved(rows, host="service")
    assert Worked(rows).kept("occupied_ondemand", "node", "nodes") == [
        (server, "01-01", "01-11", "clipped", None, None)
    ]


def test_services_and_inventories_name_machines_in_any_spelling(tmp_path):
    rows = Rows()
    rows.compute_node("a.site", "2024-01-11", host="a")
    rows.add("nova_services", id=1, host="A", binary="nova-compute", created_at="2023-01-01")
    rows.add("nova_services", id=2, host="B.site", binary="nova-compute", created_at="2023-01-01")
    (tmp_path / "machines.csv").write_text("hostname,node_type,in_service_from\nA,t,2023-01-01\nb,u,2024-01-21\n")
    inventory = {"name": "inventory", "policy": "gap_fill", "file": tmp_path / "machines.csv"}
    site = Worked(rows, sources={"total": ["nova_compute_nodes", "nova_services", inventory]})
    assert site.kept("total", "source", "node_type") == [
        ("a.site", "01-01", "01-11", "clipped", "nova_services", "t"),
        ("a.site", "01-11", "02-01", "kept", "nova_compute_nodes", "t"),
        ("b", "01-01", "02-01", "kept", "nova_services", "u"),
    ]


def test_the_sites_file_names_machines_in_any_spelling():
    rows = Rows()
    for name in ("GPU-1.site", "gpu-2", "cpu-1.east", "cpu-1.west"):
        rows.compute_node(name, "2023-01-01")
    said = {"gpu-1": {"type": "a"}, "Gpu-2.site": {"type": "b"}, "cpu-1": {"type": "c"}, "^CPU-": {"type": "d"}}
    taken = {"table": "nova_compute_nodes", "where": {"hypervisor_hostname": "gpu-1"}, "from": "2024-01-11"}
    site = Worked(rows, node_types=said, exclusions=[taken | {"reason": "test", "by": "ops"}])
    assert site.kept("total", "node_type") == [
        ("cpu-1.east", "01-01", "02-01", "kept", "d"),
        ("cpu-1.west", "01-01", "02-01", "kept", "d"),
        ("gpu-1.site", "01-01", "01-11", "kept", "a"),
        ("gpu-2", "01-01", "02-01", "kept", "b"),
    ]


def test_a_machine_renamed_in_a_lease_is_committed_from_its_new_name_on():
    rows = Rows()
    rows.ironic_node("old-name", "2023-01-01", "2024-01-10")
    rows.ironic_node("new-name", "2024-01-10")
    host = rows.computehost("new-name", "2023-01-01")
    _, _, allocation = rows.booked(host, "2024-01-01", "2024-01-20")
    assert Worked(rows).kept("committed") == [(allocation, "01-10", "01-20", "clipped")]
