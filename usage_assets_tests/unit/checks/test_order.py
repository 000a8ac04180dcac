"""What is in order: of machines that servers share only what can't be given twice."""

from datetime import date, datetime
from pathlib import Path

import polars as pl

from usage_assets.checks.usage import order
from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import make_site

MONTH = date(2026, 10, 1)
START, END = datetime(2026, 10, 1), datetime(2026, 11, 1)


def interval(node_type: str, **amounts: float) -> dict:
    """A server, or a part of one."""
    return dict.fromkeys(INTERVALS.names) | {
        "site": "s", "month": MONTH, "metric": "committed", "source": "made", "entity_id": f"{node_type} {amounts}",
        "start_at": START, "end_at": END, "original_start_at": START, "original_end_at": END, "action": "kept",
        "node_type": node_type, **amounts,
    }  # fmt: skip


def findings(tmp_path: Path, node_type: str, resource: str, **values: float) -> str:
    """What the check says of a month in which a node type has these values of a resource."""
    usage = [
        dict.fromkeys(USAGE.names) | {
            "site": "s", "month": MONTH, "timestamp": START, "collector_type": "current", "node_type": node_type,
            "metric": metric, "resource": resource, "value": value, "hours": value * 24,
        }
        for metric, value in values.items()
    ]  # fmt: skip
    servers = [interval("whole", nodes=1.0), interval("shared", nodes=0.25), interval("dense", vcpus=4.0)]
    servers.append(interval("dense", vcpus=32.0, vcpus_overcommit=128.0))
    warehouse = Warehouse(tmp_path / f"{node_type}_{resource}" / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(USAGE, INTERVALS)
        writer.put(USAGE, pl.DataFrame(usage, schema=USAGE.polars_schema))
        writer.put(INTERVALS, pl.DataFrame(servers, schema=INTERVALS.polars_schema))
    with warehouse.read() as reader:
        return order(reader, make_site(), Window("s", (MONTH,)))[MONTH].text


def test_machines_of_one_server_each_are_compared_in_all_they_have(tmp_path: Path) -> None:
    for resource in ("nodes", "vcpus", "memory_mb", "disk_gb", "gpus"):
        assert "committed exceed reservable" in findings(tmp_path, "whole", resource, reservable=2.0, committed=3.0)
    said = findings(tmp_path, "whole", "disk_gb", total=2.0, available_reservable=-1.0)
    assert "negative" in said


def test_shared_machines_are_compared_in_what_cant_be_given_twice(tmp_path: Path) -> None:
    for node_type in ("shared", "dense"):
        for resource in ("nodes", "vcpus", "memory_mb", "disk_gb"):
            assert not findings(tmp_path, node_type, resource, reservable=2.0, committed=3.0, available_reservable=-1.0)
        for resource in ("vcpus_overcommit", "gpus"):
            said = findings(tmp_path, node_type, resource, reservable=2.0, committed=3.0)
            assert "committed exceed reservable" in said
