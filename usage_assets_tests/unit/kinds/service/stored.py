"""Raw events of tests, stored in a warehouse, and what the assets of facts make of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import polars as pl

from usage_assets.kinds.service.facts import requests
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import USAGE_EVENTS
from usage_assets.specs.asset import Asset
from usage_assets.warehouse import Warehouse

SITE = "chat"
MARCH = date(2026, 3, 1)
NOON = datetime(2026, 3, 10, 12)
_DEFAULTS: dict[str, Any] = {
    "requests": 1, "event_type": "complete", "time_of": "start", "reader": "records", "source_file": "events.jsonl",
    "source_row": 1, "ingested_at": datetime(2026, 4, 2), "is_context": False, "extracted_at": datetime(2026, 4, 2),
    "seen_from": datetime(2026, 4, 2),
}  # fmt: skip


def site(**options: Any) -> Any:
    """A site with the settings that facts read."""
    known = {"key": SITE, "max_request_hours": 24, "currency": "USD", "zero_cost": "stated", "max_parallel": None,
             "rates": None, "exchange_rates": None, "inventory": None, "bucket_minutes": 1440,
             "known_gaps": ()}  # fmt: skip
    return SimpleNamespace(**known | options)


def at(text: str) -> datetime:
    """An instant of March 2026 by its day and time: `10 12:00:05.5`."""
    day, _, clock = text.partition(" ")
    hours, minutes, seconds = [*clock.split(":"), "0", "0"][:3]
    start = datetime(2026, 3, 1) + timedelta(days=int(day) - 1, hours=int(hours or 0), minutes=int(minutes))
    return start + timedelta(seconds=float(seconds))


def event(event_id: str, **values: Any) -> dict[str, Any]:
    """A raw event: a complete one at noon of 10 March, but for the values given."""
    return {"event_id": event_id, "ts": NOON} | values


def frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of raw.usage_events."""
    table = USAGE_EVENTS.table
    made = []
    for row in rows:
        full = (
            dict.fromkeys(table.names)
            | _DEFAULTS
            | dict(row)
            | {"site": SITE, "month": row["ts"].date().replace(day=1)}
        )
        full["meters"] = _entries(full["meters"])
        full["cost"] = None if full["cost"] is None else Decimal(full["cost"])
        made.append(full)
    return pl.DataFrame(made, schema=table.polars_schema)


def _entries(meters: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    return None if meters is None else [{"key": key, "value": Decimal(value)} for key, value in meters.items()]


def store(warehouse: Warehouse, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put raw events into a warehouse."""
    with warehouse.write("test") as writer:
        writer.ensure(USAGE_EVENTS.table)
        found = frame(rows)
        names = ", ".join(USAGE_EVENTS.table.names)
        if not found.is_empty():
            writer.con.register("made", found.to_arrow())
            meters = "CASE WHEN meters IS NOT NULL THEN map_from_entries(meters) END AS meters"
            sql = f"SELECT {names} FROM (SELECT * REPLACE ({meters}) FROM made)"
            writer.con.execute(f"INSERT INTO {USAGE_EVENTS.table.qualified} {sql}").fetchall()


def fold(warehouse: Warehouse, months: Sequence[date] = (MARCH,), **options: Any) -> pl.DataFrame:
    """The requests of some months, built and stored one by one, in order."""
    with warehouse.write("test") as writer:
        for month in months:
            queries = requests.select(writer, site(**options), month, {})
            broken = writer.insert_month(
                SERVICE_REQUESTS, queries, site=SITE, month=month, asset="service/facts/service_requests", run_id="test"
            )
            assert broken == []
    with warehouse.read() as reader:
        return reader.frame(SERVICE_REQUESTS, SITE).sort("month", "request_id")


def folded(warehouse: Warehouse, *rows: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """The one request of March that some events are."""
    store(warehouse, rows)
    (row,) = fold(warehouse, **options).iter_rows(named=True)
    return row


def build(warehouse: Warehouse, assets: Iterable[Asset], months: Sequence[date] = (MARCH,), **options: Any) -> None:
    """Store what some assets select of some months, in order; `read_at` is when all of them were read."""
    read_at = options.pop("read_at", None)
    extracted = {} if read_at is None else dict.fromkeys(months, read_at)
    with warehouse.write("test") as writer:
        for asset in assets:
            assert asset.select is not None
            for month in months:
                broken = writer.insert_month(
                    asset.table, asset.select(writer, site(**options), month, extracted), site=SITE, month=month,
                    asset=asset.path, run_id="test", owned=asset.owned,
                )  # fmt: skip
                assert broken == []
