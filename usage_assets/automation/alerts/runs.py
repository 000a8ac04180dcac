"""What finished runs say: the verdicts of their checks, and whether the run itself failed.

Run-failure sensors never see a failed non-blocking check (dagster#29896), so the events of a run are read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from usage_assets.automation.alerts.causes import ERROR, RUN, Cause, Trouble, Verdict, sample, sentence
from usage_assets.partitions import site_month, window_of_tags

SITE_TAG = "usage/site"
_NO_SAMPLE = {"site", "month", "failing", "failing_months", "months", "details", "passing", "figures"}


@dataclass(frozen=True)
class Failure:
    """A failed check of a run, or the failed run."""

    severity: str
    text: str
    asset: str = ""
    check: str | None = None
    """The check; None where the run itself failed."""


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Failure]:
    """The failed checks of a run, one per evaluation, and the run itself if it failed."""
    out = [
        Failure(
            found.severity.value,
            sentence(found.description or "failed"),
            asset=found.asset_key.to_user_string(),
            check=found.check_name,
        )
        for found in _evaluations(instance, run)
        if not found.passed
    ]
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


def why_failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed: the failure of its step, else of the run."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run.run_id, of_type=kind):
            event = entry.dagster_event
            if event is None:
                continue
            data = event.event_specific_data
            error = getattr(data, "error", None)
            failure = getattr(getattr(data, "user_failure_data", None), "description", None)
            text = failure or (error.message if error else None) or event.message
            if text and text.strip():
                return sentence(f"{event.step_key}: {text}" if event.step_key else text)
    return "it failed without a word; look at its log"


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
    if not found.passed:
        for where, month, text, example in _failing(found, site, months):
            cause = Cause(where, asset, check, month)
            troubles[cause] = Trouble(cause, found.severity.value, sentence(text), run.run_id, example)
    return Verdict(asset, check, site or None, months or None, troubles, run.run_id)


def _failing(found: Any, site: str, months: frozenset[str]) -> Iterator[tuple[str, str, str, str]]:
    """Site, month, sentence and example of each month that a failed evaluation names."""
    metadata = {name: getattr(value, "value", None) for name, value in (found.metadata or {}).items()}
    text = found.description or "failed"
    named = [entry for entry in _entries(metadata.get("failing")) if isinstance(entry.get("month"), str)]
    if found.partition is not None or not named:
        month = next(iter(months)) if found.partition is not None else ""
        yield site, month, text, _example(metadata)
        return
    figures = {entry.get("month"): entry for entry in _entries(metadata.get("figures"))}
    for entry in named:
        month = entry["month"]
        yield str(entry.get("site") or site), month, str(entry.get("text") or text), _example(figures.get(month, {}))


def _entries(value: object) -> list[Mapping[str, Any]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _example(figures: Mapping[str, Any]) -> str:
    """The figures of a finding on one line."""
    said = {
        name: value
        for name, value in figures.items()
        if name not in _NO_SAMPLE and isinstance(value, (str, int, float)) and value != ""
    }
    return sample(", ".join(f"{name} {value}" for name, value in said.items()))
