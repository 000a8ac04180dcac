"""What runs by itself besides alerts: the nightly requests, dead runs, and the event log that keeps its files open."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.automation.nightly import RANGE_END, RANGE_START, requests
from usage_assets.automation.orphans import BOOT, HOST, PID, SINCE, is_gone, process_tags, report_dead_runs
from usage_assets.automation.storage import SteadySqliteEventLogStorage
from usage_assets.sites import OpenStackSite


def site(key: str, **more) -> OpenStackSite:
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": key, "name": key, "databases": {"nova": "sqlite://"}, **more}
    )


def test_a_night_asks_for_previous_and_current_month_of_every_site_as_one_range_each():
    found = list(requests({"a": site("a"), "b": site("b")}, date(2020, 1, 15), "now"))
    assert [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in found] == [
        ("2019-12-01|a", "2020-01-01|a"),
        ("2019-12-01|b", "2020-01-01|b"),
    ]
    assert len({one.run_key for one in found}) == 2


def test_a_night_does_not_ask_for_months_before_a_sites_first():
    found = list(
        requests(
            {"new": site("new", first_month="2020-01"), "planned": site("planned", first_month="2020-02")},
            date(2020, 1, 15),
            "now",
        )
    )
    assert [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in found] == [("2020-01-01|new", "2020-01-01|new")]


def test_this_process_is_not_gone_and_one_that_ended_is():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        tags = process_tags(other.pid)
        assert not is_gone(tags)
        other.communicate(b"\n")
    assert is_gone(tags)
    assert not is_gone(process_tags())


def test_a_pid_that_was_given_again_is_gone():
    assert is_gone(process_tags() | {SINCE: "1"})


def test_a_process_of_an_earlier_boot_is_gone_and_one_of_another_host_is_not_ours_to_judge():
    assert is_gone(process_tags() | {BOOT: "earlier"})
    assert not is_gone(process_tags() | {HOST: "elsewhere", PID: "999999"})
    assert not is_gone({})


def test_only_unfinished_runs_of_dead_processes_are_reported_as_failed():
    with dg.DagsterInstance.ephemeral() as instance:
        dead = process_tags() | {SINCE: "1"}
        started = instance.create_run_for_job(_job, tags=dead, status=dg.DagsterRunStatus.STARTED)
        alive = instance.create_run_for_job(_job, tags=process_tags(), status=dg.DagsterRunStatus.STARTED)
        ended = instance.create_run_for_job(_job, tags=dead, status=dg.DagsterRunStatus.SUCCESS)
        assert report_dead_runs(instance) == [started.run_id]
        found = [instance.get_run_by_id(run.run_id) for run in (started, alive, ended)]
        statuses = [run.status.value for run in found if run is not None]
        assert statuses == ["FAILURE", "STARTED", "SUCCESS"]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition([str(n) for n in range(12)]))
def _thing():
    pass


_job = dg.Definitions(assets=[_thing]).resolve_implicit_global_asset_job_def()


def test_the_event_log_holds_what_the_stock_one_reads(tmp_path: Path):
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir()
    (home / "dagster.yaml").write_text((Path(__file__).parents[3] / "dagster.yaml").read_text())
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, SteadySqliteEventLogStorage)
        runs = [dg.materialize([_thing], instance=instance, partition_key=str(n)).run_id for n in range(12)]
        open_runs = len(instance.event_log_storage._engines)
        events = len(instance.all_logs(runs[0]))
    assert open_runs <= 9
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as instance:
        assert not isinstance(instance.event_log_storage, SteadySqliteEventLogStorage)
        assert len(instance.all_logs(runs[0])) == events
        assert len(instance.get_materialized_partitions(dg.AssetKey("_thing"))) == 12


def test_a_wiped_event_log_starts_anew(tmp_path: Path):
    storage = SteadySqliteEventLogStorage(str(tmp_path / "runs"))
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([_thing], instance=instance, partition_key="1")
        events = list(instance.all_logs(run.run_id))
    for event in events:
        storage.store_event(event)
    assert len(storage.get_logs_for_run(run.run_id)) == len(events)
    storage.wipe()
    assert storage.get_logs_for_run(run.run_id) == []


@pytest.mark.parametrize("name", ["dagster.yaml", "workspace.yaml"])
def test_shipped_configuration_names_no_path_of_a_machine(name: str):
    assert "/home" not in (Path(__file__).parents[3] / name).read_text()
