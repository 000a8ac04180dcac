"""A backfill by the daemon, submitted over the webserver's GraphQL: the UI shows it, and it outlives this command."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from usage_assets.cli.app import console, errors
from usage_assets.cli.backfill import BadCheck, Outcome
from usage_assets.errors import UsageError
from usage_assets.kinds import KINDS
from usage_assets.partitions import PARTITION, RANGE_END, RANGE_START, Window
from usage_assets.reports.exports.tables import EXPORTS
from usage_assets.sites import Site

DEFAULT_URL = "http://127.0.0.1:3000"
PURGE_TAG, MISSING_TAG = "usage/purge_known", "usage/allow_missing"
_POLL_SECONDS = 2.0
_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}

_HELLO = '{ instance { info daemonHealth { daemonStatus(daemonType: "BACKFILL") { healthy } } } }'
_KNOWN = "query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { assetKey { path } } }"
_LAUNCH = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  ... on PartitionKeysNotFoundError { partitionKeys } ... on UnauthorizedError { message } } }
"""
_LOOK = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PythonError { message }
  ... on PartitionBackfill { status error { message } runs(limit: 500) { id status tags { key value } }
    assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts {
      numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed } } } } } }
"""
_EVENTS = """
query($id: ID!, $after: String) { logsForRun(runId: $id, afterCursor: $after, limit: 1000) { __typename
  ... on EventConnection { cursor hasMore events { __typename
    ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } }
    ... on AssetCheckEvaluationEvent { evaluation {
      checkName severity description partition success assetKey { path } } } } } } }
"""


class Webserver:
    """A Dagster webserver's GraphQL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, query: str, seconds: float = 30.0, **variables: object) -> dict[str, Any]:
        """The data of an answer; UsageError when it is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme is the operator's own
            f"{self.url}/graphql", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - as above
                found = json.load(answer)
        except (OSError, ValueError) as error:
            msg = f"the webserver at {self.url} gave no answer ({error})"
            raise UsageError(msg) from None
        if not isinstance(found, dict) or "data" not in found or found.get("errors"):
            msg = f"the webserver at {self.url} refused the question: {str(found)[:300]}"
            raise UsageError(msg)
        return found["data"]


def submit(
    sites: Mapping[str, Site],
    windows: Sequence[Window],
    *,
    home: Path,
    purge_known: bool,
    allow_missing: bool = False,
) -> Outcome | None:
    """Submit and follow the backfill; None where no daemon of this installation is running."""
    named = os.environ.get("USAGE_WEBSERVER_URL")
    server = Webserver(named or DEFAULT_URL)
    kinds: set[str] = {sites[window.site].kind for window in windows}
    keys = {kind: _asset_keys(kind) for kind in kinds}
    reason = _why_not(server, home, keys)
    if reason:
        if named:
            msg = f"{reason}; unset USAGE_WEBSERVER_URL, or give --in-process"
            raise UsageError(msg)
        return None
    outcome = Outcome()
    for kind, paths in keys.items():
        own = [window for window in windows if sites[window.site].kind == kind]
        tags = [{"key": "usage/trigger", "value": "command"}]
        said = {PURGE_TAG: purge_known, MISSING_TAG: allow_missing}
        tags += [{"key": tag, "value": "true"} for tag, so in said.items() if so]
        params = {
            "assetSelection": [{"path": path} for path in paths],
            "partitionNames": [str(key) for window in own for key in window.keys],
            "tags": tags,
            "title": f"usage-assets backfill {', '.join(sorted({window.site for window in own}))}",
        }
        launched = server.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            msg = f"the webserver refused the backfill: {launched}"
            raise UsageError(msg)
        _follow(server, launched["backfillId"], outcome)
    return outcome


def _asset_keys(kind: str) -> list[list[str]]:
    from usage_assets.reports.plots import plots_of  # loads what draws, which other commands do without

    found = KINDS[kind]
    names = {
        "raw": [table.name for table in found.raw_tables],
        "facts": [fact.name for fact in found.facts],
        "timelines": ["usage", "usage_steps"],
        "reports": [*(plot.name for plot in plots_of(found)), *EXPORTS],
    }
    for table in found.tables:
        names.setdefault(table.stage, []).append(table.name)
    return [[kind, stage, name] for stage, tables in names.items() for name in tables]


def _why_not(server: Webserver, home: Path, keys: Mapping[str, list[list[str]]]) -> str | None:
    """Why the daemon behind a webserver can't do it; None when it can."""
    try:
        instance = server.ask(_HELLO, seconds=3.0)["instance"]
        wanted = [path for paths in keys.values() for path in paths]
        known = server.ask(_KNOWN, keys=[{"path": path} for path in wanted])["assetNodes"]
    except UsageError as error:
        return str(error)
    if not (instance["daemonHealth"]["daemonStatus"] or {}).get("healthy"):
        return f"the webserver at {server.url} has no running daemon"
    if len(known) < len(wanted):
        return f"the webserver at {server.url} does not know the assets of this project"
    if not os.environ.get("USAGE_WEBSERVER_URL") and str(home) not in (instance["info"] or ""):
        return f"the webserver at {server.url} serves another DAGSTER_HOME"
    return None


