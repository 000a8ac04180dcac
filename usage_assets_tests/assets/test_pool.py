"""A made GPU pool through Dagster: every asset of its kind, a month that can't be read, and the running month."""

from datetime import date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from usage_assets.core import clock
from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.demo.htcondor.pool import make_pool
from usage_assets.kinds import HTCONDOR
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.orchestration.as_of import rebuild
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.reports.explain import Question, explain
from usage_assets.reports.exports import files
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import checks, failed, tables

ZONE = "America/Chicago"
OCT, NOV = date(2025, 10, 1), date(2025, 11, 1)
WINDOW = Window("pool", (OCT, NOV))


@pytest.fixture
def site(tmp_path: Path) -> HTCondorSite:
    folder = tmp_path / "pool"
    make_pool(folder, datetime(2025, 10, 30, 5), datetime(2025, 11, 3, 6), machines=6, gpus=20, poll_minutes=60, gaps=0)
    said = {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": str(folder), "first_month": "2025-10"}
    lists = {"hosted": {"file": str(folder / "hosted.txt")}, "masked": {"file": str(folder / "masked.yaml")}}
    return HTCondorSite.model_validate(said | lists | {"timezone": ZONE, "poll_minutes": 60, "bucket_minutes": 60})


def build(
    site: HTCondorSite, warehouse: Warehouse, instance: dg.DagsterInstance, *names: str
) -> dg.ExecuteInProcessResult:
    """One range run over all assets of the pool, or over those named as `<stage>/<table>`."""
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("htcondor")
    return job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key("htcondor", *name.split("/")) for name in names] or None,
        tags={RANGE_START: str(partition_keys(WINDOW)[0]), RANGE_END: str(partition_keys(WINDOW)[-1])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


@pytest.mark.heavy
def test_every_asset_of_a_pool_is_built_explained_and_rebuilt_as_of(
    site: HTCondorSite, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime(2025, 12, 20))
    with dg.DagsterInstance.ephemeral() as instance:
        result = build(site, warehouse, instance)
        assert result.success
        assert {key for key in failed(result) if checks(result)[key].severity == dg.AssetCheckSeverity.ERROR} == set()
    with warehouse.read() as reader:
        assert reader.sql("SELECT count(DISTINCT poll_at) FROM raw.gpu_state").item() == 97
        found = reader.sql(
            "SELECT metric, sum(hours) FROM timelines.usage WHERE metric = 'total' GROUP BY metric"
        ).rows()
        assert found[0][1] > 0
        asked = Question("allocated_open", datetime(2025, 11, 1, 12), None, None, 1, rejected=False)
        ((piece,),) = [term.pieces for term in explain(reader, HTCONDOR, site, asked).terms]
        assert {name: row["state"] for name, row in piece.origins} == {"gpu_state": "Claimed"}
    exported = pl.read_parquet(files.exports_dir() / "usage_long" / "pool" / "2025-11.parquet")
    seen, total = (exported.filter(metric=name).sort("time")["value"] for name in ("coverage", "total"))
    assert len(seen) == len(total) == 30
    assert (seen.max(), seen.min()) == (1.0, 0.0)  # the files end on the third
    assert ((seen == 0) == total.is_null()).all()
    past = rebuild(site, datetime(2025, 12, 21), (OCT, NOV), warehouse, tmp_path / "as_of.duckdb")
    names = ("timelines.usage", "facts.gpu_runs")
    assert tables(Warehouse(past.path), names) == tables(warehouse, names)


def test_a_month_that_cant_be_read_leaves_the_other_one_unharmed(
    site: HTCondorSite, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime(2025, 12, 20))
    path = site.snapshots[0].path("pool") / "gpu_state_2025-10.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with dg.DagsterInstance.ephemeral() as instance:
        result = build(site, warehouse, instance)
        raw = checks(result)["htcondor/raw/gpu_state", "contract", None]
    assert not raw.passed
    assert "gpu_state_2025-10.parquet: can't be read" in str(raw.metadata)
    with warehouse.read() as reader:
        months = reader.sql(
            "SELECT month, ok FROM serving.gates WHERE asset = 'htcondor/facts/total' ORDER BY 1"
        ).rows()
        assert months == [(OCT, False), (NOV, True)]
        assert reader.sql("SELECT DISTINCT month FROM facts.gpu_runs").rows() == [(NOV,)]
