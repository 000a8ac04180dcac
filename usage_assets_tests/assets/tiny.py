"""A site of two machines, one lease and one server over three months, as SQLite files."""

import sqlite3
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import dagster as dg

from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import make_sqlite

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
WINDOW = Window("tiny", (JAN, FEB, MAR))
SIZE = {"vcpus": 48, "memory_mb": 1000, "local_gb": 200}
BORN = "2019-05-01 00:00:00"


def make_site(folder: Path) -> OpenStackSite:
    """The databases and the site that names them."""
    machines = [
        {"id": n, "hypervisor_hostname": f"node{n}", "hypervisor_type": "ironic", "created_at": BORN, **SIZE}
        for n in (1, 2)
    ]
    hosts = [{"id": str(n), "hypervisor_hostname": f"node{n}", "created_at": BORN, **SIZE} for n in (1, 2)]
    lease = {"id": "l1", "project_id": "p", "user_id": "u", "created_at": "2020-01-10 00:00:00",
             "start_date": "2020-01-11 00:00:00", "end_date": "2020-02-11 00:00:00"}  # fmt: skip
    server = {"id": 1, "uuid": "s1", "node": "node1", "project_id": "p", "user_id": "u", "vcpus": 48,
              "created_at": "2020-01-12 00:00:00", "launched_at": "2020-01-12 00:00:00",
              "terminated_at": "2020-02-10 00:00:00", "deleted_at": "2020-02-10 00:00:00", "hidden": 0}  # fmt: skip
    spec = {"id": 1, "instance_uuid": "s1", "created_at": "2020-01-12 00:00:00",
            "spec": '{"nova_object.data": {"scheduler_hints": {"reservation": ["r1"]}}}'}  # fmt: skip
    data: dict[str, list] = {
        "nova.compute_nodes": machines,
        "nova.instances": [server],
        "nova.instance_actions": [],
        "nova.instance_actions_events": [],
        "nova_api.request_specs": [spec],
        "blazar.computehosts": hosts,
        "blazar.leases": [lease],
        "blazar.reservations": [
            {"id": "r1", "lease_id": "l1", "resource_type": "physical:host", "created_at": "2020-01-10 00:00:00"}
        ],
        "blazar.computehost_allocations": [
            {"id": "a1", "compute_host_id": "1", "reservation_id": "r1", "created_at": "2020-01-10 00:00:00"}
        ],
    }
    urls = make_sqlite(folder / "source", data)
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": "tiny", "name": "Tiny", "databases": urls, "first_month": "2020-01"}
    )


def change(site: OpenStackSite, database: str, statement: str) -> None:
    """Change the source."""
    con = sqlite3.connect(site.databases[database].removeprefix("sqlite:///"))  # type: ignore[index]  # a name of it
    con.execute(statement)
    con.commit()
    con.close()


def build(
    site: OpenStackSite,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    window: Window = WINDOW,
    *,
    tables_only: bool = False,
    derived: bool = False,
) -> dg.ExecuteInProcessResult:
    """One range run over all assets of the site, or over the tables that it has sources for.

    Those are raw rows, intervals and usage, and with `derived` the tables made of them.
    """
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
    chosen = [asset_key("openstack", "raw", table.name) for table in OPENSTACK.tables_of(site)]
    chosen += [asset_key("openstack", "facts", fact.name) for fact in OPENSTACK.facts]
    chosen += [asset_key("openstack", "timelines", name) for name in ("usage", "usage_steps")]
    more = OPENSTACK.tables if derived else ()
    chosen += [asset_key("openstack", table.stage, table.name) for table in more if table.applies(site)]
    return job.execute_in_process(
        instance=instance,
        asset_selection=chosen if tables_only else None,
        tags={RANGE_START: str(partition_keys(window)[0]), RANGE_END: str(partition_keys(window)[-1])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str, str | None], dg.AssetCheckEvaluation]:
    """Evaluations by asset, check and partition."""
    found = result.get_asset_check_evaluations()
    return {(one.asset_key.to_user_string(), one.check_name, one.partition): one for one in found}


def failed(result: dg.ExecuteInProcessResult) -> set[tuple[str, str, str | None]]:
    """The checks that failed."""
    return {key for key, one in checks(result).items() if not one.passed}


MADE = (
    "facts.intervals",
    "facts.rejects",
    "facts.leases",
    "serving.accounts",
    "timelines.usage",
    "timelines.usage_steps",
    "timelines.leadtime",
    "timelines.usage_by_host",
    "timelines.usage_by_project",
    "timelines.usage_by_user",
    "reports.audit",
)
"""Everything that is made of raw rows alone, whenever and in whatever order it is made."""


def tables(warehouse: Warehouse, names: Iterable[str]) -> dict[str, list[tuple]]:
    """Rows of tables in a fixed order, stamps of builds left out."""
    out = {}
    with warehouse.read() as reader:
        for name in names:
            out[name] = reader.sql(f"SELECT * EXCLUDE (site) FROM {name} ORDER BY ALL").rows()
    return out
