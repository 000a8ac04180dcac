"""What the demo sites share: instants, stable random numbers, ids, people, and the writer of rows.

Inside this package an instant is a whole number of seconds since 1970 (UTC), because comparing and adding them is all
that a simulation does; :func:`text` turns one into what the databases hold.
"""

import random
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from usage_assets.demo.openstack import schema

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
WEEK: Final = 7 * DAY
ZERO_DATE: Final = "0000-00-00 00:00:00"
"""The date MySQL writes for a date it could not read."""
MAINTENANCE_PROJECT: Final = "6d61696e74656e616e63650000000001"
"""The operators' project whose leases take machines out for repair."""
LOAD_TEST_PROJECT: Final = "6c6f61645f7465737400000000000002"
"""The operators' project of a load test, whose servers are not use."""
_EPOCH: Final = date(1970, 1, 1)
_FLUSH_ROWS: Final = 20_000
_TIMES: Final = [f" {s // HOUR:02}:{s // MINUTE % 60:02}:{s % 60:02}" for s in range(DAY)]


def instant(year: int, month: int = 1, day: int = 1, hour: int = 0) -> int:
    """Instant of a UTC calendar date."""
    return (date(year, month, day) - _EPOCH).days * DAY + hour * HOUR


def instant_of(moment: datetime) -> int:
    """Instant of a datetime; one without a zone is read as UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


@cache
def _day_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


@cache
def calendar(day: int) -> date:
    """Calendar date of a day number (instant // DAY)."""
    return _EPOCH + timedelta(days=day)


def text(moment: int | None) -> str | None:
    """Database text of an instant, ``YYYY-MM-DD HH:MM:SS``; None stays None."""
    if moment is None:
        return None
    return _day_text(moment // DAY) + _TIMES[moment % DAY]


def stable_random(*parts: object) -> random.Random:
    """Random numbers that depend on the named parts only, so one part of a history never shifts another."""
    return random.Random(":".join(map(str, parts)))


def uuid_text(rng: random.Random) -> str:
    """A uuid in its usual text form."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class People:
    """Projects and their users, a few of them far more active than the rest."""

    def __init__(self, site: str, seed: int, projects: int = 60) -> None:
        """Make the projects of a site; ids have Keystone's form of 32 hex digits."""
        rng = stable_random(site, seed, "people")
        self._projects = [
            (f"{rng.getrandbits(128):032x}", [f"{rng.getrandbits(128):032x}" for _ in range(rng.randint(1, 9))])
            for _ in range(projects)
        ]

    def write_names(self, writer: "RowWriter") -> None:
        """Write the projects' names as Keystone knows them, those of the operators too."""
        named = [(key, f"CHI-{180_000 + int(key[:4], 16)}") for key, _ in self._projects]
        for key, name in [*named, (MAINTENANCE_PROJECT, "maintenance"), (LOAD_TEST_PROJECT, "load-test")]:
            writer.add(
                "keystone.project",
                id=key, name=name, extra="{}", description="", enabled=1, domain_id="default", parent_id="default",
                is_domain=0,
            )  # fmt: skip

    def pick(self, rng: random.Random) -> tuple[str, str]:
        """Project id and user id of someone."""
        project, users = self._projects[int(len(self._projects) * rng.random() ** 2)]
        return project, rng.choice(users)


class Tally:
    """Whole numbers that add up to a fractional rate: 0.25 gives 0, 0, 0, 1, 0, ..."""

    def __init__(self, rate: float) -> None:
        """Start at nothing owed."""
        self._rate = rate
        self._owed = 0.0

    def next(self) -> int:
        """The next whole number."""
        self._owed += self._rate
        whole = max(0, int(self._owed + 1e-9))
        self._owed -= whole
        return whole

    def owe(self, count: int) -> None:
        """Add what was asked for and could not be done to what is still owed."""
        self._owed += count


class RowWriter:
    """Writes rows into one SQLite file per source schema and counts them by ``schema.table``.

    Use as a context manager: leaving it without an error flushes, builds the indexes and closes the files.
    """

    def __init__(self, folder: Path) -> None:
        """Create the empty databases in an existing folder."""
        self.folder = folder
        self.counts: Counter[str] = Counter(dict.fromkeys(schema.COLUMNS, 0))
        self._columns = {table: schema.column_names(table) for table in schema.COLUMNS}
        self._names = {table: frozenset(columns) for table, columns in self._columns.items()}
        self._pending: dict[str, list[tuple[object, ...]]] = {table: [] for table in schema.COLUMNS}
        self._connections = {name: self._create(folder / f"{name}.db", name) for name in schema.databases()}

    @staticmethod
    def _create(file: Path, database: str) -> sqlite3.Connection:
        connection = sqlite3.connect(file, isolation_level=None)
        # The folder is thrown away when anything fails, so durability costs time for nothing.
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-131072; PRAGMA temp_store=MEMORY;"
            + schema.create_tables(database)
            + "BEGIN;"
        )
        return connection

    def add(self, table: str, **values: object) -> None:
        """Add a row to ``schema.table``; columns not named are NULL."""
        if not values.keys() <= self._names[table]:
            raise KeyError(f"{table} has no column {', '.join(sorted(values.keys() - self._names[table]))}")
        pending = self._pending[table]
        pending.append(tuple(map(values.get, self._columns[table])))
        if len(pending) >= _FLUSH_ROWS:
            self._flush(table)

    def count(self, table: str) -> int:
        """Rows added to ``schema.table`` so far."""
        return self.counts[table] + len(self._pending[table])

    def _flush(self, table: str) -> None:
        pending = self._pending[table]
        database, _, name = table.partition(".")
        columns = self._columns[table]
        statement = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        self._connections[database].executemany(statement, pending)
        self.counts[table] += len(pending)
        pending.clear()

    def __enter__(self) -> Self:
        """Start writing."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the files, or only close them after an error."""
        try:
            if error_type is None:
                for table in self._pending:
                    self._flush(table)
                for database, connection in self._connections.items():
                    connection.execute("COMMIT")
                    connection.executescript(schema.create_indexes(database))
        finally:
            for connection in self._connections.values():
                connection.close()
