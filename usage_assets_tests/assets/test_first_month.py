"""Months before a site's first one: the UI offers them; a run over them builds nothing of them, says so and goes on."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.failed_runs import failures_of
from usage_assets.orchestration.partitions import partition_key
from usage_assets.reports.plots import plots_of
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, build, make_site


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_PICTURES", "none")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def site(tmp_path: Path) -> OpenStackSite:
    """The tiny site, of which only March is wanted."""
    return make_site(tmp_path).model_copy(update={"first_month": MAR})


def statuses(instance: dg.DagsterInstance, month) -> dict[str, tuple[str, str]]:
    """Status and reason that the UI shows of a month, by asset; plots of a whole history belong to no month."""
    key = str(partition_key("tiny", month))
    whole = {plot.name for plot in plots_of(OPENSTACK) if plot.scope != "month"}
    out = {}
    for asset in [key for key in instance.all_asset_keys() if key.path[-1] not in whole]:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key]), limit=1
        ).records
        if found and found[0].asset_materialization is not None:
            shown = found[0].asset_materialization.metadata
            if "status" in shown:
                reason = shown["reason"].value if "reason" in shown else ""
                out[asset.to_user_string()] = (str(shown["status"].value), str(reason))
    return out


def stored(warehouse: Warehouse) -> set:
    with warehouse.read() as reader:
        return {month for (month,) in reader.sql("SELECT DISTINCT month FROM serving.gates").rows()}


@pytest.mark.heavy
def test_a_range_that_begins_before_the_first_month_builds_the_rest(
    site: OpenStackSite, warehouse: Warehouse, instance: dg.DagsterInstance
):
    result = build(site, warehouse, instance)
    assert result.success
    assert stored(warehouse) == {MAR}
    early = statuses(instance, JAN)
    assert {status for status, _ in early.values()} == {"before first_month"}
    assert early["openstack/raw/nova_instances"][1] == (
        "site tiny begins in 2020-03 (first_month in its file): nothing is built of 2020-01"
    )
    assert {"openstack/facts/total", "openstack/timelines/usage", "openstack/reports/usage_stack"} <= set(early)
    assert statuses(instance, MAR)["openstack/timelines/usage"][0] == "written"
    evaluated = {one.partition for one in result.get_asset_check_evaluations()}
    assert evaluated == {None, "2020-03-01|tiny"}
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert failures_of(instance, run) == []


def test_a_run_before_the_first_month_succeeds_and_stores_nothing(
    site: OpenStackSite, warehouse: Warehouse, instance: dg.DagsterInstance
):
    result = build(site, warehouse, instance, Window("tiny", (JAN, FEB)))
    assert result.success
    assert not warehouse.path.exists()
    assert {status for status, _ in statuses(instance, FEB).values()} == {"before first_month"}
    evaluated = result.get_asset_check_evaluations()
    assert evaluated
    assert all(one.passed and one.partition is None for one in evaluated)
    assert "had no month to ask about" in str(evaluated[0].description)
