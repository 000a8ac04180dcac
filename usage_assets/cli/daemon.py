"""A backfill by the daemon, submitted over the webserver's GraphQL: the UI shows it, and it outlives this command."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usage_assets.cli.console import console, errors
from usage_assets.cli.outcome import Outcome
from usage_assets.cli.progress import Display
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.core.months import PARTITION, RANGE_END, RANGE_START, Window
from usage_assets.kinds import KINDS
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.run_faults import UNKNOWN, Failure, failures_in, messages_of, why
from usage_assets.reports.exports.tables import EXPORTS
from usage_assets.sites.base import Site

DEFAULT_URL = "http://127.0.0.1:3000"
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
    ... on LogMessageEvent { message level } ... on ExecutionStepStartEvent { stepKey }
    ... on ExecutionStepFailureEvent { stepKey failureMetadata { description } error { ...Why cause { ...Why cause {
      ...Why cause { ...Why cause { ...Why } } } } } }
    ... on AssetCheckEvaluationEvent { evaluation {
      checkName severity description partition success assetKey { path }
      metadataEntries { label ... on JsonMetadataEntry { jsonString } } } } } } } }
fragment Why on PythonError { message }
"""


class Webserver:
    """The GraphQL interface of a Dagster webserver."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, query: str, seconds: float = 30.0, **variables: object) -> dict[str, Any]:
        """The data of the answer; UsageError where there is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme is the operator's own
            f"{self.url}/graphql", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - as above
                found = json.load(answer)
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            cause = "nothing listens there" if isinstance(reason, ConnectionRefusedError) else reason
            msg = f"the webserver at {self.url} gave no answer ({cause})"
            raise UsageError(msg) from None
        if not isinstance(found, dict) or "data" not in found or found.get("errors"):
            msg = f"the webserver at {self.url} refused the question: {str(found)[:300]}"
            raise UsageError(msg)
        return found["data"]

    def events(self, run_id: str, after: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """Events of a run behind a cursor, and the cursor behind them; none of a run that is not there."""
        events: list[dict[str, Any]] = []
        while True:
            page = self.ask(_EVENTS, id=run_id, after=after)["logsForRun"]
            if page["__typename"] != "EventConnection":
                return events, after
            events += page["events"]
            after = page["cursor"]
            if not page["hasMore"]:
                return events, after


def find_daemon(sites: Mapping[str, Site], windows: Sequence[Window], *, home: Path) -> tuple[Webserver | None, str]:
    """The webserver whose daemon can build the windows; else none, and why, address by address.

    With `USAGE_WEBSERVER_URL` that address alone is tried, and UsageError says why it can't; else that of the last
    `usage-assets ui` of this DAGSTER_HOME, and the default.
    """
    configured = settings.webserver_url()
    keys = _keys_by_kind(sites, windows)
    reasons = []
    urls = [configured] if configured else [settings.last_ui().get("ui") or DEFAULT_URL, DEFAULT_URL]
    for url in dict.fromkeys(urls):
        server = Webserver(url)
        reason = _why_not(server, None if configured else home, keys)
        if reason is None:
            return server, ""
        reasons.append(reason)
    if configured:
        msg = f"{reasons[0]}; unset USAGE_WEBSERVER_URL, or give --in-process"
        raise UsageError(msg)
    return None, "; ".join(reasons)


def _keys_by_kind(sites: Mapping[str, Site], windows: Sequence[Window]) -> dict[str, list[list[str]]]:
    return {kind: _asset_keys(kind) for kind in dict.fromkeys(sites[window.site].kind for window in windows)}


def submit(server: Webserver, sites: Mapping[str, Site], windows: Sequence[Window], tags: Mapping[str, str]) -> Outcome:
    """Submit the backfill to the daemon behind a webserver, and follow it to its end."""
    outcome = Outcome()
    for kind, paths in _keys_by_kind(sites, windows).items():
        own = [window for window in windows if sites[window.site].kind == kind]
        params = {
            "assetSelection": [{"path": path} for path in paths],
            "partitionNames": [str(key) for window in own for key in partition_keys(window)],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
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
    keys = [("raw", table.name) for table in found.raw_tables]
    keys += [(asset.stage, asset.name) for asset in (*found.facts, *found.tables)]
    keys += [("timelines", "usage"), ("timelines", "usage_steps")]
    keys += [("reports", name) for name in (*(plot.name for plot in plots_of(found)), *EXPORTS)]
    return [[kind, *key] for key in keys]


def _why_not(server: Webserver, home: Path | None, keys: Mapping[str, list[list[str]]]) -> str | None:
    """Why the daemon of a webserver, of that DAGSTER_HOME if given, can't build these assets; None if it can."""
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
    if home is not None and str(home) not in (instance["info"] or ""):
        return f"the webserver at {server.url} serves another DAGSTER_HOME"
    return None


def _follow(server: Webserver, backfill: str, outcome: Outcome) -> None:
    """Show the backfill's progress until it ends; an interrupt leaves it to the daemon."""
    page = f"{server.url}/runs/b/{backfill}"
    console.print(f"the daemon builds: {page}")
    log = _RunLog(server)
    try:
        with Display() as display:
            while True:
                found = server.ask(_LOOK, id=backfill)["partitionBackfillOrError"]
                if found["__typename"] != "PartitionBackfill":
                    msg = f"backfill {backfill}: {found.get('message', found['__typename'])}"
                    raise UsageError(msg)
                if found["status"] in _ENDED:
                    break
                for line in log.warnings(found["runs"]):
                    errors.print(line)
                display.show("daemon", log.latest, _part(found))
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        outcome.interrupted = True
        outcome.interruption = f"interrupted: the backfill goes on in the daemon; cancel it at {page}"
        return
    _collect(server, found, outcome)


def _part(found: Mapping[str, Any]) -> float:
    """The part of a backfill's assets and months that is done, 0 to 1."""
    counts = (found["assetBackfillData"] or {}).get("assetBackfillStatuses") or []
    total = sum(one.get("numPartitionsTargeted", 0) for one in counts)
    done = sum(one.get("numPartitionsMaterialized", 0) + one.get("numPartitionsFailed", 0) for one in counts)
    return done / total if total else 0.0


@dataclass
class _RunLog:
    """The log of the runs under way; `latest` is its last message."""

    server: Webserver
    latest: str = "waiting for the daemon (it looks every 30 s)"
    _cursors: dict[str, str | None] = field(default_factory=dict)

    def warnings(self, runs: Sequence[Mapping[str, Any]]) -> list[str]:
        """New warnings of runs under way, such as what they wait for."""
        under_way = [run for run in runs if run["status"] == "STARTED"]
        if runs and not under_way:
            self.latest = f"waiting for one of {len(runs)} run(s) to start"
        out = []
        for run in under_way:
            label = f"run {run['id'][:8]}"
            if run["id"] not in self._cursors:
                self.latest = label
            events, self._cursors[run["id"]] = self.server.events(run["id"], self._cursors.get(run["id"]))
            for event in events:
                if event["__typename"] == "ExecutionStepStartEvent":
                    self.latest = f"{label}: {event['stepKey']}"
                elif event["__typename"] == "LogMessageEvent" and event["level"] in {"INFO", "WARNING", "ERROR"}:
                    self.latest = f"{label}: {event['message'][:60]}"
                    if event["level"] != "INFO":
                        out.append(f"{label}: {event['message']}")
        return out


def _collect(server: Webserver, found: Mapping[str, Any], outcome: Outcome) -> None:
    """Add what a finished backfill's runs and checks reported to the outcome."""
    outcome.runs += len(found["runs"])
    is_explained = False
    for run in found["runs"]:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        span = [tags[name] for name in (RANGE_START, RANGE_END, PARTITION) if name in tags]
        where = f"run {run['id'][:8]} of {' to '.join(span)}" if span else f"run {run['id'][:8]}"
        status = run["status"].lower()
        for event in server.events(run["id"])[0]:
            if event["__typename"] == "ExecutionStepFailureEvent":
                text = (event["failureMetadata"] or {}).get("description")
                status = f"{event['stepKey']}: {why(text, [*messages_of(event['error'])]) or UNKNOWN}"
            elif event["__typename"] == "AssetCheckEvaluationEvent" and not event["evaluation"]["success"]:
                outcome.checks += _failures(event["evaluation"], span[0] if span else "")
        if run["status"] != "SUCCESS":
            is_explained = True
            outcome.failed.append(f"{where}: {status}")
    if found["status"] in {"FAILED", "CANCELED", "COMPLETED_FAILED"} and not is_explained:
        outcome.failed.append(f"backfill {found['status'].lower()}: {(found['error'] or {}).get('message', '')}")


def _failures(found: Mapping[str, Any], key: str) -> list[Failure]:
    """Failures by month of a failed evaluation in a run whose first partition key is given."""
    asset, text = "/".join(found["assetKey"]["path"]), found["description"] or "failed"
    failure = Failure(found["severity"], text, asset, found["checkName"], key.partition("|")[2])
    metadata = {entry["label"]: entry["jsonString"] for entry in found["metadataEntries"] if "jsonString" in entry}
    return failures_in(failure, found["partition"], metadata)
