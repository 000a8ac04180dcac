"""Amounts of every resource on sites worked out by hand: GPUs, overcommit, sizes of bare metal."""

import json
from pathlib import Path
from typing import Any

import pytest

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import Worked, one_machine, one_metal

SIZE = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb")
VGPUS = {"resources:VGPU": "2"}


def _server(rows: Rows, node: str | None, **more: Any) -> str:
    """A server on demand from 10 to 20 January; `extra_specs` are its flavor's."""
    extra_specs = more.pop("extra_specs", None)
    server = rows.instance(node, "2024-01-10", "2024-01-20", **more)
    rows.spec(server, spec_text(extra_specs=extra_specs))
    return server


@pytest.mark.parametrize(
    ("extra_specs", "gpus"),
    [
        ({}, 0),
        ({"hw:cpu_policy": "dedicated", "resources:CUSTOM_BAREMETAL": "1"}, 0),
        (VGPUS, 2),
        ({"resources:PGPU": "1", "resources:CUSTOM_GPU_A100": "3"}, 4),
        ({"resources1:VGPU": "1", "resources_GROUP2:VGPU": "1"}, 2),
        ({"pci_passthrough:alias": "a100:4"}, 4),
        ({"pci_passthrough:alias": "a100:1, v100:2"}, 3),
        ({"pci_passthrough:alias": "mlx5-vf:2,nvme:4"}, 0),
        ({"pci_passthrough:alias": "mlx5-vf:2,NVIDIA_A30-24q:4, gpu0 : 1"}, 5),
        ({"accounting:gpu_num": "4"}, 0),
        ({"trait:CUSTOM_GPU": "required", "resources:CUSTOM_RESERVATION_AB12": "1"}, 0),
    ],
)
def test_gpus_of_a_server_are_what_its_flavor_asks_for(extra_specs, gpus):
    rows, _ = one_machine(gpus=8)
    server = _server(rows, "h", extra_specs=extra_specs)
    site = Worked(rows)
    assert site.kept("occupied_ondemand", "gpus") == [(server, "01-10", "01-20", "kept", gpus)]
    assert site.hours("active", "gpus") == 240 * gpus
    assert site.hours("total", "gpus") == 744 * 8


@pytest.mark.parametrize(
    ("said", "extra_specs", "gpus"),
    [
        ({"gpu_aliases": ["nvme", "^mlx5"]}, {"pci_passthrough:alias": "mlx5-vf:2,nvme:4,nvme2:1,a100:8"}, 6),
        ({"gpu_aliases": []}, {"pci_passthrough:alias": "a100:8", "resources:VGPU": "1"}, 1),
        ({"gpu_extra_spec": "accounting:gpu_num"}, {"accounting:gpu_num": "4", "pci_passthrough:alias": "a100:2"}, 4),
        (
            {"gpu_extra_spec": "accounting:gpu_num"},
            {"accounting:gpu_num": "some", "pci_passthrough:alias": "a100:2"},
            2,
        ),
        ({"gpu_extra_spec": "accounting:gpu_num"}, {"accounting:gpu_num": "0"}, 0),
    ],
)
def test_the_sites_file_says_which_aliases_are_gpus_and_which_extra_spec_holds_their_number(said, extra_specs, gpus):
    rows, host = one_machine(gpus=8)
    server = _server(rows, "h", extra_specs=extra_specs)
    reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), "flavor:instance")
    rows.instance_reservation(reservation, resource_properties=json.dumps({"extra_specs": extra_specs}))
    allocation = rows.allocation(reservation, host, "2024-01-10")
    site = Worked(rows, **said)
    assert site.kept("occupied_ondemand", "gpus") == [(server, "01-10", "01-20", "kept", gpus)]
    assert site.kept("committed", "gpus") == [(allocation, "01-10", "01-20", "kept", gpus)]


def test_gpus_of_a_server_whose_request_is_not_there_are_unknown():
    rows, _ = one_machine(gpus=8)
    server = rows.instance("h", "2024-01-10", "2024-01-20")
    site = Worked(rows)
    assert site.kept("occupied_unknown", "gpus") == [(server, "01-10", "01-20", "kept", None)]
    unknown = site.usage.usage.filter(metric="occupied_unknown", resource="gpus")
    assert unknown["value"].null_count() == 31


def test_gpus_of_a_reserved_flavor_are_those_of_its_source_flavor():
    rows, host = one_machine(gpus=8)
    found = []
    aliases = {"pci_passthrough:alias": "a100:1,v100:2", "resources1:VGPU": "1"}
    sources = (json.dumps({"extra_specs": extra_specs}) for extra_specs in (VGPUS, aliases))
    for properties in (*sources, '["==", "$gpu_model", "a100"]', None):
        reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), "flavor:instance")
        rows.instance_reservation(reservation, resource_properties=properties)
        found.append(rows.allocation(reservation, host, "2024-01-10"))
    amounts = [2.0, 4.0, None, None]
    assert Worked(rows).kept("committed", "gpus") == [
        (allocation, "01-10", "01-20", "kept", gpus) for allocation, gpus in zip(found, amounts, strict=True)
    ]


