"""Reported troubles, and outboxes of what is still to be sent: an SQLite file, changed in one transaction per tick.

runs       the last runs by storage id, each with whether it was read; those not read are not finished yet
causes     troubles that were reported and have not recovered
outbox     per channel the items that it has not taken yet, at most one per cause: the newest
channels   the channels known, their failures in a row and when they are tried again
nightlies  since when each site has had which schedule
notices    what was told once and is not told again
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from usage_assets.alerts.causes import ERROR, RECOVERED, WARN, Cause, Trouble

_WAIT_SECONDS = 20.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, storage_id INTEGER NOT NULL, is_read INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS causes (
    site TEXT, asset TEXT, what TEXT, month TEXT, severity TEXT NOT NULL, fingerprint TEXT NOT NULL, text TEXT NOT NULL,
    ref TEXT NOT NULL, told_at REAL NOT NULL, PRIMARY KEY (asset, what, site, month));
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, site TEXT NOT NULL, asset TEXT NOT NULL,
    what TEXT NOT NULL, month TEXT NOT NULL, rank INTEGER NOT NULL, item TEXT NOT NULL,
    UNIQUE (channel, asset, what, site, month));
CREATE TABLE IF NOT EXISTS channels (
    name TEXT PRIMARY KEY, warnings INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS nightlies (site TEXT PRIMARY KEY, plan TEXT NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS notices (id TEXT PRIMARY KEY, told_at REAL NOT NULL);
"""
_RANKS = {ERROR: 0, WARN: 1, RECOVERED: 2}
_OF_CAUSE = "(site, asset, what, month) = (?, ?, ?, ?)"


@dataclass(frozen=True)
class Item:
    """A trouble to report, or that one has recovered (`severity` RECOVERED, `was` before)."""

    cause: Cause
    severity: str
    text: str
    ref: str
    sample: str
    at: float
    was: str = ""


@dataclass(frozen=True)
class Health:
    """State of a channel: failures in a row, and when it is tried again (seconds since the epoch)."""

    failures: int
    next_at: float


