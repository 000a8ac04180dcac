"""The code location as the server loads it."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.definitions import build_defs
from usage_assets.kinds import KINDS
from usage_assets.kinds.site_files import load_book, load_sites
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import make_site


@pytest.fixture
def defs() -> dg.Definitions:
    return build_defs(load_sites(ROOT / "sites"))


def test_the_code_location_loads_with_the_shipped_sites(defs: dg.Definitions):
    dg.Definitions.validate_loadable(defs)
    shipped = {site.kind for site in load_sites(ROOT / "sites").values()}
    assert {job.name for job in defs.jobs or ()} == {*shipped, "publish"}
    assert shipped <= set(KINDS)


def test_every_asset_has_what_the_ui_shows(defs: dg.Definitions):
    specs = list(defs.resolve_all_asset_specs())
    assert len(specs) > 30
    for spec in specs:
        kind, stage, _ = spec.key.path
        assert spec.description, spec.key
        if kind == "usage":  # of all kinds
            assert (spec.group_name, spec.tags["stage"]) == ("usage_serving", "serving")
        else:
            assert spec.group_name == f"{kind}_{stage}"
            assert (spec.tags["site_kind"], spec.tags["stage"]) == (kind, stage)
        assert list(spec.owners) == []  # no shipped site names any
        assert spec.kinds
        if stage not in {"reports", "serving"}:
            assert spec.metadata["dagster/table_name"].startswith(f"{stage}.")
            assert all(column.description for column in spec.metadata["dagster/column_schema"].columns)


def test_owners_come_from_the_files_of_the_sites_of_a_kind():
    sites = load_sites(ROOT / "sites")
    named = {
        "demo_metal": ("team:metal", "ops@example.org"),
        "demo_kvm": ("ops@example.org",),
        "demo_pool": ("team:gpu",),
    }
    book = {key: site.model_copy(update={"owners": named.get(key, ())}) for key, site in sites.items()}
    found: dict[str, set[tuple[str, ...]]] = {}
    for spec in build_defs(book, automation=False).resolve_all_asset_specs():
        found.setdefault(spec.key.path[0], set()).add(tuple(spec.owners))
    assert found == {
        "openstack": {("ops@example.org", "team:metal")},
        "htcondor": {("team:gpu",)},
        "service": {()},
        "usage": {("ops@example.org", "team:gpu", "team:metal")},
    }


def test_all_assets_of_a_kind_share_partitions_and_backfill_policy(defs: dg.Definitions):
    graph = defs.resolve_asset_graph()
    for kind in {key.path[0] for key in graph.get_all_asset_keys()} - {"usage"}:
        nodes = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[0] == kind]
        assert len({id(node.partitions_def) for node in nodes}) == 1, kind
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
        "openstack_nightly": dg.DefaultScheduleStatus.RUNNING,
        "htcondor_nightly": dg.DefaultScheduleStatus.RUNNING,
        "service_nightly": dg.DefaultScheduleStatus.RUNNING,
        "coverage_daily": dg.DefaultScheduleStatus.RUNNING,
    }
    assert {sensor.default_status for sensor in defs.sensors or ()} == {dg.DefaultSensorStatus.RUNNING}


def _requests(schedule: dg.ScheduleDefinition) -> list[dg.RunRequest]:
    at = dt.datetime(2020, 1, 15, 2, tzinfo=dt.UTC)
    Path(os.environ["DAGSTER_HOME"]).mkdir()
    with (
        dg.DagsterInstance.get() as instance,  # a schedule opens the instance anew, so it can't be in memory
        dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context,
    ):
        return list(schedule.evaluate_tick(context).run_requests or ())


def test_the_nightly_schedule_asks_for_a_range_run_per_site(defs: dg.Definitions):
    (schedule,) = [one for one in defs.schedules or () if one.name == "openstack_nightly"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    found = _requests(schedule)
    assert [one.tags["dagster/asset_partition_range_end"] for one in found] == [
        "2020-01-01|demo_kvm",
        "2020-01-01|demo_metal",
    ]


def test_each_call_builds_afresh_and_without_sites_there_is_nothing_to_build():
    empty = build_defs({})
    assert list(empty.resolve_all_asset_specs()) == []


@pytest.fixture
def one_broken(tmp_path: Path) -> Path:
    """A folder of a good site (tiny, with its databases) and one whose file is broken."""
    site = make_site(tmp_path)
    folder = tmp_path / "sites"
    folder.mkdir()
    databases = "".join(f"  {name}: {url}\n" for name, url in site.databases.items())
    (folder / "tiny.yaml").write_text(f"kind: openstack\nfirst_month: 2020-01\ndatabases:\n{databases}")
    (folder / "bad.yaml").write_text("kind: openstack\ncolour: red\ndatabases: {nova: 'sqlite://'}\n")
    return folder


def test_a_broken_site_file_leaves_the_others_and_keeps_its_own_partitions(one_broken: Path):
    defs = build_defs(load_book(one_broken))
    dg.Definitions.validate_loadable(defs)
    partitions = defs.resolve_job_def("openstack").partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    sites = partitions.get_partitions_def_for_dimension("site")
    assert sites.get_partition_keys() == ["bad", "tiny"]
    (schedule,) = [one for one in defs.schedules or () if one.name == "openstack_nightly"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    found = _requests(schedule)
    assert [one.tags["usage/site"] for one in found] == ["tiny"]


def test_a_run_of_a_site_whose_file_is_broken_fails_with_the_fault(one_broken: Path, tmp_path: Path):
    job = build_defs(load_book(one_broken), Warehouse(tmp_path / "w.duckdb"), automation=False)
    run = job.resolve_job_def("openstack").execute_in_process(
        tags={RANGE_START: "2020-01-01|bad", RANGE_END: "2020-01-01|bad"}, raise_on_error=False
    )
    assert not run.success
    (failure,) = [event for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "bad.yaml:2: colour: unknown key" in str(failure.event_specific_data)


def test_a_process_that_loads_the_code_location_anew_builds_the_good_site(one_broken: Path, tmp_path: Path):
    keys = {RANGE_START: "2020-01-01|tiny", RANGE_END: "2020-01-01|tiny"}
    code = f"""if True:
        import dagster as dg
        from usage_assets.definitions import defs
        one = dg.AssetKey(["openstack", "raw", "nova_instances"])  # as little as shows that a run works
        assert defs.resolve_job_def("openstack").execute_in_process(asset_selection=[one], tags={keys!r}).success
    """
    named = {"USAGE_SITES": str(one_broken), "USAGE_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert "bad.yaml:2: colour: unknown key" in found.stderr  # also said where the location is loaded
    with Warehouse(tmp_path / "data" / "warehouse.duckdb").read() as reader:
        assert reader.sql("SELECT DISTINCT site FROM raw.nova_instances").rows() == [("tiny",)]


def test_importing_the_package_reads_nothing_and_is_light():
    code = "import sys, usage_assets, usage_assets.cli; print(any(m in sys.modules for m in ('dagster', 'polars')))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
