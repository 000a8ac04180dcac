"""Charges and limits in a few words, for tests; and alerts once more, charge by charge."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb

from usage_assets.pricing.alerts import alerts_query
from usage_assets.pricing.charges import Charges
from usage_assets.pricing.limits import Calendar, Limit, Limits
from usage_assets.pricing.periods import period_of
from usage_assets.pricing.status import status_query

TYPES = {"owner": ["owner"], "item": ["item"], "owner_item": ["owner", "item"], "place": ["place"]}
CHARGES = Charges("charged", "ended", "cost", "rid", "eid", "sid", "unrated")
NOON = datetime(2026, 3, 10, 12)
LATER = datetime(2027, 1, 1)


@dataclass(frozen=True)
class Charge:
    rid: str
    ended: datetime = NOON
    cost: Any = 1
    owner: str | None = "u"
    item: str | None = "m"
    sid: str | None = None
    place: str = "p"
    unrated: int = 0


def limit(amount: Any, window: str = "day", scope_id: str = "u", scope_type: str = "owner", **more: Any) -> Limit:
    start = more.pop("since", datetime(2020, 1, 1))
    if "thresholds" in more:
        more["thresholds"] = tuple(map(Decimal, more["thresholds"]))
    return Limit(place=more.pop("place", "limits.csv:2"), scope_type=scope_type, scope_id=scope_id, window=window,
                 amount=Decimal(amount), valid_from=start, valid_to=more.pop("until", None), **more)  # fmt: skip


def limits(*rows: Limit, tz: str = "UTC", week_start: int = 0, **more: Any) -> Limits:
    return Limits.of(rows, "p", TYPES, "USD", calendar=Calendar(tz, week_start), **more)


def load(con: duckdb.DuckDBPyConnection, charges: Iterable[Charge]) -> None:
    con.execute("CREATE TABLE charged (rid VARCHAR, eid VARCHAR, ended TIMESTAMP, cost DECIMAL(38,12), owner VARCHAR, "
                "item VARCHAR, sid VARCHAR, place VARCHAR, unrated BIGINT)")  # fmt: skip
    for c in charges:
        cost = None if c.cost is None else Decimal(c.cost)
        con.execute("INSERT INTO charged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [c.rid, f"e-{c.rid}", c.ended, cost, c.owner, c.item, c.sid, c.place, c.unrated])  # fmt: skip


def alerts(charges: Iterable[Charge], found: Limits, as_of: datetime = LATER) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        load(con, charges)
        rows = con.sql(alerts_query(con, CHARGES, found, as_of)).pl().rows(named=True)
        return sorted(rows, key=lambda a: (a["scope_type"], a["scope_id"], a["window"], a["period"], a["threshold"]))


def crossed(charges: Iterable[Charge], found: Limits, as_of: datetime = LATER) -> list[tuple[str, str, str]]:
    """Period, threshold and request of each alert."""
    return [(a["period"], f"{a['threshold'].normalize():f}", a["request_id"]) for a in alerts(charges, found, as_of)]


def status(charges: Iterable[Charge], found: Limits, as_of: datetime, **more: Any) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        load(con, charges)
        rows = con.sql(status_query(con, CHARGES, found, as_of, **more)).pl().rows(named=True)
        return sorted(rows, key=lambda s: (s["scope_type"], s["scope_id"], s["window"]))


def by_hand(charges: Iterable[Charge], found: Limits, as_of: datetime) -> set[tuple[Any, ...]]:
    """The alerts of owners, charge by charge: window, scope_id, period, threshold, request, spent, amount."""
    spent: dict[Any, Decimal] = defaultdict(Decimal)
    out: dict[Any, Any] = {}
    for charge in sorted(charges, key=lambda c: (c.ended, c.rid)):
        if charge.ended >= as_of or charge.cost is None or charge.owner in {None, "(none)"}:
            continue
        for window in ("request", "session", "day", "week", "month"):
            for tz in sorted({found.tz(row) for row in found.rows}):
                label = {"request": charge.rid, "session": charge.sid}.get(window)
                if window in {"day", "week", "month"}:
                    label = period_of(window, tz, charge.ended, found.calendar.week_start).label  # type: ignore[arg-type]
                if label is None:
                    continue
                spent[window, tz, charge.owner, label] += charge.cost
                row = _row(found, window, charge)
                if row is None or not row.enabled or charge.cost <= 0 or found.tz(row) != tz:
                    continue
                total = spent[window, tz, charge.owner, label]
                for threshold in row.thresholds:
                    if Fraction(total) >= Fraction(threshold) * Fraction(row.amount):
                        key = (window, charge.owner, label, threshold)
                        out.setdefault(key, (*key, charge.rid, total, row.amount))
    return set(out.values())


def _row(found: Limits, window: str, charge: Charge) -> Limit | None:
    rows = [row for row in found.rows if row.window == window and row.covers(charge.ended)]
    own = [row for row in rows if row.scope_id == charge.owner]
    each = [row for row in rows if row.scope_id == "*"]
    return next(iter(own + each), None)


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)
