"""The demo pool through Dagster: its last months of SQLite and Parquet, every check and every plot."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core import clock, settings
from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.demo import make_site
from usage_assets.kinds import HTCONDOR
from usage_assets.kinds.site_files import load_site
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.reports import pictures
from usage_assets.reports.plots import plots_of
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import checks, failed

pytestmark = pytest.mark.heavy

UNTIL = datetime(2026, 1, 15, 12, tzinfo=UTC)
WINDOW = Window("demo_pool", (date(2025, 12, 1), date(2026, 1, 1)))
SITE = ROOT / "sites" / "demo_pool.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo")
    make_site("demo_pool", made / "demo" / "demo_pool", until=UNTIL)
    return made


def test_the_last_months_of_the_demo_pool_are_built_and_all_checks_pass(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("USAGE_DATA", str(folder))
    monkeypatch.setattr(clock, "naive_utc_now", lambda: UNTIL.replace(tzinfo=None))
    monkeypatch.setattr(pictures, "draw", lambda figures: dict.fromkeys(figures, b"a picture"))
    site = load_site(SITE)
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("htcondor")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags={RANGE_START: str(partition_keys(WINDOW)[0]), RANGE_END: str(partition_keys(WINDOW)[-1])},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        assert result.success
        errors = {key for key in failed(result) if checks(result)[key].severity == dg.AssetCheckSeverity.ERROR}
        assert errors == set()
    pages = {path.relative_to(settings.plots_dir()).as_posix() for path in settings.plots_dir().rglob("*.html")}
    for plot in plots_of(HTCONDOR):
        assert {f"{plot.page('demo_pool', month)}.html" for month in WINDOW.months} <= pages, plot.name
    with warehouse.read() as reader:
        seen = reader.sql("SELECT sum(missed) AS missed, max(gpus) AS gpus FROM facts.gpu_polls").row(0)
        reasons = set(reader.sql("SELECT reason FROM reports.gpu_refusing").to_series())
        users = set(reader.sql('SELECT DISTINCT "user" FROM reports.gpu_users').to_series())
        masked = reader.sql("SELECT DISTINCT reason FROM reports.gpu_excluded").to_series().to_list()
    assert seen[0] >= 11
    assert seen[1] == 128  # 8 H200 came on 12 January; the 4 GPUs of a masked machine don't count
    assert None not in reasons
    assert len(reasons) >= 1
    assert "Unknown" in users
    assert masked == ["its GPUs are being replaced"]
    with warehouse.read() as reader:
        for month in WINDOW.months:
            held = reader.sql("SELECT count(*) FROM raw.gpu_state WHERE month = $month", {"month": month}).item()
            total = "FROM reports.audit WHERE asset = 'htcondor/facts/total' AND month = $month"
            read = reader.sql(f"SELECT rows {total} AND outcome = 'read'", {"month": month}).item()
            found = reader.sql(f"SELECT sum(rows) {total} AND outcome IN ('kept', 'rejected')", {"month": month}).item()
            assert held == read == found
