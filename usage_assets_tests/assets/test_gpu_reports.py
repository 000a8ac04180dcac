"""The reports of a made pool through Dagster: files of each day, week and month, and none made twice for nothing."""

from datetime import date, datetime
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core import clock, settings
from usage_assets.demo.htcondor.pool import make_pool
from usage_assets.kinds.htcondor.reports.mailing import built_report
from usage_assets.kinds.htcondor.reports.period import Period
from usage_assets.kinds.htcondor.reports.render import as_text
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.test_pool import ZONE, build
from usage_assets_tests.assets.tiny import checks, failed

OCT, NOV = date(2025, 10, 1), date(2025, 11, 1)
REPORTS = ("reports/daily_report", "reports/weekly_report", "reports/monthly_report")


@pytest.fixture
def site(tmp_path: Path) -> HTCondorSite:
    folder = tmp_path / "pool"
    make_pool(folder, datetime(2025, 10, 25, 5), datetime(2025, 11, 4, 6), machines=6, gpus=20, poll_minutes=60, gaps=0)
    said = {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": str(folder), "first_month": "2025-10"}
    lists = {"hosted": {"file": str(folder / "hosted.txt")}, "masked": {"file": str(folder / "masked.yaml")}}
    return HTCondorSite.model_validate(said | lists | {"timezone": ZONE, "poll_minutes": 60, "bucket_minutes": 60})


def files(report: str) -> dict[str, int]:
    """The pages of a report with the time at which they were written."""
    folder = settings.plots_dir() / "pool" / "gpu_reports" / report
    return {path.stem: path.stat().st_mtime_ns for path in sorted(folder.glob("*.html"))}


@pytest.mark.heavy
def test_reports_are_made_once_and_again_where_their_facts_changed(
    site: HTCondorSite, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime(2025, 12, 20))
    with dg.DagsterInstance.ephemeral() as instance:
        first = build(site, warehouse, instance)
        assert first.success
        assert not [key for key in failed(first) if checks(first)[key].severity == dg.AssetCheckSeverity.ERROR]
        daily = files("daily")
        # from the day after the first poll to the one that the newest poll has reached
        assert list(daily) == [f"2025-10-{day}" for day in range(25, 32)] + [f"2025-11-{day:02}" for day in range(1, 5)]
        assert list(files("weekly")) == ["2025-10-27", "2025-11-03", "2025-11-10"]
        assert list(files("monthly")) == ["2025-10", "2025-11"]
        assert build(site, warehouse, instance).success
        assert files("daily") == daily, "nothing has changed: no page is made anew"
        masked = site.model_copy(update={"display_names": {"NVIDIA L40": "Ell"}})
        assert build(masked, warehouse, instance, *REPORTS).success
        assert all(files("daily")[name] > at for name, at in daily.items()), "another name of a device is on every page"
        before = files("daily")
        said = Reports.model_validate({"days": 2, "prefix": "Other"})
        assert build(masked.model_copy(update={"reports": said}), warehouse, instance, *REPORTS).success
        changed = [name for name, at in files("daily").items() if at != before[name]]
        assert changed == ["2025-11-02", "2025-11-03", "2025-11-04"], "old days stay as they are"
        event = instance.get_latest_materialization_event(asset_key("htcondor", "reports", "daily_report"))
        assert event is not None
    with warehouse.read() as reader:
        rows = reader.sql("SELECT report, name, month, expected FROM reports.gpu_reports ORDER BY ALL").rows()
        # what is cut from the facts of a month is what is read of the day by itself
        window = Window.between(datetime(2025, 10, 29, 6), datetime(2025, 10, 30, 6), ZONE)
        day = as_text(built_report(reader, masked, Period(window, "daily")))
    assert ("daily", "2025-11-02", NOV, 25) in rows, "clocks go back that day"
    assert ("monthly", "2025-10", OCT, 744) in rows
    stored = (settings.plots_dir() / "pool" / "gpu_reports" / "daily" / "2025-10-30.txt").read_text()
    assert stored.rpartition("Made in")[0] == day.rpartition("Made in")[0]
    page = settings.plots_dir() / "pool" / "gpu_reports" / "monthly" / "2025-10.html"
    assert page.read_text().rstrip().endswith("</html>")
    assert (page.with_suffix(".txt")).read_text().startswith("Pool: monthly report, October 2025\n")
