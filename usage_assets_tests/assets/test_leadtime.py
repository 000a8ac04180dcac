"""Leases and their lead times as assets: tables, view, rejects, checks and gates of a small site."""

from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.nightly import pending_since
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import checks, failed
from usage_assets_tests.golden.builder import Rows
from usage_assets_tests.golden.stores import write_sqlite
from usage_assets_tests.golden.worked import FEB, JAN

TYPE_T = '["==","$node_type","t"]'


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def make_rows() -> tuple[Rows, dict[str, str]]:
    """One machine; of its leases one ran, one waits for it, one is pending, and three more had no luck."""
    rows = Rows()
    host = rows.computehost("h", "2023-06-01", node_type="t")
    ran = rows.request("2024-01-05", "2024-01-06", "2024-01-09", (TYPE_T, "1-1"), status="ACTIVE")
    rows.allocation(rows.tables["blazar_reservations"][-1]["id"], host, "2024-01-05")
    rows.start_event(ran, "DONE", "2024-01-06 00:30")
    names = {
        "ran": ran,
        "waits": rows.request("2024-01-07", "2024-01-10", "2024-01-11", (TYPE_T, "1-1")),
        "pending": rows.request("2024-01-08", "2199-01-10", "2199-01-11", (TYPE_T, "1-1")),
        "not_run": rows.lease("2024-02-05", "2024-02-06", "2024-02-09"),
        "back": rows.lease("2024-02-05", "2024-02-04", "2024-02-09"),
        "timeless": rows.lease(None, None, None),
    }
    rows.start_event(names["not_run"], "UNDONE")
    return rows, names


def build(site: OpenStackSite, warehouse: Warehouse, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """A range run of January and February: the raw tables, the leases and their timeline."""
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
    keys = partition_keys(Window(site.key, (JAN, FEB)))
    chosen = [asset_key("openstack", "raw", table.name) for table in OPENSTACK.tables_of(site)]
    chosen += [asset_key("openstack", "facts", "leases"), asset_key("openstack", "timelines", "leadtime")]
    return job.execute_in_process(
        instance=instance,
        asset_selection=chosen,
        tags={RANGE_START: str(keys[0]), RANGE_END: str(keys[-1])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def test_a_run_writes_leases_points_the_view_and_the_rejects(tmp_path: Path, instance: dg.DagsterInstance):
    rows, names = make_rows()
    site = write_sqlite(rows, tmp_path / "source", ["blazar"], first_month="2024-01")
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    result = build(site, warehouse, instance)
    assert result.success
    by_id = {lease: name for name, lease in names.items()}
    with warehouse.read() as reader:
        leases = reader.sql("SELECT lease_id, month, outcome, requested, effective, basis, projected FROM facts.leases")
        points = reader.sql("SELECT leadtime_type, node_type, value FROM timelines.leadtime WHERE month = '2024-01-01'")
        view = reader.sql("SELECT * FROM timelines.leadtime_site ORDER BY ALL")
        rejects = reader.sql("SELECT entity_id, reason, month FROM facts.rejects WHERE metric = 'leadtime'")
    assert {by_id[row[0]]: row[1:] for row in leases.rows()} == {
        "ran": (JAN, "started", 24, 24.5, "event", 0),
        "waits": (JAN, "started", 72, 72, "schedule", 48),
        "pending": (JAN, "pending", 1_534_080, None, None, 24),
        "not_run": (FEB, "not_run", 24, None, None, None),
        "back": (FEB, "started", -24, 0, "schedule", None),
    }
    assert points.height == 3 + 3 + 2
    assert set(points["node_type"]) == {"t"}
    assert view.columns == ["site", "timestamp", "leadtime_type", "value"]
    assert view.filter(leadtime_type="requested")["value"].to_list() == [24, 72, 1_534_080, 0]
    assert rejects.rows() == [(names["timeless"], "bad_time", JAN)]
    assert pending_since(warehouse, FEB) == {site.key: JAN}

    bad = {(asset, check): partition for asset, check, partition in failed(result) if "/raw/" not in asset}
    february = f"{FEB}|{site.key}"
    assert bad == {
        ("openstack/facts/leases", "started"): february,
        ("openstack/facts/leases", "start_not_before_asked"): february,
    }
    found = checks(result)
    figures = found["openstack/facts/leases", "started", february].metadata
    assert (figures["leases_due"].value, figures["not_run"].value) == (2, 1)
    assert {key[1] for key in found if key[0] == "openstack/timelines/leadtime"} == {"contract", "coverage"}


@pytest.mark.heavy
def test_a_second_run_gives_the_same(tmp_path: Path, instance: dg.DagsterInstance):
    rows, _ = make_rows()
    site = write_sqlite(rows, tmp_path / "source", ["blazar"], first_month="2024-01")
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    stored = []
    for _ in range(2):
        assert build(site, warehouse, instance).success
        with warehouse.read() as reader:
            stored.append(
                [
                    reader.sql(f"SELECT * FROM {table} ORDER BY ALL").rows()
                    for table in ("facts.leases", "timelines.leadtime", "facts.rejects")
                ]
            )
    assert stored[0] == stored[1]
