"""The code location as the server loads it."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.definitions import build_defs
from usage_assets.kinds import KINDS
from usage_assets.presentation import OWNERS
from usage_assets.sites import load_sites

ROOT = Path(__file__).parents[2]


@pytest.fixture
def defs() -> dg.Definitions:
    return build_defs(load_sites(ROOT / "sites"))


def test_the_code_location_loads_with_the_shipped_sites(defs: dg.Definitions):
    dg.Definitions.validate_loadable(defs)
    assert {job.name for job in defs.jobs or ()} == set(KINDS)


def test_every_asset_has_what_the_ui_shows(defs: dg.Definitions):
    specs = list(defs.resolve_all_asset_specs())
    assert len(specs) > 30
    for spec in specs:
        kind, stage, _ = spec.key.path
        assert spec.description, spec.key
        assert spec.group_name == f"{kind}_{stage}"
        assert (spec.tags["site_kind"], spec.tags["stage"]) == (kind, stage)
        assert list(spec.owners) == OWNERS
        assert spec.kinds
        if stage != "reports":
            assert spec.metadata["dagster/table_name"].startswith(f"{stage}.")
            assert all(column.description for column in spec.metadata["dagster/column_schema"].columns)


def test_all_assets_of_a_kind_share_partitions_and_backfill_policy(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert len({id(node.partitions_def) for node in nodes}) == 1
    assert {node.backfill_policy for node in nodes} == {dg.BackfillPolicy.multi_run(12)}


def test_no_check_blocks_and_none_is_in_two_modes(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    modes: dict[tuple[str, str], set[bool]] = {}
    for key in graph.asset_check_keys:
        node = graph.get(key)
        assert not node.blocking
        modes.setdefault((key.asset_key.to_user_string(), key.name), set()).add(node.partitions_def is not None)
    assert all(len(found) == 1 for found in modes.values())
    assert modes["openstack/facts/total", "contract"] == {True}
    assert modes["openstack/raw/nova_instances", "contract"] == {False}


def test_schedule_and_sensors_run_unless_stopped(defs: dg.Definitions):
    assert {schedule.name: schedule.default_status for schedule in defs.schedules or ()} == {
        "openstack_nightly": dg.DefaultScheduleStatus.RUNNING
    }
    assert {sensor.default_status for sensor in defs.sensors or ()} == {dg.DefaultSensorStatus.RUNNING}


def test_the_nightly_schedule_asks_for_a_range_run_per_site(defs: dg.Definitions):
    (schedule,) = defs.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    with dg.build_schedule_context(scheduled_execution_time=dt.datetime(2020, 1, 15, 2, tzinfo=dt.UTC)) as context:
        found = schedule.evaluate_tick(context).run_requests
    assert found is not None
    assert [one.tags["dagster/asset_partition_range_end"] for one in found] == [
        "2020-01-01|demo_kvm",
        "2020-01-01|demo_metal",
    ]


def test_each_call_builds_afresh_and_without_sites_there_is_nothing_to_build():
    empty = build_defs({})
    assert list(empty.resolve_all_asset_specs()) == []


def test_a_broken_site_file_is_what_the_code_location_says(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("kind: openstack\ncolour: red\ndatabases: {nova: 'sqlite://'}\n")
    found = subprocess.run(
        [sys.executable, "-c", "from usage_assets.definitions import defs"],
        env={"USAGE_SITES": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode
    assert "SiteError: bad.yaml:2: colour: unknown key" in found.stderr.splitlines()[-1]


def test_importing_the_package_reads_nothing_and_is_light():
    code = "import sys, usage_assets, usage_assets.cli; print(any(m in sys.modules for m in ('dagster', 'polars')))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
