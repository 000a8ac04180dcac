"""Checks of machines: what they point out, with names and figures."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.openstack.facts import build_facts, machine_checks, read_inputs
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows, make_site, spec_text
from usage_assets_tests.golden.stores import put_raw

JAN, FEB = date(2024, 1, 1), date(2024, 2, 1)
LATER = datetime(2024, 4, 1)


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., dict[date, Finding]]:
    """Build the facts of January and February, and ask a check."""

    def ask(check: Callable, *stored: tuple[Rows, tuple[date, ...]], **more) -> dict[date, Finding]:
        site, warehouse = make_site(first_month="2024-01", **more), Warehouse(tmp_path / "warehouse.duckdb")
        for rows, part in stored:
            put_raw(warehouse, rows, site, part, dict.fromkeys(part, LATER))
        months = [month for _, each in stored for month in each]
        with warehouse.read() as reader:
            facts = build_facts(site, months, read_inputs(reader, site, months), dict.fromkeys(months, LATER))
        with warehouse.write("facts") as writer:
            writer.ensure(INTERVALS, REJECTS)
            writer.put(INTERVALS, facts.intervals)
            writer.put(REJECTS, facts.rejects)
        with warehouse.read() as reader:
            return check(reader, site, Window(site.key, tuple(months)))

    return ask


def test_spellings_that_were_joined_are_listed(found):
    rows = Rows()
    rows.compute_node("KVM-1", "2023-01-01", "2024-01-20")
    rows.compute_node("kvm-1", "2023-06-01", "2024-01-20")
    rows.compute_node("kvm-2.site", "2023-01-01")
    rows.compute_node("KVM-3", "2023-01-01")
    rows.instance("kvm-2", "2024-01-10", "2024-01-12")
    rows.instance("KVM-3", "2024-01-10")
    got = found(machine_checks.spellings, (rows, (JAN, FEB)))
    assert got[JAN].text == (
        "2 machine(s) whose name is spelt in several ways, counted as one each: kvm-1 (KVM-1, kvm-1), "
        "kvm-2.site (kvm-2, kvm-2.site)"
    )
    assert not got[JAN].passed
    assert got[JAN].figures == {"machines": 2}


def test_servers_on_what_is_no_machine_are_counted_and_those_without_a_node_named(found):
    rows = Rows()
    rows.compute_node("kvm-1", "2023-01-01")
    for node in ("Kvm-1", "ghost", "GHOST"):
        rows.spec(rows.instance(node, "2024-01-10", "2024-01-12"))
    homeless = rows.instance(None, "2024-01-10", "2024-01-12")
    rows.spec(homeless)
    rows.spec(rows.instance("other", "2024-01-10", "2024-01-12"), spec_text(["no reservation"]))
    got = found(machine_checks.nodes, (rows, (JAN, FEB)))
    assert got[JAN].text == (
        "3 server(s) ran on 2 node(s) that are no machine: ghost, other; 1 server(s) have no node, and no event tells "
        f"where they ran: {homeless}; what they held of a machine is unknown"
    )
    assert got[JAN].names == {"nodes": ("ghost", "other"), "servers_without_node": (homeless,)}
    assert got[FEB].passed


def test_machines_of_unknown_size_are_named(found):
    rows = Rows()
    rows.compute_node("kvm-1", "2023-01-01", "2024-02-01", vcpus=0)
    rows.compute_node("kvm-2", "2023-01-01")
    rows.ironic_node("m", "2023-01-01")
    rows.computehost("m", "2023-01-01")
    got = found(machine_checks.sizes, (rows, (JAN, FEB)))
    assert got[JAN].text.startswith("1 machine(s) of unknown size (vcpus): kvm-1; ")
    assert got[FEB].passed


def test_labels_overwritten_since_a_month_was_read_are_named(found):
    rows = Rows()
    rows.ironic_node("m", "2023-01-01")
    rows.computehost("m", "2023-01-01", node_type="old")
    before = Rows({name: [dict(row) for row in table] for name, table in rows.tables.items()})
    rows.tables["blazar_computehost_extra_capabilities"][0]["capability_value"] = "new"
    got = found(machine_checks.labels, (before, (JAN,)), (rows, (FEB,)))
    assert got[JAN].text.startswith(
        "1 label(s) were overwritten at the source since this month was read: m node_type old here, new in 2024-02; "
    )
    assert got[FEB].passed


@pytest.mark.parametrize("blazar", ["new-name", "old-name"])
def test_an_allocation_of_a_machine_that_was_renamed_is_named(found, blazar):
    rows = Rows()
    rows.ironic_node("old-name", "2023-01-01", "2024-01-10")
    rows.ironic_node("new-name", "2024-01-10")
    _, _, allocation = rows.booked(rows.computehost(blazar, "2023-01-01"), "2024-01-01", "2024-01-20")
    other, hours = ("old-name", 216) if blazar == "new-name" else ("new-name", 240)
    got = found(machine_checks.renamed, (rows, (JAN,)))
    assert got[JAN].text.startswith(
        "1 allocation(s) lost more than a day in which another hypervisor, unknown to Blazar, was there: "
        f"{allocation} on {blazar} ({hours} h, when there was {other}); "
    )


def test_an_allocation_that_its_lease_cut_is_none_of_a_renamed_machine(found):
    rows = Rows()
    rows.ironic_node("other", "2023-01-01", "2024-01-10")
    rows.ironic_node("m", "2023-01-01")
    rows.booked(rows.computehost("m", "2023-01-01"), "2024-01-10", "2024-01-20")
    assert found(machine_checks.renamed, (rows, (JAN,)))[JAN].passed
