"""Facts of a service made for tests, and the tables built of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl

from usage_assets.core.months import Window
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import Recommend
from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets.specs.asset import Asset
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Writer

FEB, MARCH, APRIL = (date(2026, month, 1) for month in (2, 3, 4))
ASSETS = {asset.name: asset for asset in TABLE_ASSETS}
DEFAULTS: dict[str, Any] = {
    "site": "llm", "user_id": "ann", "team_id": None, "session_id": None, "model_id": "big", "provider": "own",
    "final_state": "succeeded", "requests": 1, "attempts": 1, "input_tokens": None, "output_tokens": None,
    "cached_tokens": None, "meters": None, "stated_cost": None, "stated_currency": None, "cost": None,
    "cost_source": None, "duration_s": None, "lead_s": None, "error": None, "prompt_hash": None, "reader": "records",
}  # fmt: skip


@dataclass(frozen=True)
class MadeSite:
    """What tables need of a site."""

    key: str = "llm"
    max_request_hours: float = 24
    recommend: Recommend = field(default_factory=Recommend)
    performance_window_days: int = 7
    preload_bytes: int | None = None
    reporting_tz: str = "UTC"


def at(text: str) -> datetime:
    """An instant of 2026, `03-01 10:00` or `03-01 10:00:05`."""
    return datetime.fromisoformat(f"2026-{text}")


def request(name: str, started: str, ended: str | None = None, **given: Any) -> dict[str, Any]:
    """A request; submitted when it started, unless `submitted` says otherwise."""
    begins, ends = at(started), at(ended) if ended else None
    submitted = at(given.pop("submitted")) if "submitted" in given else begins
    placed = ends or submitted
    own = {
        "request_id": name,
        "event_id": name,
        "month": date(placed.year, placed.month, 1),
        "submitted_at": submitted,
        "started_at": begins if ends else None,
        "ended_at": ends,
        "final_state": "succeeded" if ends else "unfinished",
        "duration_s": (ends - begins).total_seconds() if ends else None,
        "lead_s": (begins - submitted).total_seconds() if ends else None,
    }
    row = DEFAULTS | own | given
    return row | {"cost_source": "unrated" if row["cost"] is None else "rated"}


def store(writer: Writer, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put requests into the facts."""
    writer.ensure(SERVICE_REQUESTS)
    frame = pl.DataFrame(list(rows), SERVICE_REQUESTS.polars_schema, orient="row", strict=False)
    writer.put(SERVICE_REQUESTS, frame.select(SERVICE_REQUESTS.names))


def build(writer: Writer, asset: Asset | str, months: Sequence[date] = (MARCH,), site: Any = None) -> pl.DataFrame:
    """Build an asset's months, which must keep their contract; its rows in order of the key."""
    one = ASSETS[asset] if isinstance(asset, str) else asset
    assert one.select is not None
    for month in months:
        queries = one.select(writer, site or MadeSite(), month, {})
        broken = writer.insert_month(
            one.table, queries, site="llm", month=month, asset=one.path, run_id="run", owned=one.owned
        )
        assert not broken, broken
    for view in one.views:
        writer.con.execute(view)
    return writer.frame(one.table, "llm", months).sort(one.table.unique_key)


def check(writer: Writer, asset: str, name: str, months: Sequence[date] = (MARCH,)) -> dict[date, Finding]:
    """What a check of an asset finds."""
    (one,) = (each for each in ASSETS[asset].checks if each.name == name)
    assert one.evaluate is not None
    return dict(one.evaluate(writer, MadeSite(), Window("llm", tuple(months))))


def opened() -> Writer:
    """An empty warehouse in memory."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return Writer(con)
