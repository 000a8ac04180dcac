"""A service with files of events in a folder, and what of it is stored."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from usage_assets.core.months import Window, months_between
from usage_assets.kinds.service.raw.dump import dump
from usage_assets.kinds.service.raw.tables import EVENT_FILES, REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.sites.files import load_site
from usage_assets.sources.record import DumpResult
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import VERSIONS

JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))
QUARTER = (JANUARY, FEBRUARY, MARCH)
_NOT_SAID = ("ingested_at", "extracted_at", "seen_from", "is_context")

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Service:
    """A site's file, its folder of events and a warehouse."""

    folder: Path
    said: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, **said: Any) -> "Service":
        """A service whose one source is the folder `events`, unless `said` names others."""
        (folder / "events").mkdir(parents=True, exist_ok=True)
        usual = {"kind": "service", "first_month": "2026-01", "sources": [{"reader": "records", "path": "events"}]}
        return cls(folder, usual | said)

    @property
    def site(self) -> ServiceSite:
        """The site as its file has it."""
        path = self.folder / "gateway.yaml"
        path.write_text(yaml.safe_dump(dict(self.said)), encoding="utf-8")
        site = load_site(path, {"service": ServiceSite})
        assert isinstance(site, ServiceSite)
        return site

    @property
    def warehouse(self) -> Warehouse:
        """Its warehouse."""
        return Warehouse(self.folder / "data" / "warehouse.duckdb")

    def put(self, name: str, rows: Iterable[Mapping[str, Any] | str]) -> Path:
        """Write a file of JSON lines; a text is a line as it is."""
        path = self.folder / "events" / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def dump(self, first: date = JANUARY, last: date | None = None, **options: Any) -> DumpResult:
        """Read and store months."""
        window = Window("gateway", months_between(first, last or first))
        return dump(self.site, window, self.warehouse, run_id="run", **options)

    def dump_all(self, **options: Any) -> DumpResult:
        """Read and store January to March at once."""
        return self.dump(JANUARY, MARCH, **options)

    def frame(self, table: Any) -> pl.DataFrame:
        """All rows of a table."""
        with self.warehouse.read() as reader:
            return reader.frame(table)

    def events(self, *columns: str) -> Rows:
        """The stored events in order, without what differs between runs; only some columns where named."""
        frame = self.frame(USAGE_EVENTS.table).drop(_NOT_SAID).sort("month", "event_id")
        return frame.select(columns or frame.columns).to_dicts()

    def rejects(self, *columns: str) -> Rows:
        """The rejected rows in order; those without an instant in no month."""
        frame = self.frame(REJECTED_EVENTS.table).drop(_NOT_SAID)
        frame = frame.with_columns(month=pl.when(pl.col("ts").is_not_null()).then("month"))
        frame = frame.sort("source_file", "source_row", "reason")
        return frame.select(columns or frame.columns).to_dicts()

    def reasons(self) -> list[tuple[Any, ...]]:
        """source_row and reason of the rejected rows."""
        return [tuple(row.values()) for row in self.rejects("source_row", "reason")]

    def files(self) -> pl.DataFrame:
        """What is remembered of the files."""
        return self.frame(EVENT_FILES)

    def versions(self) -> dict[tuple[date, str], int]:
        """How often months of each table were written."""
        rows = self.frame(VERSIONS).iter_rows(named=True)
        return {(row["month"], row["asset"].rsplit("/", 1)[1]): row["version"] for row in rows}


def event(event_id: str | None = "a", ts: str = "2026-01-05T10:00:00Z", **said: Any) -> dict[str, Any]:
    """A completed request, with what a test says of it."""
    row = {"event_id": event_id, "ts": ts, "event_type": "complete"} | said
    return {name: value for name, value in row.items() if value is not None}
