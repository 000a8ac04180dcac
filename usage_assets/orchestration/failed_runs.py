"""What finished runs say: the verdicts of their checks, and whether the run itself failed.

Run-failure sensors never see a failed non-blocking check (dagster#29896), so the events of a run are read.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from usage_assets.alerts.causes import ERROR, RUN, WARN, Cause, Trouble, Verdict, sentence
from usage_assets.core.months import site_month, window_of_tags
from usage_assets.orchestration.run_faults import Failure, failures_in, why_failed

SITE_TAG = "usage/site"


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Failure]:
    """What failed in a run's own months, one per check and month, and the run itself if it failed."""
    site, _ = _scope(run)
    out = [failure for found in _evaluations(instance, run) for failure in _of_evaluation(found, site)]
    if run.status == dg.DagsterRunStatus.FAILURE:
        out.append(Failure(ERROR, why_failed(instance, run), asset=run.job_name))
    return out


def verdicts_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Verdict]:
    """What a finished run says of every check it evaluated, and of itself; a canceled run is no failure."""
    for found in _evaluations(instance, run):
        yield _verdict(run, found)
    if run.status == dg.DagsterRunStatus.CANCELED:
        return
    site, months = _scope(run)
    # runs of one site's months recover one another whatever job they belong to; others go by their job
    asset = "" if months else run.job_name
    troubles = {}
    if run.status == dg.DagsterRunStatus.FAILURE:
        text = why_failed(instance, run)
        causes = [Cause(site, asset, RUN, month) for month in sorted(months) or [""]]
        troubles = {cause: Trouble(cause, ERROR, text, run.run_id) for cause in causes}
    yield Verdict(asset, RUN, site, months or None, troubles, run.run_id)


def notices_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[tuple[str, Trouble]]:
    """What the checks of a finished run want told once: the id of each, and a warning."""
    site, _ = _scope(run)
    for found in _evaluations(instance, run):
        entries = getattr((found.metadata or {}).get("notices"), "value", None)
        for entry in entries if isinstance(entries, list) else ():
            # the id stands where a check has its name: what is told of one takes the place of no other
            cause = Cause(site, found.asset_key.to_user_string(), f"{found.check_name} {entry['id']}", entry["month"])
            yield entry["id"], Trouble(cause, WARN, sentence(entry["text"]), run.run_id)


def _evaluations(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Any]:
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is not None:
            yield entry.dagster_event.asset_check_evaluation_data


def _scope(run: dg.DagsterRun) -> tuple[str, frozenset[str]]:
    """Site and months of a run; no months where it has no partitions."""
    window = window_of_tags(run.tags)
    if window is None:
        return run.tags.get(SITE_TAG, ""), frozenset()
    return window.site, frozenset(f"{month:%Y-%m}" for month in window.months)


def _verdict(run: dg.DagsterRun, found: Any) -> Verdict:
    """One evaluation: of one month where it has a partition, else of all months of the run, or of everything."""
    asset, check = found.asset_key.to_user_string(), found.check_name
    site, months = _scope(run)
    if found.partition is not None:
        try:
            at, site = site_month(str(found.partition))
            months = frozenset({f"{at:%Y-%m}"})
        except ValueError:
            months = frozenset({str(found.partition)})
    troubles = {}
    for one in _of_evaluation(found, site):
        cause = Cause(one.site, asset, check, one.month)
        troubles[cause] = Trouble(cause, one.severity, one.text, run.run_id, one.sample)
    return Verdict(asset, check, site or None, months or None, troubles, run.run_id)


def _of_evaluation(found: Any, site: str) -> list[Failure]:
    """What a stored evaluation of a run of a site says of months that fail."""
    if found.passed:
        return []
    text = sentence(found.description or "failed")
    said = Failure(found.severity.value, text, found.asset_key.to_user_string(), found.check_name, site)
    metadata = {name: getattr(value, "value", None) for name, value in (found.metadata or {}).items()}
    return failures_in(said, None if found.partition is None else str(found.partition), metadata)
