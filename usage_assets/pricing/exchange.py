"""Exchange rates: how many units of one currency a unit of another is worth while the row is valid."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.pricing.files import read_records
from usage_assets.pricing.validity import Valid, refuse_overlaps
from usage_assets.pricing.values import Field, instant, money, text


@dataclass(frozen=True)
class ExchangeRate(Valid):
    """One unit of `from_currency` is worth `rate` units of `to_currency`."""

    from_currency: str
    to_currency: str
    rate: Decimal


def exchange_fields() -> dict[str, Field]:
    """The columns of an exchange rates file."""
    return {
        "from_currency": text(required=True), "to_currency": text(required=True), "rate": money(required=True),
        "valid_from": instant(required=True), "valid_to": instant(),
    }  # fmt: skip


def read_exchange_rates(path: Path, error: type[UsageError] = SiteError) -> "ExchangeRates":
    """The exchange rates of a file; `error` names file, line and key, or both rows that overlap."""
    records = read_records(path, exchange_fields(), error)
    return ExchangeRates.of((ExchangeRate(place=place, **row) for place, row in records.rows()), error)


@dataclass(frozen=True)
class ExchangeRates:
    """Exchange rates that were found to be consistent; only a pair that a row names is converted, in its direction."""

    rows: tuple[ExchangeRate, ...] = ()
    _by_pair: Mapping[tuple[str, str], list[ExchangeRate]] | None = None

    @classmethod
    def of(cls, rows: Iterable[ExchangeRate], error: type[UsageError] = SiteError) -> "ExchangeRates":
        """The rates; `error` for a rate that is not above 0, and for rows of one pair that overlap."""
        found = tuple(rows)
        by_pair = defaultdict(list)
        for row in found:
            if row.rate <= 0:
                msg = f"{row.place}: rate: {row.rate} must be above 0"
                raise error(msg)
            row.refuse_empty(error)
            by_pair[row.from_currency, row.to_currency].append(row)
        for (source, target), some in by_pair.items():
            refuse_overlaps(some, lambda _: None, f"exchange rates of {source} to {target}", error)
        return cls(found, dict(by_pair))

    def at(self, source: str, target: str, instant: datetime) -> Fraction | None:
        """What a unit of `source` is worth in `target` at an instant; 1 of the same currency, None if not known."""
        if source == target:
            return Fraction(1)
        rows = (self._by_pair or {}).get((source, target), ())
        return next((Fraction(row.rate) for row in rows if row.covers(instant)), None)
