"""What runs by itself besides alerts and nightlies: dead runs, and the event log that keeps its files open."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.storage.tags import TagType, get_tag_type

from usage_assets.orchestration.event_storage import SteadySqliteEventLogStorage
from usage_assets.orchestration.orphaned_runs import PROCESS, is_gone, name_processes, process_tag, report_dead_runs
from usage_assets_tests import ROOT

STARTED = dg.DagsterRunStatus.STARTED


def run(lives_in: int | None = None, **other: str) -> dg.DagsterRun:
    """A run that lives in a process, which may be said otherwise than it is."""
    run_id = str(uuid.uuid4())
    named = json.loads(process_tag(run_id, lives_in)[PROCESS])
    return dg.DagsterRun("job", run_id=run_id, tags={PROCESS: json.dumps(named | other)})


def earlier(run: dg.DagsterRun) -> dg.DagsterRun:
    """The same run as releases before this one tagged it."""
    named = json.loads(run.tags[PROCESS])
    tags = {"host": "usage/host", "boot": "usage/boot_id", "pid": "usage/pid", "since": "usage/pid_since"}
    return dg.DagsterRun("job", run_id=run.run_id, tags={tag: named[name] for name, tag in tags.items()})


@pytest.mark.parametrize("as_tagged", [lambda run: run, earlier])
def test_this_process_is_not_gone_and_one_that_ended_is(as_tagged):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        its = as_tagged(run(other.pid))
        assert not is_gone(its)
        other.communicate(b"\n")
    assert is_gone(its)
    assert not is_gone(as_tagged(run()))


def test_a_pid_that_was_given_again_is_gone():
    assert is_gone(run(since="1"))
    assert is_gone(earlier(run(since="1")))


def test_a_process_of_an_earlier_boot_is_gone_and_one_of_another_host_is_not_ours_to_judge():
    assert is_gone(run(boot="earlier"))
    assert not is_gone(run(host="elsewhere", pid="999999"))
    assert not is_gone(dg.DagsterRun("job", tags={PROCESS: "no JSON"}))
    assert not is_gone(dg.DagsterRun("job"))


def test_a_run_that_was_started_again_with_the_tags_of_a_dead_one_is_not_gone():
    dead = run(since="1")
    for tags in (dead.tags, earlier(dead).tags):
        again = dg.DagsterRun("job", tags=tags, parent_run_id=dead.run_id, root_run_id=dead.run_id)
        assert not is_gone(again)


def test_the_ui_does_not_show_the_tag_of_a_process():
    assert {get_tag_type(tag) for tag in process_tag("1")} == {TagType.HIDDEN}


def test_only_unfinished_runs_of_dead_processes_are_reported_as_failed():
    with dg.DagsterInstance.ephemeral() as instance:
        dead, living = run(since="1"), run()
        for one, status in ((dead, STARTED), (living, STARTED), (run(since="1"), dg.DagsterRunStatus.SUCCESS)):
            instance.create_run_for_job(_job, run_id=one.run_id, tags=one.tags, status=status)
        assert report_dead_runs(instance) == [dead.run_id]
        found = [each.status.value for each in instance.get_runs()]
        assert sorted(found) == ["FAILURE", "STARTED", "SUCCESS"]


def test_a_run_of_the_daemon_is_reported_as_failed_when_its_process_was_killed_with_the_code_server():
    server = {".dagster/grpc_info": '{"host": "localhost", "socket": "/run/usage-assets/code.sock"}'}
    remote = {".dagster/grpc_info": '{"host": "elsewhere", "port": 4000}'}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
    ):
        run = instance.create_run_for_job(_job, tags=server, status=STARTED)
        other = instance.create_run_for_job(_job, tags=remote, status=STARTED)
        for each in (run, other):
            said = EngineEventData.in_process(process.pid)
            instance.report_engine_event("Started process for run", each, said)
        name_processes(instance)
        assert report_dead_runs(instance) == []
        process.communicate(b"\n")
        name_processes(instance)
        assert report_dead_runs(instance) == [run.run_id]


def test_a_run_of_the_daemon_that_has_not_said_its_process_is_left_alone():
    server = {".dagster/grpc_info": '{"socket": "/run/usage-assets/code.sock"}'}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(_job, tags=server, status=STARTED)
        name_processes(instance)
        assert report_dead_runs(instance) == []


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition([str(n) for n in range(12)]),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def _thing() -> None:
    pass


_job = dg.Definitions(assets=[_thing]).resolve_implicit_global_asset_job_def()


def test_the_event_log_holds_what_the_stock_one_reads(tmp_path: Path):
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
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


@pytest.mark.parametrize("size", ["0", "1000"])
def test_events_in_batches_are_the_same_events(monkeypatch: pytest.MonkeyPatch, size: str):
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
    tags = {"dagster/asset_partition_range_start": "0", "dagster/asset_partition_range_end": "11"}
    with dg.DagsterInstance.get() as instance:
        result = _job.execute_in_process(instance=instance, tags=tags)
        kinds = [event.event_type_value for event in result.all_events]
        stored = [entry.dagster_event_type for entry in instance.all_logs(result.run_id)]
        assert stored.count(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED) == 12
        assert stored.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == kinds.count("ASSET_MATERIALIZATION") == 12
        key = dg.AssetKey("_thing")
        assert len(instance.get_materialized_partitions(key)) == 12
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None
        assert latest.run_id == result.run_id
        found = instance.fetch_materializations(key, limit=100).records
        assert len({record.storage_id for record in found}) == 12
        assert {record.partition_key for record in found} == {str(n) for n in range(12)}


@pytest.mark.parametrize("name", ["dagster.yaml", "workspace.yaml"])
def test_shipped_configuration_names_no_path_of_a_machine(name: str):
    assert "/home" not in (ROOT / name).read_text()
