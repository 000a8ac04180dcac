"""The sensor `alerts`: a look, then what is to be told in one transaction, then the delivery of every outbox."""

import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from usage_assets.alerts.causes import ERROR, FILE, NIGHTLY, Cause, Trouble
from usage_assets.alerts.channels import Channel
from usage_assets.alerts.channels.web import request
from usage_assets.alerts.config import Alerts, load
from usage_assets.alerts.ledger import Ledger
from usage_assets.alerts.message import Message
from usage_assets.alerts.sent_mail import LETTERS, Sent
from usage_assets.alerts.state import Health, State
from usage_assets.core import clock, settings
from usage_assets.core.errors import AlertError, UsageError, WarehouseError
from usage_assets.core.locks import file_lock
from usage_assets.orchestration.alert_collection import (
    Faults,
    look_at_files,
    look_at_mails,
    look_at_nightlies,
    look_at_runs,
)
from usage_assets.orchestration.missed import Nightly

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 30.0, 3600.0
_ITEMS = 10_000
"""Items that one message tells of; what waits beyond them is told by the next."""
_DELIVERY_SECONDS = 30.0
"""After so long a tick begins no further delivery: Dagster gives it a minute."""
_HEARTBEAT_SECONDS = 300.0
_HEARTBEAT = "heartbeat_at"
_log = logging.getLogger("usage_assets.alerts")


@dataclass(frozen=True)
class Ticked:
    """What a tick did."""

    changes: int
    delivered: int
    waiting: tuple[str, ...]
    """Channels that are left alone for a while after a failure."""

    def __str__(self) -> str:
        rest = f"; waiting for another try: {', '.join(self.waiting)}" if self.waiting else ""
        return f"{self.changes} new, {self.delivered} delivered{rest}"


def alert_sensor(nightlies: Sequence[Nightly], faults: Faults) -> dg.SensorDefinition:
    """The sensor: every 30 s, on unless stopped in the UI."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends alerts for failed checks, failed runs, missed nightlies and broken files, once per cause "
        "and again when it changes or recovers, by the channels of alerts.yaml (without it: the log).",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        path = settings.alerts_state()
        try:
            with file_lock(path.with_name(".alerts.lock"), "a tick of the alerts", wait_seconds=1.0):
                return dg.SkipReason(str(tick(context.instance, path, nightlies, faults, clock.utc_now())))
        except WarehouseError as error:
            return dg.SkipReason(f"another tick is under way ({error})")

    return alerts


def tick(
    instance: dg.DagsterInstance, path: Path, nightlies: Sequence[Nightly], faults: Faults, now: datetime
) -> Ticked:
    """One tick; AlertError, after every channel was tried, names those that did not take what waits for them."""
    try:
        config, config_fault = load(), None
    except UsageError as error:
        config, config_fault = Alerts(), str(error)
    state = State(path)
    try:
        with state.transaction():
            configured = {channel.name: channel.warnings for channel in config.channels}
            # a file that is broken for a while must not cost the other channels what waits for them
            state.set_channels(configured if config_fault is None else state.channels() | configured)
            changes = _collect(instance, state, nightlies, faults, now=now, config=config, config_fault=config_fault)
        delivered, waiting, errors = _deliver(state, config.channels, now)
        if config.heartbeat is not None and not errors and not waiting:
            _beat(state, config.heartbeat.url, now)
    finally:
        state.close()
    if errors:
        raise AlertError("; ".join(errors))
    return Ticked(changes, delivered, tuple(waiting))


def _collect(
    instance: dg.DagsterInstance,
    state: State,
    nightlies: Sequence[Nightly],
    faults: Faults,
    *,
    now: datetime,
    config: Alerts,
    config_fault: str | None,
) -> int:
    ledger = Ledger(state)
    if state.began_anew is not None:
        text = f"could not be read and was put aside as {state.began_anew}: what was told before may be told again"
        ledger.notice(Trouble(Cause("", "alerts.db", FILE), ERROR, text))
    broken = faults()
    look_at_runs(instance, state, ledger, now, unseen=broken.keys())
    look_at_nightlies(instance, state, ledger, nightlies, now=now, grace=timedelta(hours=config.nightly_grace_hours))
    files = {} if config_fault is None else {"alerts.yaml": f"alerts go to the log only: {config_fault}"}
    sent = Sent.here()
    try:
        look_at_mails(state, ledger, sent.failures())
    except sqlite3.Error as error:
        files[LETTERS] = f"no report is mailed: {sent.unusable(error)}"
    look_at_files(state, ledger, broken, files)
    return ledger.settle(now.timestamp())


def _deliver(state: State, channels: Iterable[Channel], now: datetime) -> tuple[int, list[str], list[str]]:
    """How many items were taken, the channels left alone for now, and the faults of the others."""
    at = now.timestamp()
    deadline = time.monotonic() + _DELIVERY_SECONDS
    delivered, waiting, errors = 0, [], []
    for channel in sorted(channels, key=lambda one: state.health(one.name).next_at):
        items = state.waiting(channel.name, _ITEMS)
        if not items:
            continue
        health = state.health(channel.name)
        # a time further off than any wait was written by a clock that has been set back since
        if at < health.next_at <= at + LONGEST_WAIT_SECONDS or time.monotonic() > deadline:
            waiting.append(channel.name)
            continue
        try:
            channel.send(Message.of([*items.values()], now))
        except Exception as error:  # one channel's fault must not keep the others from being tried
            wait = min(FIRST_WAIT_SECONDS * 2 ** min(health.failures, 20), LONGEST_WAIT_SECONDS)
            with state.transaction():
                state.set_health(channel.name, Health(health.failures + 1, at + wait))
            # of an error that is not ours only the name is said: its text may hold an address with a token
            said = str(error) if isinstance(error, UsageError) else f"channel {channel.name}: {type(error).__name__}"
            errors.append(f"{said}; {len(items)} item(s) are kept, next try in {wait:.0f} s")
            continue
        with state.transaction():
            state.taken(items)
            state.set_health(channel.name, Health(0, 0.0))
        delivered += len(items)
    return delivered, waiting, errors


def _beat(state: State, url: str, now: datetime) -> None:
    """Ask the heartbeat's address, at most every five minutes, as long as no nightly is overdue."""
    at = now.timestamp()
    last = float(state.value(_HEARTBEAT) or 0.0)
    if state.causes_of(NIGHTLY) or last <= at < last + _HEARTBEAT_SECONDS:
        return
    try:
        request(url, where="heartbeat")
    except AlertError as error:
        _log.warning("%s", error)  # whoever waits for it raises the alarm
        return
    with state.transaction():
        state.remember(_HEARTBEAT, str(at))
