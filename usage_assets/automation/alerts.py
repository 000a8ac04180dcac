"""Alerts: every failed asset check and every failed run is reported at least once.

Run-failure sensors never see a failed non-blocking check (dagster#29896), so a sensor reads events of finished runs:
`new_failures` collects them and moves no state, then the channel sends, and only then the cursor moves. Each
channel has its own sensor and cursor, so one that fails repeats only itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from usage_assets.automation.channels import Channel, channels

_PAGE = 50
"""Runs looked at per tick."""
_OVERLAP = timedelta(minutes=2)
"""How far behind its newest run a cursor looks again: a run may be stored a moment after one that ended later."""
_FIRST_LOOK = timedelta(days=1)
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_TEXT = 400


@dataclass(frozen=True)
class Failure:
    """A failed check or a failed run."""

    run_id: str
    site: str
    severity: str
    text: str
    asset: str = ""
    check: str | None = None
    """The check; None where the run itself failed."""
    partition: str | None = None

    @property
    def what(self) -> str:
        """What failed, in a few words."""
        if self.check is None:
            return f"run of {self.asset}"
        return f"{self.asset} {self.check}" + (f" {self.partition}" if self.partition else "")


@dataclass(frozen=True)
class Cursor:
    """Up to when runs were reported, and which of the last ones, by id, so that nothing repeats."""

    after: datetime
    seen: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None, now: datetime) -> "Cursor":
        """The stored cursor; a new sensor begins a day back."""
        if not text:
            return cls(now - _FIRST_LOOK)
        stored = json.loads(text)
        return cls(datetime.fromisoformat(stored["after"]), stored["seen"])

    def dump(self) -> str:
        """The text that is stored."""
        return json.dumps({"after": self.after.isoformat(), "seen": self.seen})

    def moved(self, records: list[dg.RunRecord]) -> "Cursor":
        """The cursor after these runs, which are in order."""
        if not records:
            return self
        after = max(self.after, _utc(records[-1].update_timestamp))
        seen = dict(self.seen) | {
            record.dagster_run.run_id: _utc(record.update_timestamp).timestamp() for record in records
        }
        oldest = (after - _OVERLAP).timestamp()
        return Cursor(after, {run_id: at for run_id, at in seen.items() if at >= oldest})


def new_failures(instance: dg.DagsterInstance, cursor: Cursor) -> tuple[list[Failure], Cursor]:
    """The failures of the runs that finished since the cursor, oldest first, and the cursor after them."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_FINISHED, updated_after=cursor.after - _OVERLAP),
        limit=_PAGE + len(cursor.seen),
        order_by="update_timestamp",
        ascending=True,
    )
    new = [record for record in records if record.dagster_run.run_id not in cursor.seen][:_PAGE]
    failures = [failure for record in new for failure in failures_of(instance, record.dagster_run)]
    return failures, cursor.moved(new)


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Failure]:
    """The failed checks of a run, and the run itself if it failed."""
    site = run.tags.get("usage/site") or run.tags.get("dagster/asset_partition_range_start", "").rpartition("|")[2]
    out = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        event = entry.dagster_event
        if event is None:
            continue
        found = event.asset_check_evaluation_data
        if not found.passed:
            out.append(
                Failure(
                    run.run_id,
                    site,
                    found.severity.value,
                    (found.description or "failed")[:_TEXT],
                    asset=found.asset_key.to_user_string(),
                    check=found.check_name,
                    partition=found.partition,
                )
            )
    if run.status == dg.DagsterRunStatus.FAILURE:
        out.append(Failure(run.run_id, site, "ERROR", _cause(instance, run)[:_TEXT], asset=run.job_name))
    return out


def _cause(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
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
            if text:
                return f"{event.step_key}: {text.strip()}" if event.step_key else text.strip()
    return "it failed without a word; look at its log"


def alert_sensors(found: Mapping[str, Channel] | None = None) -> list[dg.SensorDefinition]:
    """One sensor per channel that the environment configures; the log is always one."""
    return [_sensor(name, send) for name, send in (channels() if found is None else found).items()]


def _sensor(name: str, send: Callable[[list[Failure], str], None]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"alerts_{name}",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reports every failed asset check and failed run at least once, by {name}.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        cursor = Cursor.parse(context.cursor, datetime.now(tz=UTC))
        failures, after = new_failures(context.instance, cursor)
        if failures:
            send(failures, message(failures))  # what is raised here keeps the cursor: tried again at the next tick
        context.update_cursor(after.dump())
        return dg.SkipReason(f"reported {len(failures)} failure(s)" if failures else "nothing failed")

    return alerts


_ENTRIES = 20


def message(failures: list[Failure]) -> str:
    """The text of an alert: errors first, bounded in entries and length."""
    ordered = sorted(failures, key=lambda failure: failure.severity != "ERROR")
    errors = sum(failure.severity == "ERROR" for failure in failures)
    lines = [f"usage_assets: {errors} error(s), {len(failures) - errors} warning(s)"]
    lines += [
        f"- {failure.severity} {failure.what}: {failure.text} (run {failure.run_id[:8]})"
        for failure in ordered[:_ENTRIES]
    ]
    if len(failures) > _ENTRIES:
        lines.append(f"... and {len(failures) - _ENTRIES} more; see the runs in the UI")
    return "\n".join(lines)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
