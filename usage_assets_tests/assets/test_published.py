"""Publishing through Dagster: after real runs, with a month that fails a check, and when the sensor asks for it."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from usage_assets.core import settings
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.locks import file_lock
from usage_assets.definitions import build_defs
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds import OPENSTACK
from usage_assets.orchestration import publish_sensor
from usage_assets.serving import read
from usage_assets.serving.publish import publish
from usage_assets.warehouse import Warehouse, Writer
from usage_assets_tests.assets.tiny import FEB, JAN, MAR, build, change
from usage_assets_tests.unit.serving.store import write

HOURS = "SELECT month, sum(hours) AS h FROM {} WHERE metric = 'committed' {} GROUP BY month ORDER BY month"
FROM_FACTS = (
    "SELECT month, sum(epoch(end_at - start_at)) / 3600 AS h FROM facts.intervals WHERE metric = 'committed' "
    "GROUP BY month ORDER BY month"
)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", "nowhere")


def run_publish(site, warehouse: Warehouse, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("publish")
    return job.execute_in_process(
        instance=instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult) -> dict:
    (event,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path[-1] == "published"
    ]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def shown_metadata(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def held_back(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "held_back"]
    return found


def committed() -> dict:
    with read.open() as reader:
        rows = reader.sql(HOURS.format("timelines.usage", "AND resource = 'nodes'"))
    return dict(rows.iter_rows())


@pytest.mark.heavy
def test_a_month_whose_check_fails_keeps_its_last_good_rows_in_what_is_published(
    with_tables, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    site = with_tables
    first = run_publish(site, warehouse, instance)
    assert first.success
    assert (shown(first)["generation"], held_back(first).passed) == (1, True)
    good = committed()
    assert good == {JAN: 21 * 24.0, FEB: 10 * 24.0, MAR: 0.0}

    change(site, "blazar", "UPDATE leases SET end_date = '2020-02-21 00:00:00', updated_at = '2020-01-20 00:00:00'")
    real = Writer.replace

    def losing(self, table, rows, **more):
        if table is INTERVALS and more["asset"] == OPENSTACK.asset("facts", "occupied"):
            rows = rows.filter(rows["month"] != FEB)
        return real(self, table, rows, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "replace", losing)
        assert build(site, warehouse, instance, tables_only=True).success
    second = run_publish(site, warehouse, instance)
    found = held_back(second)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    (entry,) = shown_metadata(found)["failing"]
    assert (entry["site"], entry["month"]) == ("tiny", "2020-02")
    assert "from facts on: openstack/facts/occupied conservation" in entry["text"]
    assert committed() == good
    with warehouse.read() as reader:
        assert reader.sql(f"SELECT h FROM ({FROM_FACTS}) WHERE month = $m", {"m": FEB}).item() == 20 * 24.0
    with read.open() as published:
        leases = published.sql("SELECT DISTINCT month, end_date::DATE::VARCHAR FROM raw.blazar_leases").rows()
        assert published.sql(FROM_FACTS).rows()[1] == (FEB, 10 * 24.0)
    assert (FEB, "2020-02-21") in leases

    assert build(site, warehouse, instance, tables_only=True).success
    third = run_publish(site, warehouse, instance)
    assert held_back(third).passed
    assert committed()[FEB] == 20 * 24.0
    again = run_publish(site, warehouse, instance)
    assert (shown(again)["generation"], shown(again)["status"][:7]) == (3, "nothing")


def tick(warehouse: Warehouse, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[Any, str | None]:
    """What the sensor says, and its cursor after it."""
    sensor = publish_sensor.publish_sensor(warehouse)
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        said = sensor(context)
        return said, context.cursor


def test_the_sensor_asks_once_where_the_warehouse_differs_from_what_is_published(warehouse: Warehouse, instance):
    said, _ = tick(warehouse, instance)
    assert "no warehouse yet" in said.skip_message
    write(warehouse, 1)
    asked, cursor = tick(warehouse, instance)
    assert isinstance(asked, dg.RunRequest)
    assert tick(warehouse, instance, cursor)[0].run_key == asked.run_key
    publish(warehouse)
    said, cursor = tick(warehouse, instance, cursor)
    assert said.skip_message == "generation 1 is what the warehouse holds"
    write(warehouse, 2)
    other, _ = tick(warehouse, instance, cursor)
    assert other.run_key != asked.run_key


def test_the_sensor_opens_the_warehouse_only_when_it_was_written(
    warehouse: Warehouse, instance, monkeypatch: pytest.MonkeyPatch
):
    write(warehouse, 1)
    publish(warehouse)
    _, cursor = tick(warehouse, instance)
    monkeypatch.setattr(Warehouse, "read", None)
    assert "generation 1" in tick(warehouse, instance, cursor)[0].skip_message


def test_the_sensor_does_not_wait_for_a_writer(warehouse: Warehouse, instance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(publish_sensor, "_WAIT_SECONDS", 0.1)
    write(warehouse, 1)
    with file_lock(warehouse.path.parent / ".warehouse.lock", "a long write", wait_seconds=1):
        said, _ = tick(warehouse, instance)
    assert "a long write" in said.skip_message


@pytest.mark.parametrize(
    ("job", "minutes", "wait"),
    [("publish", 30, "publishes"), ("openstack", 1, "1 run(s) are under way"), ("openstack", 11, None)],
    ids=["a publishing under way", "a run under way", "runs that never end"],
)
def test_what_is_under_way_is_let_finish_for_a_while(warehouse: Warehouse, instance, job: str, minutes: int, wait):
    write(warehouse, 1)
    made = publish(warehouse)
    instance.add_run(dg.DagsterRun(job_name=job, run_id="12345678-0000", status=dg.DagsterRunStatus.STARTED))
    said = publish_sensor.busy(instance, made.pointer, made.pointer.written_at + timedelta(minutes=minutes))
    assert (said is None) if wait is None else (wait in str(said))


def test_runs_under_way_do_not_hold_up_the_first_publishing(warehouse: Warehouse, instance):
    instance.add_run(dg.DagsterRun(job_name="openstack", run_id="r", status=dg.DagsterRunStatus.STARTED))
    assert publish_sensor.busy(instance, None, naive_utc_now()) is None


def test_the_command_says_what_readers_have(warehouse: Warehouse):
    from typer.testing import CliRunner

    from usage_assets.cli.app import app

    write(warehouse, 1)
    assert warehouse.path == settings.warehouse_path()
    first = CliRunner().invoke(app, ["publish"])
    assert first.exit_code == 0, first.output
    assert "generation 1: published in" in first.output
    assert "generation 1: nothing has changed since" in CliRunner().invoke(app, ["publish"]).output
