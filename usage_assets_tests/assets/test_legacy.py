"""The legacy usage counter of a tiny site through Dagster: beside our usage, questioned and compared."""

from datetime import datetime, timedelta

import dagster as dg

from usage_assets.definitions import build_defs
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets_tests.assets.tiny import JAN, WINDOW, build, checks, make_site
from usage_assets_tests.unit.sources.sources import make_sqlite


def with_caches(tmp_path):
    """The tiny site with a cache of January that knows one machine too many, in maintenance."""
    site = make_site(tmp_path)
    days = [datetime(2020, 1, 1) + timedelta(days=day) for day in range(31)]
    reports = [
        {"date": f"{day:%Y-%m-%d %H:%M:%S}", "node_type": "unknown", "maint_hours": 24.0, "reserved_hours": 0.0,
         "used_hours": 24.0, "idle_hours": 24.0, "total_hours": 72.0}
        for day in days
    ]  # fmt: skip
    counts = [{"date": f"{day:%Y-%m-%d}", "node_type": "unknown", "cnt": 3} for day in days]
    urls = make_sqlite(
        tmp_path / "caches",
        {"chameleon_usage.node_usage_report_cache": reports, "chameleon_usage.node_count_cache": counts},
    )
    return site.model_copy(update={"databases": {**site.databases, **urls}})


def test_legacy_rows_stand_beside_ours_and_differences_have_a_cause(tmp_path, warehouse):
    site = with_caches(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        build(site, warehouse, instance, tables_only=True)
        with warehouse.read() as reader:
            ours = reader.sql("SELECT * FROM timelines.usage ORDER BY ALL")
        job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
        names = ("timelines/legacy_usage", "reports/legacy_comparison", "timelines/usage")
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key("openstack", *name.split("/")) for name in names],
            tags={
                "dagster/asset_partition_range_start": str(partition_keys(WINDOW)[0]),
                "dagster/asset_partition_range_end": str(partition_keys(WINDOW)[-1]),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    assert result.success
    found = checks(result)
    # the checks of usage see our rows alone: the legacy machine is no order to break, no bucket too many
    assert [key for key, one in found.items() if key[0].endswith("timelines/usage") and not one.passed] == []
    assert all(
        found["openstack/timelines/legacy_usage", name, None].passed for name in ("partition", "count", "bounds")
    )
    with warehouse.read() as reader:
        stored = reader.sql("SELECT * FROM timelines.usage WHERE collector_type = 'current' ORDER BY ALL")
        assert stored.equals(ours)
        legacy = reader.sql(
            "SELECT metric, count(*), sum(hours) FROM timelines.usage WHERE collector_type = 'legacy' GROUP BY ALL"
        )
        causes = reader.sql(
            "SELECT metric, cause, count(*) FROM reports.legacy_comparison WHERE month = $month AND legacy_hours > 0 "
            "AND metric IN ('total', 'reservable', 'maintenance') GROUP BY ALL ORDER BY ALL",
            {"month": JAN},
        )
        others = reader.sql("SELECT DISTINCT cause FROM reports.legacy_comparison WHERE month > $month", {"month": JAN})
    assert ("total", 31, 31 * 72.0) in legacy.rows()
    assert legacy.height == 7
    assert causes.rows() == [
        ("maintenance", "maintenance", 31),
        ("reservable", None, 31),
        ("total", "maintenance", 31),
    ]
    assert others.rows() == [("one side only",)]