def test_gpus_of_machines_are_their_capability_at_that_time_and_else_what_the_sites_file_says():
    rows = Rows()
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        rows.ironic_node(name, "2023-06-01")
    host = rows.computehost("gpu-1", "2023-06-01", "2024-01-16", gpus=" 2 ")
    rows.computehost("gpu-1", "2024-01-16", gpus=4)
    rows.computehost("gpu-2", "2023-06-01")
    rows.computehost("gpu-3", "2023-06-01", gpus="many")
    _, _, allocation = rows.booked(host, "2024-01-15", "2024-01-20")
    server = _server(rows, "gpu-1", extra_specs={"resources:CUSTOM_BAREMETAL": "1"})
    site = Worked(rows, node_types={"^gpu-": {"type": "t", "gpus": 8}})
    for metric in ("total", "reservable"):
        assert site.kept(metric, "node_type", "gpus") == [
            ("gpu-1", "01-01", "01-16", "kept", "t", 2.0),
            ("gpu-1", "01-16", "02-01", "kept", "t", 4.0),
            ("gpu-2", "01-01", "02-01", "kept", "t", 8.0),
            ("gpu-3", "01-01", "02-01", "kept", "t", 8.0),
        ]
    assert site.kept("committed", "gpus") == [
        (allocation, "01-15", "01-16", "kept", 2.0),
        (allocation, "01-16", "01-20", "kept", 4.0),
    ]
    assert site.kept("occupied_ondemand", "gpus") == [
        (server, "01-10", "01-16", "kept", 2.0),
        (server, "01-16", "01-20", "kept", 4.0),
    ]
    assert site.hours("total", "gpus") == 24 * (2 * 15 + 4 * 16 + 2 * 8 * 31)


def test_a_plain_hostname_of_the_sites_file_is_that_machine_and_the_first_that_says_something_counts():
    rows = Rows()
    for name in ("gpu-1", "gpu-10", "cpu-1"):
        rows.compute_node(name, "2023-06-01")
    said = {"gpu-1": {"gpus": 2}, "gpu-[0-9]+$": {"type": "t", "gpus": 4}}
    assert Worked(rows, node_types=said).kept("total", "node_type", "gpus") == [
        ("cpu-1", "01-01", "02-01", "kept", "unknown", None),
        ("gpu-1", "01-01", "02-01", "kept", "t", 2.0),
        ("gpu-10", "01-01", "02-01", "kept", "t", 4.0),
    ]


def test_on_a_whole_machine_that_nova_never_saw_gpus_are_those_that_blazar_or_the_file_know_else_the_flavors():
    rows, _ = one_metal()
    rows.computehost("purged", "2023-06-01", "2023-07-01", gpus=4)
    servers = [_server(rows, node, extra_specs=VGPUS) for node in ("purged", "gpu-1", "plain", None)]
    site = Worked(rows, node_types={"^gpu-": {"gpus": 8}})
    assert site.kept("occupied_ondemand", "nodes", "vcpus", "gpus") == [
        (server, "01-10", "01-20", "kept", 1.0, 4.0, gpus)
        for server, gpus in zip(servers, (4.0, 8.0, 2.0, 2.0), strict=True)
    ]


def test_overcommit_is_of_machines_and_of_what_holds_them_whole_on_kvm_and_never_of_flavors():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", cpu_allocation_ratio=16.0)
    host = rows.computehost("h", "2023-06-01")
    _, _, whole = rows.booked(host, "2024-01-02", "2024-01-05")
    reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), "virtual:instance")
    rows.instance_reservation(reservation, vcpus=12)
    part = rows.allocation(reservation, host, "2024-01-10")
    server = _server(rows, "h", vcpus=10)
    site = Worked(rows)
    assert site.kept("total", "vcpus", "vcpus_overcommit") == [("h", "01-01", "02-01", "kept", 40.0, 640.0)]
    assert site.kept("reservable", "vcpus", "vcpus_overcommit") == [("h", "01-01", "02-01", "kept", 48.0, 768.0)]
    assert site.kept("committed", "nodes", "vcpus", "vcpus_overcommit") == [
        (whole, "01-02", "01-05", "kept", 1.0, 48.0, 768.0),
        (part, "01-10", "01-20", "kept", 0.25, 12.0, 12.0),
    ]
    assert site.kept("occupied_ondemand", "nodes", "vcpus", "vcpus_overcommit") == [
        (server, "01-10", "01-20", "kept", 0.25, 10.0, 10.0)
    ]


def test_a_server_on_bare_metal_has_the_machines_vcpus_without_overcommit():
    rows = Rows()
    rows.ironic_node("h", "2023-06-01", cpu_allocation_ratio=16.0)
    rows.computehost("h", "2023-06-01")
    server = _server(rows, "h")
    site = Worked(rows)
    assert site.kept("total", *SIZE) == [("h", "01-01", "02-01", "kept", 1.0, 48.0, 768.0, 2000.0, 200.0)]
    assert site.kept("occupied_ondemand", *SIZE) == [(server, "01-10", "01-20", "kept", 1.0, 48.0, 48.0, 2000.0, 200.0)]