def _follow(server: Webserver, backfill: str, outcome: Outcome) -> None:
    """Show the backfill's progress until it ends; an interrupt leaves it to the daemon."""
    console.print(f"submitted to the daemon: {server.url}/runs/b/{backfill}", markup=False)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=errors, transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    try:
        with bar:
            task = bar.add_task("waiting for the daemon (it looks every 30 s)", total=None)
            while True:
                found = server.ask(_LOOK, id=backfill)["partitionBackfillOrError"]
                if found["__typename"] != "PartitionBackfill":
                    msg = f"backfill {backfill}: {found.get('message', found['__typename'])}"
                    raise UsageError(msg)
                counts = (found["assetBackfillData"] or {}).get("assetBackfillStatuses") or []
                total = sum(one.get("numPartitionsTargeted", 0) for one in counts)
                done = sum(
                    one.get("numPartitionsMaterialized", 0) + one.get("numPartitionsFailed", 0) for one in counts
                )
                if found["runs"]:
                    bar.update(task, description="daemon", total=total or None, completed=done)
                if found["status"] in _ENDED:
                    break
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        errors.print(f"the backfill goes on in the daemon; cancel it at {server.url}/runs/b/{backfill}", markup=False)
        outcome.interrupted = True
        return
    _collect(server, found, outcome)


def _collect(server: Webserver, found: Mapping[str, Any], outcome: Outcome) -> None:
    outcome.runs += len(found["runs"])
    told = False
    for run in found["runs"]:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        span = [tags[name] for name in (RANGE_START, RANGE_END, PARTITION) if name in tags]
        where = f"run {run['id'][:8]} of {' to '.join(span)}" if span else f"run {run['id'][:8]}"
        why = run["status"].lower()
        for event in _events(server, run["id"]):
            if event["__typename"] == "ExecutionStepFailureEvent":
                text = (
                    (event["failureMetadata"] or {}).get("description") or (event["error"] or {}).get("message") or ""
                )
                why = f"{event['stepKey']}: {text.strip()}"
            elif event["__typename"] == "AssetCheckEvaluationEvent" and not event["evaluation"]["success"]:
                one = event["evaluation"]
                outcome.checks.append(
                    BadCheck(
                        "/".join(one["assetKey"]["path"]),
                        one["checkName"],
                        one["severity"],
                        one["description"] or "failed",
                    )
                )
        if run["status"] != "SUCCESS":
            told = True
            outcome.failed.append(f"{where}: {why}")
    if found["status"] in {"FAILED", "CANCELED", "COMPLETED_FAILED"} and not told:
        outcome.failed.append(f"backfill {found['status'].lower()}: {(found['error'] or {}).get('message', '')}")


def _events(server: Webserver, run_id: str) -> Iterator[dict[str, Any]]:
    after = None
    while True:
        page = server.ask(_EVENTS, id=run_id, after=after)["logsForRun"]
        if page["__typename"] != "EventConnection":
            return
        yield from page["events"]
        if not page["hasMore"]:
            return
        after = page["cursor"]
