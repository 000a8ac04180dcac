"""What tests of alerts share: runs that fail on demand, an instance, receivers on loopback, ticks at chosen times."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import pytest

from usage_assets.alerts.state import State
from usage_assets.core import settings
from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.orchestration import alert_sensor
from usage_assets.orchestration.alert_sensor import Ticked
from usage_assets.orchestration.missed import Nightly
from usage_assets.orchestration.partitions import partition_key, partitions

NOW = datetime.now(tz=UTC)
KEY = dg.AssetKey(["k", "raw", "thing"])


@dg.asset(
    key=KEY,
    partitions_def=partitions(["a", "b"]),
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("holds", asset=KEY)],
    config_schema={
        "failing": dg.Noneable([dg.Permissive({})]),
        "notices": [dg.Permissive({})],
        "raises": str,
        "severity": str,
        "text": str,
    },
)
def thing(context: dg.AssetExecutionContext):
    config = context.op_execution_context.op_config
    if config["raises"]:
        raise dg.Failure(description=config["raises"], allow_retries=False)
    failing = config["failing"] or []
    yield dg.MaterializeResult(asset_key=KEY)
    yield dg.AssetCheckResult(
        asset_key=KEY,
        check_name="holds",
        passed=not failing,
        severity=dg.AssetCheckSeverity[config["severity"]],
        description=config["text"],
        metadata={"failing": dg.MetadataValue.json(failing), "notices": dg.MetadataValue.json(config["notices"])},
    )


_job = dg.Definitions(assets=[thing]).resolve_implicit_global_asset_job_def()


@dataclass
class World:
    """An instance, and ticks of the alerts over it."""

    instance: dg.DagsterInstance
    nightlies: list[Nightly] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def run(
        self,
        *failing: str,
        site: str = "a",
        first: str = "2020-01",
        last: str = "2020-03",
        severity: str = "ERROR",
        text: str = "too few rows",
        raises: str = "",
        notices: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """A run over months; those of `failing` fail its check. Its id."""
        start, end = (str(partition_key(site, datetime.fromisoformat(f"{at}-01").date())) for at in (first, last))
        entries = [{"month": month, "text": text} for month in failing]
        told = [{"month": first, "id": key, "text": sentence} for key, sentence in notices.items()]
        config = {
            "failing": entries,
            "notices": told,
            "raises": raises,
            "severity": severity,
            "text": f"site {site}: {text}",
        }
        return _job.execute_in_process(
            instance=self.instance,
            tags={RANGE_START: start, RANGE_END: end, "usage/site": site},
            run_config={"ops": {"k__raw__thing": {"config": config}}},
            raise_on_error=False,
        ).run_id

    def tick(self, after: timedelta = timedelta()) -> Ticked:
        """One tick, so long after now."""
        return alert_sensor.tick(
            self.instance, settings.alerts_state(), self.nightlies, lambda: self.faults, NOW + after
        )

    def state(self) -> State:
        """What alerts remember."""
        return State(settings.alerts_state())


@pytest.fixture
def world() -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(instance)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write alerts.yaml with these channels and options."""

    def write(*channels: dict[str, Any], **options: Any) -> Path:
        path = tmp_path / "alerts.yaml"
        path.write_text(json.dumps({"channels": list(channels), **options}), encoding="utf-8")
        monkeypatch.setenv("USAGE_ALERTS", str(path))
        return path

    return write


@dataclass
class Receiver:
    """A web server that keeps what it gets and answers as told."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Answers to come, 204 after the last."""

    @property
    def subjects(self) -> list[str]:
        return [body["subject"] for body in self.bodies]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            got.paths.append(self.path)
            got.headers.append(dict(self.headers))
            answer = got.answers.pop(0) if got.answers else 204
            if answer < 300 and body:
                got.bodies.append(json.loads(body))
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", f"{got.url}/elsewhere")
            self.end_headers()

        def do_GET(self):
            self.do_POST()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got = Receiver(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield got
        server.shutdown()


@pytest.fixture
def hook(receiver: Receiver, configure: Callable[..., Path]) -> Receiver:
    """The receiver as the one channel, which takes warnings too."""
    configure({"kind": "webhook", "url": receiver.url, "warnings": True})
    return receiver
