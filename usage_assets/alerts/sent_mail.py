"""Which reports were mailed, and which could not be: a small database in `DAGSTER_HOME`, beside that of the alerts."""

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
_FAILING = "SELECT site, report, why FROM failing"


@dataclass(frozen=True)
class Sent:
    """The mails of all sites."""

    path: Path

    @classmethod
    def here(cls) -> "Sent":
        """Those of the environment."""
        return cls(settings.alerts_state().with_name(LETTERS))

    def has(self, site: str, posting: DueReport) -> bool:
        """Whether a report was mailed already."""
        with closing(self._open()) as con:
            found = con.execute(
                "SELECT 1 FROM sent WHERE site = ? AND report = ? AND name = ?", (site, posting.report, posting.name)
            ).fetchone()
        return found is not None

    def note(self, site: str, posting: DueReport, at: datetime) -> None:
        """Note a report as mailed."""
        row = (site, posting.report, posting.name, ", ".join(posting.to), at.isoformat(timespec="seconds"))
        with closing(self._open()) as con, con:
            con.execute("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", row)
            con.execute("UPDATE failing SET why = NULL WHERE site = ? AND report = ?", (site, posting.report))

    def note_failure(self, kind: str, site: str, posting: DueReport, why: str) -> None:
        """Note that a report could not be mailed."""
        with closing(self._open()) as con, con:
            con.execute("INSERT OR REPLACE INTO failing VALUES (?, ?, ?, ?)", (kind, site, posting.report, why))

    def keep(self, kind: str, wanted: Collection[tuple[str, str]]) -> None:
        """Forget the failures of a kind's sites and their reports that nobody wants mailed any more."""
        with closing(self._open()) as con, con:
            for site, report in con.execute("SELECT site, report FROM failing WHERE kind = ?", (kind,)).fetchall():
                if (site, report) not in wanted:
                    con.execute("DELETE FROM failing WHERE site = ? AND report = ?", (site, report))

    def failures(self) -> dict[tuple[str, str], str | None]:
        """Why the newest report of a site and name could not be mailed; none where it could be again."""
        if not self.path.exists():
            return {}
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)) as con:
            if con.execute("SELECT 1 FROM sqlite_master WHERE name = 'failing'").fetchone() is None:
                return {}
            return {(site, report): why for site, report, why in con.execute(_FAILING).fetchall()}

    def unusable(self, error: sqlite3.Error) -> str:
        """What to say where the file is damaged or held."""
        return f"{self.path} can't be used ({error}); remove it: reports of today may be mailed again"

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        con = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        for table in _TABLES:
            con.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        return con
