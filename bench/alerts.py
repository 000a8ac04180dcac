"""A tick of the alerts over 10,000 past runs: with nothing new, and after a night of four sites with failed checks.

    python -m bench.alerts [RUNS]

The runs are nightlies of four sites, stored in Dagster's SQLite files in a temporary folder as Dagster itself stores
them; four nights of them lie within the days that a tick looks back for missed nightlies. Prints the median of a tick.
"""

import logging
import os
import shutil
import statistics
import tempfile
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

BOUND_S = 0.5
SITES = ("chi_tacc", "chi_uc", "kvm_tacc", "chi_edge")
_MONTHS = ("2026-10-01", "2026-11-01")
_CHECKS = 100
"""Evaluations of a nightly run of one site."""
_WITH_EVENTS = 40


def main(runs: Annotated[int, typer.Argument(min=1)] = 10_000) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = folder
        shutil.copyfile(Path(__file__).parents[1] / "dagster.yaml", Path(folder) / "dagster.yaml")
        (Path(folder) / "sites").mkdir()
        os.environ["USAGE_SITES"] = str(Path(folder) / "sites")
        os.environ.pop("USAGE_ALERTS", None)
        os.chdir(folder)
        logging.getLogger("usage_assets.alerts").setLevel(logging.CRITICAL)  # what is told there is not asked for
        _measure(runs)


def _measure(runs: int) -> None:
    import dagster as dg  # noqa: PLC0415 - reads DAGSTER_HOME

    from usage_assets.core import settings  # noqa: PLC0415 - as above
    from usage_assets.orchestration import alert_sensor  # noqa: PLC0415 - as above
    from usage_assets.orchestration.missed import Nightly  # noqa: PLC0415 - as above

    nightly = Nightly("openstack_nightly", "15 2 * * *", "UTC", dict.fromkeys(SITES, date(2016, 1, 1)))

    def tick(instance: dg.DagsterInstance) -> float:
        begun = time.perf_counter()
        alert_sensor.tick(instance, settings.alerts_state(), [nightly], dict, datetime.now(tz=UTC))
        return time.perf_counter() - begun

    # runs are processes of their own: what they have open, the daemon opens when it looks
    with dg.DagsterInstance.get() as wrote:
        _store(wrote, runs, datetime.now(tz=UTC))
    with dg.DagsterInstance.get() as daemon:
        first = tick(daemon)
        quiet = statistics.median(tick(daemon) for _ in range(15))
        busy = []
        for night in range(3):
            with dg.DagsterInstance.get() as wrote:
                _night(wrote, night)
            busy.append(tick(daemon))
    print(
        f"tick of the alerts over {runs:,} runs (bound: {BOUND_S} s): {quiet:.3f} s with nothing new, "
        f"{statistics.median(busy):.3f} s after a night of {len(SITES)} sites, {first:.3f} s the first"
    )


def _run(site: str, status: str) -> Any:
    import dagster as dg  # noqa: PLC0415 - reads DAGSTER_HOME

    tags = {
        "dagster/asset_partition_range_start": f"{_MONTHS[0]}|{site}",
        "dagster/asset_partition_range_end": f"{_MONTHS[1]}|{site}",
        "usage/site": site,
        "usage/trigger": "nightly",
        "dagster/schedule_name": "openstack_nightly",
        "dagster/run_key": f"{site} {uuid.uuid4()}",
    }
    return dg.DagsterRun(
        "openstack", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus[status], tags=tags, run_config={}
    )


def _store(instance: Any, runs: int, now: datetime) -> None:
    """Finished nightlies, the last of them an hour ago, in one transaction."""
    from dagster._core.storage.runs.schema import RunsTable, RunTagsTable  # noqa: PLC0415 - reads DAGSTER_HOME
    from dagster._serdes import serialize_value  # noqa: PLC0415 - as above

    rows, tags = [], []
    for number in range(runs):
        run = _run(SITES[number % len(SITES)], "SUCCESS")
        night = (runs - 1 - number) // len(SITES)
        at = (now - timedelta(days=night, hours=1)).replace(tzinfo=None)
        rows.append(
            {
                "run_id": run.run_id,
                "pipeline_name": "openstack",
                "status": "SUCCESS",
                "run_body": serialize_value(run),
                "create_timestamp": at,
                "update_timestamp": at,
                "start_time": at.timestamp(),
                "end_time": at.timestamp(),
            }
        )
        tags += [{"run_id": run.run_id, "key": key, "value": value} for key, value in run.tags.items()]
    with instance.run_storage.connect() as connection:
        connection.execute(RunsTable.insert(), rows)
        connection.execute(RunTagsTable.insert(), tags)
    for row in rows[-_WITH_EVENTS:]:  # the first tick looks into those of the last days
        instance.report_engine_event("stored", run_id=row["run_id"], job_name="openstack")


def _night(instance: Any, night: int) -> None:
    """A finished run of each site; a tenth of its checks fail, with other words each night."""
    import dagster as dg  # noqa: PLC0415 - reads DAGSTER_HOME
    from dagster._core.events import DagsterEvent  # noqa: PLC0415 - as above

    words = ("gone", "doubled", "late")
    for site in SITES:
        run = _run(site, "STARTED")
        instance.add_run(run)
        for number in range(_CHECKS):
            evaluation = dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["openstack", "facts", f"table_{number // 5}"]),
                check_name=f"check_{number % 5}",
                passed=number % 10 != 0,
                severity=dg.AssetCheckSeverity.ERROR,
                description=f"site {site} 2026-11: 5 row(s) {words[night]}",
                metadata={"rows": 5},
                partition=f"{_MONTHS[1]}|{site}",
                blocking=False,
            )
            event = DagsterEvent("ASSET_CHECK_EVALUATION", "openstack", event_specific_data=evaluation, message="")
            instance.report_dagster_event(event, run.run_id)
        instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", "openstack", message=""), run.run_id)


if __name__ == "__main__":
    typer.run(main)
