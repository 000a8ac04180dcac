"""A check without partitions is never green while a stored site-month fails it, whichever site was built last."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from usage_assets.checks.meaning import MEANING
from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.demo.htcondor.pool import make_pool
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.failed_runs import failures_of, verdicts_of
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, change, make_site

EVIDENCE = ("openstack/raw/blazar_leases", "evidence")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_PICTURES", "none")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(
    sites: Mapping[str, Site], warehouse: Warehouse, instance: dg.DagsterInstance, window: Window, *names: str
) -> dg.ExecuteInProcessResult:
    """One range run of a site over all assets of its kind, or over those named as `<stage>/<table>`."""
    kind = sites[window.site].kind
    job = build_defs(sites, warehouse, automation=False).resolve_job_def(kind)
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key(kind, *name.split("/")) for name in names] or None,
        tags={RANGE_START: str(partition_keys(window)[0]), RANGE_END: str(partition_keys(window)[-1])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    assert result.success
    return result


def latest(instance: dg.DagsterInstance, asset: str, check: str) -> dg.AssetCheckEvaluation:
    """What the UI shows of a check."""
    key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    assert record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


def shown(one: dg.AssetCheckEvaluation) -> list[dict]:
    table = one.metadata["fails_now"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(row.data) for row in table.records]


def two_sites(folder: Path) -> dict[str, Site]:
    """Two like the tiny one, each with databases of its own."""
    return {key: make_site(folder / key).model_copy(update={"key": key}) for key in ("lossy", "calm")}


@pytest.fixture
def lossy(tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance) -> dict[str, Site]:
    """Two sites of which one has lost a lease that is kept: its check `evidence` fails in two months."""
    sites = two_sites(tmp_path)
    window = Window("lossy", (JAN, FEB, MAR))
    run(sites, warehouse, instance, window, "raw/blazar_leases")
    site = sites["lossy"]
    assert isinstance(site, OpenStackSite)
    change(site, "blazar", "DELETE FROM leases")
    job = build_defs(sites, warehouse, automation=False).resolve_job_def("openstack")
    job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key("openstack", "raw", "blazar_leases")],
        tags={
            RANGE_START: str(partition_keys(window)[0]),
            RANGE_END: str(partition_keys(window)[-1]),
            "usage/purge_known": "true",
        },
    )
    assert not latest(instance, *EVIDENCE).passed
    return sites


def test_a_good_run_of_another_site_leaves_a_failed_check_red(
    lossy: dict[str, Site], warehouse: Warehouse, instance: dg.DagsterInstance
):
    result = run(lossy, warehouse, instance, Window("calm", (JAN,)), "raw/blazar_leases")
    one = latest(instance, *EVIDENCE)
    assert not one.passed
    assert one.severity == dg.AssetCheckSeverity.WARN
    assert one.metadata["failing_months"].value == 2
    (row,) = shown(one)
    assert (row["site"], row["failing"], row["months"]) == ("lossy", 2, "2020-01..2020-02")
    assert "1 row(s) gone" in row["newest"]
    assert one.description is not None
    assert "- lossy: 2020-01..2020-02 (2)" in one.description
    assert "This run (site calm 2020-01) found none." in one.description
    stored = instance.get_run_by_id(result.run_id)
    assert stored is not None
    # the run itself found nothing: no command and no alert says that it did, and nothing has recovered
    assert failures_of(instance, stored) == []
    (verdict,) = [one for one in verdicts_of(instance, stored) if (one.asset, one.check) == EVIDENCE]
    assert (verdict.site, verdict.troubles) == ("calm", {})


def test_a_month_that_was_built_well_again_clears_itself(
    lossy: dict[str, Site], warehouse: Warehouse, instance: dg.DagsterInstance
):
    with warehouse.write("test") as writer:
        writer.con.execute(
            "UPDATE serving.dumps SET rows_gone = 0; UPDATE raw.blazar_leases SET gone_at = NULL WHERE site = 'lossy'"
        ).fetchall()
    site = lossy["lossy"]
    assert isinstance(site, OpenStackSite)
    change(
        site,
        "blazar",
        "INSERT INTO leases (id, project_id, user_id, created_at, start_date, end_date) "
        "VALUES ('l1', 'p', 'u', '2020-01-10 00:00:00', '2020-01-11 00:00:00', '2020-02-11 00:00:00')",
    )
    run(lossy, warehouse, instance, Window("lossy", (JAN,)), "raw/blazar_leases")
    assert [row["months"] for row in shown(latest(instance, *EVIDENCE))] == ["2020-02"]
    run(lossy, warehouse, instance, Window("lossy", (FEB,)), "raw/blazar_leases")
    assert latest(instance, *EVIDENCE).passed


def test_a_site_that_no_file_names_and_months_before_the_first_one_keep_no_check_red(
    lossy: dict[str, Site], warehouse: Warehouse, instance: dg.DagsterInstance
):
    later = {**lossy, "lossy": lossy["lossy"].model_copy(update={"first_month": FEB})}
    run(later, warehouse, instance, Window("calm", (JAN,)), "raw/blazar_leases")
    assert [row["months"] for row in shown(latest(instance, *EVIDENCE))] == ["2020-02"]
    broken = SiteBook({"calm": lossy["calm"]}, {"lossy": "a fault"}, {"lossy": "openstack"})
    run(broken, warehouse, instance, Window("calm", (JAN,)), "raw/blazar_leases")
    assert not latest(instance, *EVIDENCE).passed
    run({"calm": lossy["calm"]}, warehouse, instance, Window("calm", (JAN,)), "raw/blazar_leases")
    assert latest(instance, *EVIDENCE).passed


def pool(folder: Path) -> dict[str, Site]:
    make_pool(folder, datetime(2025, 10, 30, 5), datetime(2025, 11, 2, 6), machines=2, gpus=4, poll_minutes=60, gaps=0)
    said = {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": str(folder), "first_month": "2025-10"}
    made = HTCondorSite.model_validate(said | {"timezone": "America/Chicago", "poll_minutes": 60, "bucket_minutes": 60})
    return {"pool": made, "other": made.model_copy(update={"key": "other"})}


@pytest.mark.parametrize("kind", [pytest.param("openstack", marks=pytest.mark.heavy), "htcondor"])
def test_no_check_of_any_kind_is_green_while_a_site_month_fails_it(
    kind: str, tmp_path: Path, warehouse: Warehouse, instance: dg.DagsterInstance
):
    """Every check of every asset is said to fail at another site; a whole run of a good one changes none of that."""
    sites = two_sites(tmp_path) if kind == "openstack" else pool(tmp_path / "pool")
    window, other, month = (
        (Window("calm", (JAN,)), "lossy", MAR)
        if kind == "openstack"
        else (Window("pool", (date(2025, 11, 1),)), "other", date(2025, 10, 1))
    )
    graph = build_defs(sites, warehouse, automation=False).resolve_asset_graph()
    specs = {key: graph.get(key) for key in graph.asset_check_keys if key.asset_key.path[0] == kind}
    assert {key.name for key in specs} <= set(MEANING)
    now = datetime(2026, 1, 1)
    rows = [
        (other, month, key.asset_key.to_user_string(), key.name, "ERROR", "found long ago", "r", now) for key in specs
    ]
    with warehouse.write("test") as writer:
        writer.ensure(FAILED_CHECKS)
        writer.put(FAILED_CHECKS, pl.DataFrame(rows, schema=FAILED_CHECKS.polars_schema, orient="row"))
    result = run(sites, warehouse, instance, window)
    evaluated: dict[dg.AssetCheckKey, list[dg.AssetCheckEvaluation]] = {}
    for one in result.get_asset_check_evaluations():
        evaluated.setdefault(one.asset_check_key, []).append(one)
    assert set(evaluated) == set(specs)
    for key, spec in specs.items():
        if spec.partitions_def is None:
            (one,) = evaluated[key]
            assert not one.passed, key
            assert other in {row["site"] for row in shown(one)}, key
        else:
            # green or red is each month's own; that others fail is said beside it
            assert all("found" not in str(one.description) for one in evaluated[key])
            assert all("2020-03" in str(one.description) for one in evaluated[key]) or kind != "openstack"
