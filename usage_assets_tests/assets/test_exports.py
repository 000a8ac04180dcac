"""The exports of a tiny site through Dagster: files, snapshot and database, and what happens where one fails."""

from datetime import datetime

import dagster as dg
import duckdb
import polars as pl
import pytest

from usage_assets.definitions import build_defs
from usage_assets.orchestration.partitions import partition_key, partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.reports.exports.files import exports_dir, month_path
from usage_assets.reports.exports.snapshot import snapshot_path
from usage_assets.reports.exports.tables import EXPORTS, PARITY, USAGE_LONG, USAGE_WIDE
from usage_assets.schema import Violation
from usage_assets.warehouse.readiness import GATED
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, WINDOW, checks

KEYS = [asset_key("openstack", "reports", name) for name in EXPORTS]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def built(with_tables):
    return with_tables


def export(site, warehouse, instance):
    """The exports alone, of all months."""
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
    return job.execute_in_process(
        instance=instance,
        asset_selection=KEYS,
        tags={
            "dagster/asset_partition_range_start": str(partition_keys(WINDOW)[0]),
            "dagster/asset_partition_range_end": str(partition_keys(WINDOW)[-1]),
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def shown(result):
    """Metadata by asset and month; that of the run stands with the last one."""
    return {
        (event.materialization.asset_key.path[-1], event.partition): event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }


def test_a_run_writes_files_and_snapshot_and_its_checks_pass(built, warehouse, instance):
    result = export(built, warehouse, instance)
    assert result.success
    assert [key for key, one in checks(result).items() if not one.passed] == []
    files = [
        path.relative_to(exports_dir()).as_posix() for path in sorted(exports_dir().rglob("*.*")) if path.is_file()
    ]
    expected = [f"{name}/tiny/2020-0{n}.{kind}" for name in EXPORTS for n in (1, 2, 3) for kind in ("csv", "parquet")]
    assert files == sorted([*expected, "usage_public.duckdb"])
    wide = pl.read_parquet(month_path(USAGE_WIDE, "tiny", JAN)).filter(pl.col("resource") == "nodes")
    assert wide.height == 31
    assert wide.filter(pl.col("time") == datetime(2020, 1, 20)).row(0)[3:] == (2.0, 2.0, 1.0, 0.0, 1.0, 0.0, 1.0, True)
    parity = pl.read_parquet(month_path(PARITY, "tiny", JAN)).filter(pl.col("date") == datetime(2020, 1, 20))
    assert parity["total_hours"].sum() == 48
    assert parity["used_hours"].sum() == 24
    with duckdb.connect(str(snapshot_path()), read_only=True) as con:
        assert con.execute("SELECT count(DISTINCT time) FROM usage_long").fetchall() == [(31 + 29 + 31,)]
    metadata = shown(result)["usage_wide", str(partition_key("tiny", JAN))]
    assert metadata["dagster/partition_row_count"].value == 31 * 6
    assert "files only" in str(metadata["database"].value)


def test_a_named_database_gets_the_rows_and_one_that_fails_keeps_the_files(
    built, warehouse, instance, tmp_path, monkeypatch
):
    monkeypatch.setenv("USAGE_EXPORT_URL", f"sqlite:///{tmp_path / 'export.db'}")
    result = export(built, warehouse, instance)
    assert result.success
    metadata = shown(result)["usage_long", str(partition_key("tiny", JAN))]
    rows = sum(pl.read_parquet(month_path(USAGE_LONG, "tiny", month)).height for month in (JAN, FEB, MAR))
    assert metadata["rows_in_database"].value == rows
    monkeypatch.setenv("USAGE_EXPORT_URL", "mysql+pymysql://u:s3cr3t@127.0.0.1:1/db")
    month_path(USAGE_LONG, "tiny", JAN).unlink()
    result = export(built, warehouse, instance)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    said = str(failure.step_failure_data.user_failure_data.description)
    assert "site tiny: export to mysql 127.0.0.1/db" in said
    assert "s3cr3t" not in said
    assert month_path(USAGE_LONG, "tiny", JAN).is_file()


def test_a_month_that_waits_keeps_its_files(built, warehouse, instance):
    export(built, warehouse, instance)
    before = month_path(USAGE_LONG, "tiny", FEB).stat().st_mtime_ns
    with warehouse.write("test") as writer:
        refused = {FEB: [Violation(FEB, f"{GATED}its facts were refused", 0)]}
        writer.record_readiness("openstack/timelines/usage", "tiny", [FEB], refused, "r")
    result = export(built, warehouse, instance)
    assert month_path(USAGE_LONG, "tiny", FEB).stat().st_mtime_ns == before
    assert shown(result)["usage_long", str(partition_key("tiny", FEB))]["status"].value == "kept_old"
    assert "2020-02" in str(checks(result)["openstack/reports/usage_long", "coverage", None].description)


def test_the_checks_of_exports_see_what_is_wrong_with_the_files(built, warehouse, instance):
    from usage_assets.kinds import OPENSTACK
    from usage_assets.reports.exports import checks as of_exports

    export(built, warehouse, instance)

    def failing(table, name):
        (check,) = [one for one in of_exports.checks_of(OPENSTACK, table) if one.name == name]
        assert check.evaluate
        with warehouse.read() as reader:
            found = check.evaluate(reader, built, WINDOW)
        return {month: finding.text for month, finding in found.items() if not finding.passed}

    path = month_path(USAGE_WIDE, "tiny", JAN)
    good = pl.read_parquet(path)
    assert not any(failing(USAGE_WIDE, check.name) for check in of_exports.checks_of(OPENSTACK, USAGE_WIDE))
    pl.concat([good, good.head(1)]).write_parquet(path)
    assert "1 row(s) share their key" in failing(USAGE_WIDE, "contract")[JAN]
    good.select("site", "time", *USAGE_WIDE.names[2:]).write_parquet(path)
    assert JAN in failing(USAGE_WIDE, "contract")
    good.filter(pl.col("time").dt.day() != 10).write_parquet(path)
    assert "nothing between 2020-01-09" in failing(USAGE_WIDE, "coverage")[JAN]
    good.with_columns(committed=pl.col("reservable") + 1).write_parquet(path)
    assert "committed exceeds reservable on 31 day(s), at most by 1" in failing(USAGE_WIDE, "order")[JAN]
    path.unlink()
    assert failing(USAGE_WIDE, "coverage") == {JAN: "there is no file"}
    hours = month_path(PARITY, "tiny", JAN)
    pl.read_parquet(hours).with_columns(idle_hours=pl.col("idle_hours") + 1).write_parquet(hours)
    assert "whose parts are not their total" in failing(PARITY, "parity")[JAN]
