"""A backfill in this process: one Dagster run per site and two years, which the UI shows like any other.

The runs are in a thread of their own, so that an interrupt never strikes inside a database call (DuckDB may then keep
its file open for ever). It marks the run as canceled and ends the process at once: stored data is consistent, as after
a kill.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import groupby
from typing import Any

import dagster as dg

from usage_assets.cli.console import console, errors
from usage_assets.cli.home import make_home
from usage_assets.cli.instance import command_instance
from usage_assets.cli.outcome import Outcome
from usage_assets.cli.progress import Progress
from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.kinds.site_files import load_book
from usage_assets.orchestration.failed_runs import failures_of
from usage_assets.orchestration.orphaned_runs import process_tag, report_dead_runs
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.publish_sensor import JOB as PUBLISH
from usage_assets.sites.base import Site

_LOGGER = "progress"
DATA, REPORTS = ("raw", "facts", "timelines"), "reports"


def build(sites: Mapping[str, Site], windows: Sequence[Window], tags: Mapping[str, str]) -> Outcome:
    """Materialize the windows one after another; a failed run does not keep the others from running."""
    outcome = Outcome()
    home = make_home()  # two commands on a new machine may start at once
    runs = runs_of(windows)
    with command_instance(home) as instance, Progress(runs) as progress:
        for run_id in report_dead_runs(instance):
            errors.print(f"run {run_id[:8]} of a killed process was reported as failed")
        every = load_book()  # also the sites that are not built now: checks and plots cover all of them
        defs = build_defs(
            every if set(sites) <= set(every) else sites, automation=False, loggers={_LOGGER: progress.logger}
        )
        for window, stages in runs:
            job = defs.resolve_job_def(sites[window.site].kind)
            assets = [key for key in job.asset_layer.selected_asset_keys if key.path[1] in stages]
            progress.begin(window, stages, assets)
            _run(job, instance, window, outcome, progress, assets=assets, tags=tags)
            if outcome.interrupted:
                break
        if not outcome.interrupted:
            progress.finish("publishing for readers")
            _publish(instance, defs, outcome, progress)
    return outcome


def _publish(instance: dg.DagsterInstance, defs: dg.Definitions, outcome: Outcome, progress: Progress) -> None:
    """Publish what was built; its checks cover months that were not asked for, so they do not set the exit code."""
    run = _execute(defs.resolve_job_def(PUBLISH), instance, {"usage/trigger": "command"}, outcome, progress)
    if run is not None:
        outcome.failed += [f"publishing: {found.text}" for found in failures_of(instance, run) if found.check is None]


def runs_of(windows: Sequence[Window]) -> list[tuple[Window, tuple[str, ...]]]:
    """The runs and their stages: each window's data, and once per site the reports of all its months.

    A browser starts once, and a history of ten years is drawn once and not eleven times.
    """
    runs: list[tuple[Window, tuple[str, ...]]] = []
    for site, group in groupby(windows, key=lambda window: window.site):
        own = list(group)
        if len(own) == 1:
            runs.append((own[0], (*DATA, REPORTS)))
            continue
        runs += [(window, DATA) for window in own]
        runs.append((Window(site, tuple(month for window in own for month in window.months)), (REPORTS,)))
    return runs


def _run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    window: Window,
    outcome: Outcome,
    progress: Progress,
    *,
    assets: Sequence[dg.AssetKey],
    tags: Mapping[str, str],
) -> None:
    keys = [str(key) for key in partition_keys(window)]
    own = {RANGE_START: keys[0], RANGE_END: keys[-1], "usage/site": window.site}
    began = time.monotonic()
    run = _execute(job, instance, {**tags, **own}, outcome, progress, asset_selection=list(assets))
    outcome.runs += 1
    if run is None:
        return
    seconds = time.monotonic() - began
    label = f"{window} plots" if all(key.path[1] == REPORTS for key in assets) else str(window)
    ended = "done" if run.status == dg.DagsterRunStatus.SUCCESS else "failed"
    console.print(f"{label}: {ended} in {seconds:.1f} s (run {run.run_id[:8]})")
    for failure in failures_of(instance, run):
        if failure.check is None:
            outcome.failed.append(f"{window}: {failure.text}")
        else:
            outcome.checks.append(failure)


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str],
    outcome: Outcome,
    progress: Progress,
    **more: Any,
) -> dg.DagsterRun | None:
    """One run in a thread of its own, to its end; None where the command was interrupted meanwhile."""
    run_id = str(uuid.uuid4())
    work = ThreadPoolExecutor(max_workers=1).submit(
        job.execute_in_process,
        instance=instance,
        run_id=run_id,
        tags=dict(tags) | process_tag(run_id),
        run_config={"loggers": {_LOGGER: {}}},
        raise_on_error=False,
        **more,
    )
    try:
        while not work.done():  # the signal may reach another thread: look up now and then
            wait([work], timeout=0.2)
            progress.tick()
        work.result()
    except KeyboardInterrupt:
        outcome.interrupted = True
    run = instance.get_run_by_id(run_id)
    if outcome.interrupted:
        if run is not None:
            instance.report_run_canceled(run, "Interrupted at the command line; stored data is consistent.")
        return None
    assert run is not None
    return run