@pytest.mark.parametrize(
    ("nova", "found"),
    [
        ({}, (48.0, 2000.0, 200.0)),
        ({"vcpus": 40, "memory_mb": 1000, "local_gb": 100}, (40.0, 1000.0, 100.0)),
        ({"vcpus": 40}, (40.0, 2000.0, 200.0)),
        ({"vcpus": None, "local_gb": 100}, (48.0, 2000.0, 100.0)),
    ],
)
def test_what_nova_does_not_size_on_bare_metal_blazar_does_each_for_itself(nova, found):
    rows = Rows()
    rows.ironic_node("h", "2023-06-01", **nova)
    rows.computehost("h", "2023-06-01")
    server = _server(rows, "h")
    site = Worked(rows)
    assert site.kept("total", "vcpus", "memory_mb", "disk_gb") == [("h", "01-01", "02-01", "kept", *found)]
    assert site.kept("occupied_ondemand", "vcpus", "memory_mb", "disk_gb") == [
        (server, "01-10", "01-20", "kept", *found)
    ]


def test_a_size_that_nobody_knows_is_null_and_a_server_there_holds_an_unknown_share():
    rows = Rows()
    for name in ("bare", "kvm", "whole"):
        rows.ironic_node(name, "2023-06-01", hypervisor_type="QEMU" if name == "kvm" else "ironic")
    server, metal = _server(rows, "kvm"), _server(rows, "whole")
    site = Worked(rows)
    assert site.kept("total", *SIZE) == [
        (name, "01-01", "02-01", "kept", 1.0, None, None, None, None) for name in ("bare", "kvm", "whole")
    ]
    assert site.kept("occupied_ondemand", *SIZE) == [
        (server, "01-10", "01-20", "kept", None, 4.0, 4.0, 100.0, 15.0),
        (metal, "01-10", "01-20", "kept", 1.0, None, None, None, None),
    ]


def test_a_size_that_nova_lacks_is_blazars_else_the_inventorys_else_the_files(tmp_path: Path):
    rows = Rows()
    for name in ("a", "b", "c", "d"):
        rows.compute_node(name, "2023-06-01", vcpus=0, memory_mb=None)
    rows.computehost("a", "2023-06-01", memory_mb=0)
    servers = [_server(rows, name) for name in ("a", "b", "c", "d")]
    (tmp_path / "machines.csv").write_text(
        "hostname,vcpus,memory_mb,disk_gb,in_service_from\n"
        "a,1,5000,9,2023-06-01\nb,64,0,9,2023-06-01\nc,,,,2023-06-01\n"
    )
    for policy in ("gap_fill", "supplement"):
        inventory = {"name": "inventory", "policy": policy, "file": tmp_path / "machines.csv"}
        site = Worked(
            rows,
            sources={"total": ["nova_compute_nodes", inventory]},
            node_types={"^[a-c]$": {"vcpus": 8, "memory_mb": 700, "disk_gb": 3}},
        )
        assert site.kept("total", "vcpus", "memory_mb", "disk_gb") == [
            ("a", "01-01", "02-01", "kept", 48.0, 5000.0, 100.0),
            ("b", "01-01", "02-01", "kept", 64.0, 700.0, 100.0),
            ("c", "01-01", "02-01", "kept", 8.0, 700.0, 100.0),
            ("d", "01-01", "02-01", "kept", None, None, 100.0),
        ]
        assert site.kept("reservable", "vcpus", "memory_mb", "disk_gb") == [
            ("a", "01-01", "02-01", "kept", 48.0, 5000.0, 200.0)
        ]
        shares = (4 / 48, 4 / 64, 0.5, None)
        assert site.kept("occupied_ondemand", "nodes") == [
            (server, "01-10", "01-20", "kept", share) for server, share in zip(servers, shares, strict=True)
        ]


def test_an_inventory_sizes_bare_metal_whatever_its_policy(tmp_path: Path):
    rows = Rows()
    rows.ironic_node("m1", "2023-12-01")
    rows.ironic_node("m2", "2023-12-01", vcpus=48, memory_mb=48 * 4096, local_gb=480)
    rows.spec(rows.instance("m1", "2024-01-10"))
    lines = [f"{name},compute_haswell,48,131072,250,2015-07-15" for name in ("m1", "m2")]
    (tmp_path / "machines.csv").write_text(
        "\n".join(["hostname,node_type,vcpus,memory_mb,disk_gb,in_service_from", *lines])
    )
    for policy in ("authoritative", "gap_fill", "supplement"):
        inventory = {"name": "inventory", "policy": policy, "file": tmp_path / "machines.csv"}
        site = Worked(rows, sources={"total": ["nova_compute_nodes", inventory]})
        assert site.hours("total", "vcpus") == 2 * 48 * 744
        assert site.hours("occupied_ondemand", "vcpus") == 48 * 528
        assert site.hours("occupied_ondemand", "nodes") == 528
