"""Rows to price and rates in a few words, for tests; and the rules once more, row by row, with fractions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import polars as pl

from usage_assets.pricing.cost import Billing, Columns, cost_query
from usage_assets.pricing.exchange import ExchangeRate, ExchangeRates
from usage_assets.pricing.rates import Rate, Rates

SCOPES = ("place", "vendor", "item")
COLUMNS = Columns(
    key=["id"],
    at="at",
    scopes={name: name for name in SCOPES},
    quantities={"runs": "runs", "whole": "whole", "out": "out", "part": "part", "seconds": "seconds"},
    meters="meters",
    billed="billed",
    stated="stated",
    stated_currency="stated_currency",
    zero_known="zero_known",
)
BILLING = Billing("USD", optional=frozenset({"runs", "seconds", "part"}), deducted={"part": "whole"})
START = datetime(2026, 1, 1)
Priced = tuple[str, Decimal | None, str]


@dataclass(frozen=True)
class Row:
    id: str = "r"
    at: datetime | None = datetime(2026, 1, 10)
    place: str | None = "p"
    vendor: str | None = "v"
    item: str | None = "i"
    runs: int | None = None
    whole: int | None = None
    out: int | None = None
    part: int | None = None
    seconds: float | None = None
    meters: Mapping[str, Decimal] | None = None
    billed: bool = True
    stated: Decimal | None = None
    stated_currency: str | None = None
    zero_known: bool | None = None


TYPES = {
    "id": "VARCHAR", "at": "TIMESTAMP", "place": "VARCHAR", "vendor": "VARCHAR", "item": "VARCHAR", "runs": "BIGINT",
    "whole": "BIGINT", "out": "BIGINT", "part": "BIGINT", "seconds": "DOUBLE", "meters": "MAP(VARCHAR, DECIMAL(38,9))",
    "billed": "BOOLEAN", "stated": "DECIMAL(38,12)", "stated_currency": "VARCHAR", "zero_known": "BOOLEAN",
}  # fmt: skip


def rate(meter: str = "whole", price: Any = 1, per: Any = 1, scope: Any = (None, None, None), **more: Any) -> Rate:
    start, currency = more.pop("since", START), more.pop("currency", "USD")
    tier = Decimal(more.pop("tier", 0))
    return Rate(place="rates.csv:2", scope=scope, meter=meter, price=Decimal(price), per_quantity=Decimal(per),
                currency=currency, from_quantity=tier, valid_from=start, valid_to=more.pop("until", None))  # fmt: skip


def exchange(source: str, worth: Any, since: datetime = START, until: datetime | None = None) -> ExchangeRate:
    return ExchangeRate(place="x:1", from_currency=source, to_currency="USD", rate=Decimal(worth), valid_from=since,
                        valid_to=until)  # fmt: skip


def load(con: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    con.execute(f"CREATE OR REPLACE TABLE made ({columns})")
    for row in rows:
        values = [getattr(row, name) for name in TYPES]
        at = list(TYPES).index("meters")
        meters = values[at]
        values[at] = None if meters is None else [{"key": key, "value": value} for key, value in meters.items()]
        places = ", ".join(
            "map_from_entries(CAST(? AS STRUCT(key VARCHAR, value DECIMAL(38,9))[]))" if name == "meters" else "?"
            for name in TYPES
        )
        con.execute(f"INSERT INTO made VALUES ({places})", values)


@dataclass(frozen=True)
class Site:
    """What rows are priced by."""

    rates: list[Rate] = field(default_factory=list)
    exchange: list[ExchangeRate] = field(default_factory=list)
    billing: Billing = BILLING

    def price(self, *rows: Row) -> list[Priced]:
        with duckdb.connect() as con:
            load(con, rows)
            query = cost_query(con, "made", COLUMNS, rates=Rates.of(self.rates, SCOPES), billing=self.billing,
                               exchange=ExchangeRates.of(self.exchange))  # fmt: skip
            return sorted(con.execute(query).fetchall())

    def one(self, **row: Any) -> tuple[Decimal | None, str]:
        """Cost and source of one row."""
        return self.price(Row(**row))[0][1:]

    def with_billing(self, **options: Any) -> "Site":
        return replace(self, billing=replace(self.billing, **options))


def frame(rows: list[Priced]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.String, "cost": pl.Decimal(38, 12), "source": pl.String}, orient="row")


class Oracle:
    """The rules once more: one row after the other, in order, with fractions."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.reached: dict[Any, Fraction] = defaultdict(Fraction)

    def price(self, rows: Iterable[Row]) -> list[Priced]:
        ordered = sorted(rows, key=lambda row: (row.at or datetime(9999, 1, 1), row.id))
        return sorted((row.id, *self._one(row)) for row in ordered)

    def _one(self, row: Row) -> tuple[Decimal | None, str]:
        billing = self.site.billing
        if row.stated is not None and (row.stated or row.zero_known or not billing.zero_is_unknown):
            worth = self._worth(row.stated_currency or billing.currency, row.at)
            return (None, "unconverted") if worth is None else (_money(Fraction(row.stated) * worth), "stated")
        if not row.billed or row.at is None:
            return None, "unrated"
        return self._rated(row)

    def _rated(self, row: Row) -> tuple[Decimal | None, str]:
        assert row.at is not None
        lines = []
        for meter, quantity in self._quantities(row).items():
            ladder = self._ladder(meter, row)
            if ladder:
                lines.append((meter, ladder, quantity))
            elif quantity > 0 and meter not in self.site.billing.optional:
                return None, "unrated"
        if not lines:
            return None, "unrated"
        total, lost = Fraction(0), False
        for meter, ladder, quantity in lines:
            group = (meter, ladder[0].scope, row.at.year, row.at.month)
            start = self.reached[group]
            self.reached[group] += quantity
            edges = [*(Fraction(step.from_quantity) for step in ladder), None]
            for step, low, high in zip(ladder, edges, edges[1:], strict=False):
                worth = self._worth(step.currency, row.at)
                lost |= worth is None
                end = start + quantity if high is None else min(high, start + quantity)
                part = max(end - max(start, low or Fraction(0)), Fraction(0))
                total += part / Fraction(step.per_quantity) * Fraction(step.price) * (worth or 0)
        return (None, "unconverted") if lost else (_money(total), "rated")

    def _quantities(self, row: Row) -> dict[str, Fraction]:
        """Known quantities of the meters that some row names, less what is billed apart."""
        plain = {"runs": row.runs, "whole": row.whole, "out": row.out, "part": row.part}
        found = {meter: Fraction(value) for meter, value in plain.items() if value is not None}
        if row.seconds is not None:
            found["seconds"] = Fraction(repr(row.seconds))
        found |= {meter: Fraction(value) for meter, value in (row.meters or {}).items() if meter not in plain}
        if "whole" in found and self._ladder("part", row):
            found["whole"] = max(found["whole"] - found.get("part", 0), Fraction(0))
        named = {step.meter for step in self.site.rates}
        return {meter: value for meter, value in found.items() if meter in named}

    def _ladder(self, meter: str, row: Row) -> list[Rate]:
        values = (row.place, row.vendor, row.item)
        fitting = [
            step for step in self.site.rates
            if step.meter == meter and row.at is not None and step.covers(row.at)
            and all(wanted in {None, value} for wanted, value in zip(step.scope, values, strict=True))
        ]  # fmt: skip
        if not fitting:
            return []
        best = max((step.scope for step in fitting), key=_weight)
        return sorted((step for step in fitting if step.scope == best), key=lambda step: step.from_quantity)

    def _worth(self, currency: str, at: datetime | None) -> Fraction | None:
        if currency == self.site.billing.currency:
            return Fraction(1)
        valid = (row for row in self.site.exchange if row.from_currency == currency and at is not None)
        return next((Fraction(row.rate) for row in valid if at is not None and row.covers(at)), None)


def _weight(scope: tuple[str | None, ...]) -> int:
    return sum(2**place for place, value in enumerate(scope) if value is not None)


def _money(amount: Fraction) -> Decimal:
    units = round(amount * 10**12)
    return Decimal((units < 0, tuple(map(int, str(abs(units)))), -12))