class State:
    """The open file. Each method is a statement of its own; within `transaction` they are one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.began_anew: str | None = None
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, no room, not permitted: not the file's fault
                raise
            aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
            for suffix in ("", "-journal"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
            self.began_anew = aside.name
            self._db = _open(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a second process waits for its turn."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # meta

    def value(self, name: str) -> str | None:
        """A remembered value."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def remember(self, name: str, value: str) -> None:
        """Remember a value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # runs

    def known_runs(self, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that are remembered."""
        query = "SELECT run_id FROM runs WHERE run_id IN (SELECT value FROM json_each(?))"
        return {row[0] for row in self._db.execute(query, (json.dumps(list(run_ids)),))}

    def add_runs(self, runs: Iterable[tuple[str, int]], *, is_read: bool = False) -> None:
        """Remember runs with their storage ids."""
        query = "INSERT OR IGNORE INTO runs (run_id, storage_id, is_read) VALUES (?, ?, ?)"
        self._db.executemany(query, [(run_id, storage_id, is_read) for run_id, storage_id in runs])

    def unread_runs(self) -> list[str]:
        """Runs that had not finished when last looked at, oldest first."""
        return [row[0] for row in self._db.execute("SELECT run_id FROM runs WHERE NOT is_read ORDER BY storage_id")]

    def run_was_read(self, run_id: str) -> None:
        """Note that a run was read."""
        self._db.execute("UPDATE runs SET is_read = 1 WHERE run_id = ?", (run_id,))

    def run_resists(self, run_id: str) -> int:
        """Count a failed attempt to read a run; how many there were."""
        query = "UPDATE runs SET tries = tries + 1 WHERE run_id = ? RETURNING tries"
        return int(self._db.execute(query, (run_id,)).fetchone()[0])

    def forget_old_runs(self, keep: int) -> None:
        """Keep the newest runs and those not read yet."""
        self._db.execute(
            "DELETE FROM runs WHERE is_read AND storage_id < (SELECT min(storage_id) FROM "
            "(SELECT storage_id FROM runs ORDER BY storage_id DESC LIMIT ?))",
            (keep,),
        )

    def forget_read_runs(self) -> None:
        """Forget the runs of a storage that no longer exists."""
        self._db.execute("DELETE FROM runs WHERE is_read")

    # causes

    def known(self, asset: str, check: str) -> dict[Cause, tuple[Trouble, str]]:
        """Reported troubles of an asset's check, with their fingerprints."""
        query = "SELECT site, month, severity, text, ref, fingerprint FROM causes WHERE asset = ? AND what = ?"
        out = {}
        for site, month, severity, text, ref, fingerprint in self._db.execute(query, (asset, check)):
            cause = Cause(site, asset, check, month)
            out[cause] = (Trouble(cause, severity, text, ref), fingerprint)
        return out

    def keep_cause(self, trouble: Trouble, at: float) -> None:
        """Note a trouble as reported."""
        row = (*astuple(trouble.cause), trouble.severity, trouble.fingerprint, trouble.text, trouble.ref, at)
        self._db.execute("INSERT OR REPLACE INTO causes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def drop_cause(self, cause: Cause) -> None:
        """Forget a trouble that recovered."""
        self._db.execute(f"DELETE FROM causes WHERE {_OF_CAUSE}", astuple(cause))

    def causes_of(self, check: str) -> list[Cause]:
        """Reported causes of one check."""
        rows = self._db.execute("SELECT site, asset, what, month FROM causes WHERE what = ?", (check,))
        return [Cause(*row) for row in rows]

    def is_news(self, notice: str, at: float) -> bool:
        """Whether a notice was never told; from now on it was."""
        return self._db.execute("INSERT OR IGNORE INTO notices VALUES (?, ?)", (notice, at)).rowcount > 0

    # channels and their outboxes

    def set_channels(self, channels: Mapping[str, bool]) -> None:
        """The channels that are configured, and whether each takes warnings; others and their items are dropped."""
        self._db.executemany(
            "INSERT INTO channels (name, warnings) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET warnings = excluded.warnings",
            channels.items(),
        )
        names = (json.dumps(list(channels)),)
        self._db.execute("DELETE FROM channels WHERE name NOT IN (SELECT value FROM json_each(?))", names)
        self._db.execute("DELETE FROM outbox WHERE channel NOT IN (SELECT value FROM json_each(?))", names)

    def channels(self) -> dict[str, bool]:
        """The channels that items are put out for, and whether each takes warnings."""
        return {name: bool(warnings) for name, warnings in self._db.execute("SELECT name, warnings FROM channels")}

    def put(self, channel: str, item: Item) -> None:
        """Put an item into a channel's outbox, in place of an older one of its cause."""
        values = {name: value for name, value in vars(item).items() if name != "cause"}
        row = (channel, *astuple(item.cause), _RANKS[item.severity], json.dumps(values, ensure_ascii=False))
        query = (
            "INSERT OR REPLACE INTO outbox (channel, site, asset, what, month, rank, item) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        self._db.execute(query, row)

    def waiting(self, channel: str, limit: int) -> dict[int, Item]:
        """Items that a channel has not taken yet, by their ids: errors first, then warnings, then what recovered."""
        query = "SELECT id, site, asset, what, month, item FROM outbox WHERE channel = ? ORDER BY rank, id LIMIT ?"
        rows = self._db.execute(query, (channel, limit))
        return {number: Item(Cause(*cause), **json.loads(item)) for number, *cause, item in rows}

    def taken(self, ids: Iterable[int]) -> None:
        """Delete items that a channel took; one that was replaced meanwhile has another id and stays."""
        self._db.executemany("DELETE FROM outbox WHERE id = ?", [(one,) for one in ids])

    def health(self, channel: str) -> Health:
        """State of a channel."""
        row = self._db.execute("SELECT failures, next_at FROM channels WHERE name = ?", (channel,)).fetchone()
        return Health(*row) if row else Health(0, 0.0)

    def set_health(self, channel: str, health: Health) -> None:
        """Remember the state of a channel."""
        query = "UPDATE channels SET failures = ?, next_at = ? WHERE name = ?"
        self._db.execute(query, (health.failures, health.next_at, channel))

    # nightlies

    def plans(self) -> dict[str, tuple[str, datetime]]:
        """By site: which nightly schedule it has, and since when that is watched."""
        rows = self._db.execute("SELECT site, plan, since FROM nightlies")
        return {site: (plan, datetime.fromtimestamp(since, tz=UTC)) for site, plan, since in rows}

    def set_plans(self, plans: Mapping[str, tuple[str, datetime]]) -> None:
        """Replace the schedules of all sites."""
        self._db.execute("DELETE FROM nightlies")
        rows = [(site, plan, since.timestamp()) for site, (plan, since) in plans.items()]
        self._db.executemany("INSERT INTO nightlies VALUES (?, ?, ?)", rows)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        path.chmod(0o600)  # texts of checks may name people
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
