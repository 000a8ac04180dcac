"""What `check-site` and `doctor` learn from a site's source, whatever it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["found", "missing", "not granted", "no database", "unreadable"]


@dataclass(frozen=True)
class TableAccess:
    """What the account finds of a raw table.

    `rows`, `first_at` and `last_at` (of created_at, or of the date of a table that has one)
    count the live table and its archive together.
    """

    table: str
    source: str
    state: State
    rows: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    columns_missing: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class ServerAccess:
    """How a server is reached (`transport`, empty for files), and what of it an operator should mend."""

    label: str
    transport: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SiteAccess:
    """What a site's account finds."""

    servers: tuple[ServerAccess, ...]
    tables: tuple[TableAccess, ...]
    remarks: tuple[str, ...] = ()
    """What of the rows themselves an operator should know."""
