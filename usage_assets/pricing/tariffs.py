"""Tariffs: what each meter costs for the rows of one scope between two changes of any rate, as exact whole numbers.

A cost in units of 1e-12 is sum(quantity x numerator) / denominator: the denominator is common to the meters of a
tariff, so that the sum is exact and is rounded once.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from math import lcm

from usage_assets.pricing.exchange import ExchangeRates
from usage_assets.pricing.rates import Rate, Rates, Scope
from usage_assets.pricing.sql import LARGEST, LARGEST_COST, UNIT

_DAY = timedelta(days=1)
_BEFORE_ALL = datetime(1, 1, 1)


@dataclass(frozen=True)
class Rung:
    """The part of a month's quantity from `start` to `end` (None = open), and what a unit of it costs in 1e-12.

    `price` is None where the currency of the rate can't be converted.
    """

    start: int
    end: int | None
    price: Fraction | None


@dataclass(frozen=True)
class Tariff:
    """Each meter (by its number) that has a row with its rungs, and with the scope whose rows these are."""

    rungs: tuple[tuple[int, tuple[Rung, ...]], ...]
    scopes: tuple[tuple[int, Scope], ...]

    @cached_property
    def denominator(self) -> int:
        """The least number by which every price becomes whole."""
        return lcm(*(rung.price.denominator for _, some in self.rungs for rung in some if rung.price is not None))

    def numerator(self, rung: Rung) -> int:
        """The rung's price times the denominator; 0 where it is not known."""
        return 0 if rung.price is None else int(rung.price * self.denominator)

    def scope_of(self, meter: int) -> Scope:
        """The scope whose rows price a meter."""
        return next(scope for number, scope in self.scopes if number == meter)

    def fits(self, most: Mapping[int, int]) -> bool:
        """Whether no sum of such quantities at most leaves 128 bits, or the digits of money."""
        dearest = {meter: max(map(self.numerator, some)) for meter, some in self.rungs}
        total = sum(most[meter] * dearest[meter] for meter in dearest)
        return self.expressible and total < min(LARGEST, LARGEST_COST * self.denominator)

    @cached_property
    def expressible(self) -> bool:
        """Whether its own numbers have 128 bits."""
        numbers = [n for _, some in self.rungs for rung in some for n in (self.numerator(rung), rung.start)]
        return max([self.denominator, *numbers]) < LARGEST

    def cost(self, quantities: Mapping[int, int], reached: Mapping[int, int]) -> int:
        """Cost in 1e-12 of known quantities, of those with tiers beyond what the month had reached before."""
        total = Fraction(0)
        for meter, rungs in self.rungs:
            start = reached.get(meter, 0)
            until = start + quantities.get(meter, 0)
            for rung in rungs:
                end = until if rung.end is None else min(until, rung.end)
                total += max(end - max(start, rung.start), 0) * (rung.price or 0)
        return round(total)  # half even


@dataclass(frozen=True)
class Segments:
    """The time between two changes of any rate: number n begins with the n-th edge."""

    edges: list[datetime]

    @classmethod
    def of(cls, rates: Rates, exchange: ExchangeRates) -> "Segments":
        """The segments of all rows."""
        rows = (*rates.rows, *exchange.rows)
        edges = {row.valid_from for row in rows} | {row.valid_to for row in rows if row.valid_to is not None}
        return cls(sorted(edges))

    def instant(self, segment: int) -> datetime:
        """An instant of a segment."""
        return self.edges[segment - 1] if segment else _BEFORE_ALL

    def of_days(self, days: Iterable[date]) -> list[tuple[date, datetime, datetime, int]]:
        """Per UTC day the parts of it that lie in one segment: day, start, end, number of the segment."""
        out = []
        for day in days:
            start = datetime.combine(day, datetime.min.time())
            end = start + _DAY
            segment = bisect_right(self.edges, start)
            while start < end:
                until = self.edges[segment] if segment < len(self.edges) else end
                out.append((day, start, min(until, end), segment))
                start, segment = until, segment + 1
        return out


@dataclass(frozen=True)
class Tariffs:
    """Makes the tariff of a scope and a segment; equal ones are equal objects."""

    rates: Rates
    exchange: ExchangeRates
    currency: str
    segments: Segments
    scales: Sequence[int]  # decimal places of each meter's whole numbers

    def of(self, scope: Scope, segment: int) -> Tariff:
        """The tariff of rows of a scope in a segment."""
        at = self.segments.instant(segment)
        rungs, scopes = [], []
        for meter, named in enumerate(self.rates.meters):
            ladder = self.rates.ladder(named, scope, at)
            if ladder:
                rungs.append((meter, self._rungs(ladder, self.scales[meter], at)))
                scopes.append((meter, ladder[0].scope))
        return Tariff(tuple(rungs), tuple(scopes))

    def _rungs(self, ladder: list[Rate], scale: int, at: datetime) -> tuple[Rung, ...]:
        starts = [int(row.from_quantity * 10**scale) for row in ladder]
        prices = []
        for row in ladder:
            worth = self.exchange.at(row.currency, self.currency, at)
            each = Fraction(row.price) / Fraction(row.per_quantity) * UNIT / 10**scale
            prices.append(None if worth is None else each * worth)
        return tuple(Rung(*rung) for rung in zip(starts, [*starts[1:], None], prices, strict=True))
