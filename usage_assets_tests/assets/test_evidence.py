"""What a source loses between two runs, through Dagster: a check warns, a run fails, a tag allows."""

from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.definitions import build_defs
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.raw_step import MISSING_TAG
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import WINDOW, change, checks, make_site

ALLOCATIONS = asset_key("openstack", "raw", "blazar_computehost_allocations")
LEASES = asset_key("openstack", "raw", "blazar_leases")


@pytest.fixture
def site(tmp_path: Path):
    return make_site(tmp_path)


@pytest.fixture
def dump(site, tmp_path: Path):
    """Dumps one raw table of the site in a run with these tags."""
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
    with dg.DagsterInstance.ephemeral() as instance:

        def run(key: dg.AssetKey, **tags: str) -> dg.ExecuteInProcessResult:
            return job.execute_in_process(
                instance=instance,
                asset_selection=[key],
                tags={RANGE_START: str(partition_keys(WINDOW)[0]), RANGE_END: str(partition_keys(WINDOW)[-1])} | tags,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )

        yield run


def test_a_month_of_which_the_source_gave_fewer_rows_is_warned_of_once_and_what_is_gone_as_long_as_it_is(
    site, dump, monkeypatch: pytest.MonkeyPatch
):
    seconds = count()  # a dump within the same second would replace the record of the one before
    monkeypatch.setattr(
        "usage_assets.sources.sql.servers._wall_clock", lambda: datetime(2020, 3, 1) + timedelta(seconds=next(seconds))
    )
    assert dump(ALLOCATIONS).success
    change(site, "blazar", "DELETE FROM computehost_allocations")
    said = []
    for _ in range(2):
        found = checks(dump(ALLOCATIONS))[ALLOCATIONS.to_user_string(), "evidence", None]
        assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
        failing = found.metadata["failing"].value
        assert isinstance(failing, list)
        said.append({entry["text"] for entry in failing})
    gone = "1 row(s) gone at the source, kept here"
    assert said == [{f"{gone}; 1 row(s) fewer at the source than at the dump before"}, {gone}]


def test_a_column_that_vanished_fails_the_run_until_its_tag_says_that_it_is_known(site, dump):
    assert dump(LEASES).success
    change(site, "blazar", "ALTER TABLE leases RENAME COLUMN end_date TO ends_at")
    failed = dump(LEASES)
    assert not failed.success
    assert "column end_date is not in" in str(failed.get_step_failure_events()[0].step_failure_data.error)
    assert dump(LEASES, **{MISSING_TAG: "true"}).success
