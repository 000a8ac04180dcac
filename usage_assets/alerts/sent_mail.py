"""Reports that were mailed, and those that could not be: a SQLite file beside that of the alerts."""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from usage_assets.core import settings
from usage_assets.specs.mail import DueReport

LETTERS = "letters.db"
_WAIT_SECONDS = 5.0
_TABLES = (
    "sent (site TEXT, report TEXT, name TEXT, recipients TEXT, sent_at TEXT, PRIMARY KEY (site, report, name))",
    "failing (kind TEXT, site TEXT, report TEXT, why TEXT, PRIMARY KEY (site, report))",
)


@dataclass(frozen=True)
class Sent:
    """The mailed reports of all sites."""

    path: Path

    @classmethod
    def here(cls) -> "Sent":
        """The file in `DAGSTER_HOME`."""
        return cls(settings.alerts_state().with_name(LETTERS))

    def has(self, site: str, due: DueReport) -> bool:
        """Whether a report was mailed already."""
        query = "SELECT 1 FROM sent WHERE site = ? AND report = ? AND name = ?"
        with closing(self._open()) as con:
            return con.execute(query, (site, due.report, due.name)).fetchone() is not None

    def note(self, site: str, due: DueReport, at: datetime) -> None:
        """Note a report as mailed."""
        row = (site, due.report, due.name, ", ".join(due.to), at.isoformat(timespec="seconds"))
        with closing(self._open()) as con, con:
            con.execute("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", row)
            con.execute("UPDATE failing SET why = NULL WHERE site = ? AND report = ?", (site, due.report))

    def note_failure(self, kind: str, site: str, due: DueReport, why: str) -> None:
        """Note that a report could not be mailed."""
        with closing(self._open()) as con, con:
            con.execute("INSERT OR REPLACE INTO failing VALUES (?, ?, ?, ?)", (kind, site, due.report, why))

    def keep(self, kind: str, wanted: Collection[tuple[str, str]]) -> None:
        """Forget the failures of a kind's sites and their reports that nobody wants mailed any more."""
        with closing(self._open()) as con, con:
            stored = set(con.execute("SELECT site, report FROM failing WHERE kind = ?", (kind,)))
            con.executemany("DELETE FROM failing WHERE site = ? AND report = ?", stored - set(wanted))

    def failures(self) -> dict[tuple[str, str], str | None]:
        """Why the newest report of a site and name could not be mailed; none where it could be again."""
        if not self.path.exists():
            return {}
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)) as con:
            if con.execute("SELECT 1 FROM sqlite_master WHERE name = 'failing'").fetchone() is None:
                return {}
            return {(site, report): why for site, report, why in con.execute("SELECT site, report, why FROM failing")}

    def unusable(self, error: sqlite3.Error) -> str:
        """Message where the file is damaged or locked."""
        return f"{self.path} can't be used ({error}); remove it: reports of today may be mailed again"

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        con = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        for table in _TABLES:
            con.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        return con
