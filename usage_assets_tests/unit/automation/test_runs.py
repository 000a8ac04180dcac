"""What runs by itself besides alerts: the nightly requests, dead runs, and the event log that keeps its files open."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from usage_assets.automation.nightly import RANGE_END, RANGE_START, nightly_schedule, pending_since, requests
from usage_assets.automation.orphans import BOOT, HOST, PID, SINCE, is_gone, process_tags, report_dead_runs
from usage_assets.automation.storage import SteadySqliteEventLogStorage
from usage_assets.facts.tables import LEASES
from usage_assets.kinds import OPENSTACK
from usage_assets.sites import OpenStackSite
from usage_assets.warehouse import Warehouse


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


def with_leases(folder: Path, *leases: tuple[str, str, date, str]) -> Warehouse:
    """A warehouse with leases: id, site, month, outcome."""
    empty = dict.fromkeys(LEASES.names)
    rows = [
        empty
        | {"lease_id": name, "site": at, "month": month, "outcome": outcome, "node_type": "t"}
        | {"created_at": datetime(month.year, month.month, 2)}
        for name, at, month, outcome in leases
    ]
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(LEASES)
        writer.put(LEASES, pl.DataFrame(rows, schema=LEASES.polars_schema))
    return warehouse


def test_a_night_reaches_back_to_the_first_month_with_pending_leases_at_most_a_year(tmp_path: Path):
    warehouse = with_leases(
        tmp_path,
        ("1", "a", date(2019, 9, 1), "pending"),
        ("2", "a", date(2019, 5, 1), "started"),
        ("3", "b", date(2018, 12, 1), "pending"),
        ("4", "c", date(2020, 1, 1), "pending"),
        ("5", "d", date(2019, 1, 1), "pending"),
    )
    pending = pending_since(warehouse, date(2020, 1, 15))
    assert pending == {"a": date(2019, 9, 1), "c": date(2020, 1, 1), "d": date(2019, 1, 1)}
    sites = {key: site(key) for key in "abc"} | {"d": site("d", first_month="2019-11")}
    found = list(requests(sites, date(2020, 1, 15), "now", pending))
    assert [one.tags[RANGE_START] for one in found] == ["2019-09-01|a", "2019-12-01|b", "2019-12-01|c", "2019-11-01|d"]
    assert {one.tags[RANGE_END].partition("|")[0] for one in found} == {"2020-01-01"}


def test_a_warehouse_that_holds_no_leases_yet_leaves_the_plain_range(tmp_path: Path):
    assert pending_since(Warehouse(tmp_path / "none.duckdb"), date(2020, 1, 15)) == {}


def test_a_warehouse_that_can_not_be_read_leaves_the_plain_range(tmp_path: Path):
    broken = tmp_path / "warehouse.duckdb"
    broken.write_text("no database", encoding="utf-8")
    schedule = nightly_schedule(OPENSTACK, {"a": site("a")}, Warehouse(broken))
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2020, 1, 15, tzinfo=UTC))
    requested = schedule.evaluate_tick(context).run_requests
    assert requested is not None
    assert [one.tags[RANGE_START] for one in requested] == ["2019-12-01|a"]


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


@pytest.mark.parametrize("size", ["0", "1000"])
def test_events_in_batches_are_the_same_events(monkeypatch: pytest.MonkeyPatch, size: str):
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir()
    (home / "dagster.yaml").write_text((Path(__file__).parents[3] / "dagster.yaml").read_text())
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
    assert "/home" not in (Path(__file__).parents[3] / name).read_text()
