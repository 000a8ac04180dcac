"""Offers: the tariff of every scope and segment that the rows have, and the tables by which SQL finds it.

Scope values that no rate names are alike: their code is 0. So there are as many offers as rates tell apart, however
many rows and values there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_assets.pricing.exchange import ExchangeRates
from usage_assets.pricing.rates import Scope
from usage_assets.pricing.sql import LARGEST, LARGEST_COST, UNIT, keep
from usage_assets.pricing.tariffs import Segments, Tariff, Tariffs

if TYPE_CHECKING:
    from usage_assets.pricing.stages import Stages


@dataclass(frozen=True)
class Offers:
    """The tariffs of the rows by number, the meters that have tiers, and whether all sums fit 128 bits."""

    tariffs: list[Tariff]
    tiered: list[int]
    groups: Mapping[tuple[int, Scope], int]
    hard: frozenset[int]
    fit: bool


def keep_lookups(stages: Stages, segments: Segments) -> None:
    """Tables of the site's currency and meters, of the segments of the rows' days, and of codes of scope values."""
    con, at = stages.con, stages.columns.at
    names = {"currency": "VARCHAR"} | {f"meter_{i}": "VARCHAR" for i in range(len(stages.meters))}
    keep(con, "pricing_names", names, [(stages.billing.currency, *stages.meters)])
    days = con.execute(f'SELECT DISTINCT CAST("{at}" AS DATE) FROM {stages.rows} AS r WHERE "{at}" IS NOT NULL')
    parts = segments.of_days(day for (day,) in days.fetchall())
    keep(con, "pricing_segments",
         {"day": "DATE", "starts": "TIMESTAMP", "ends": "TIMESTAMP", "segment": "INTEGER"}, parts)  # fmt: skip
    for i, scope in enumerate(stages.scopes):
        codes = [(value, code) for code, value in enumerate(stages.rates.named(scope), start=1)]
        keep(con, f"pricing_codes_{i}", {"value": "VARCHAR", "code": "INTEGER"}, codes)


def keep_offers(stages: Stages, tariffs: Tariffs) -> Offers:
    """The table of offers: segment and codes of scopes, and the numbers of their tariff."""
    found: dict[Tariff, int] = {}
    most: dict[int, dict[int, int]] = {}
    offered = []
    for codes, largest in _seen(stages):
        tariff = tariffs.of(_scope(stages, codes[1:]), codes[0])
        number = found.setdefault(tariff, len(found))
        most[number] = {i: max(value, most.get(number, {}).get(i, 0)) for i, value in largest.items()}
        offered.append((codes, number))
    made = list(found)
    groups = _groups(made)
    fits = [tariff.fits(most[number]) for number, tariff in enumerate(made)]
    hard = frozenset(n for n, tariff in enumerate(made)
                     if not tariff.expressible or (not fits[n] and _is_tiered(tariff, groups)))  # fmt: skip
    offers = Offers(made, sorted({meter for meter, _ in groups}), groups, hard, all(fits))
    kinds = dict.fromkeys(stages.codes, "INTEGER") | {"tariff": "INTEGER", "hard": "BOOLEAN", "d": "HUGEINT"}
    for i in range(len(stages.meters)):
        kinds |= {f"n_{i}": "HUGEINT", f"x_{i}": "BOOLEAN", f"g_{i}": "INTEGER"}
    rows = {number: _row(number, offers, len(stages.meters)) for number in range(len(made))}
    keep(stages.con, "pricing_offers", kinds, [(*codes, *rows[number]) for codes, number in offered])
    return offers


def _seen(stages: Stages) -> list[tuple[tuple[int, ...], dict[int, int]]]:
    """Segment and codes of the rows to rate, with the largest quantity of each meter."""
    codes, meters = stages.codes, range(len(stages.meters))
    largest = "".join(f", max(q_{i})" for i in meters)
    query = f"""WITH coded AS ({stages.coded()}) SELECT {", ".join(codes)}{largest} FROM coded
WHERE NOT is_stated AND is_billed AND segment IS NOT NULL GROUP BY {", ".join(codes)} ORDER BY {", ".join(codes)}"""
    found = stages.con.execute(query).fetchall()
    return [(row[: len(codes)], {i: row[len(codes) + i] or 0 for i in meters}) for row in found]


def _scope(stages: Stages, codes: tuple[int, ...]) -> Scope:
    """The scope of codes, with null for what no rate names."""
    values = {
        scope: stages.rates.named(scope)[code - 1] if code else None
        for scope, code in zip(stages.scopes, codes, strict=True)
    }
    return tuple(values.get(scope) for scope in stages.rates.scopes)


def _groups(tariffs: list[Tariff]) -> dict[tuple[int, Scope], int]:
    """A number for each meter and scope that has tiers in some tariff: their rows add up, also while it has none."""
    out: dict[tuple[int, Scope], int] = {}
    for tariff in tariffs:
        for meter, rungs in tariff.rungs:
            if len(rungs) > 1:
                out.setdefault((meter, tariff.scope_of(meter)), len(out))
    return out


def _is_tiered(tariff: Tariff, groups: Mapping[tuple[int, Scope], int]) -> bool:
    return any((meter, tariff.scope_of(meter)) in groups for meter, _ in tariff.rungs)


def _row(number: int, offers: Offers, meters: int) -> list[Any]:
    """The values of a tariff in the table of offers."""
    tariff, hard = offers.tariffs[number], number in offers.hard
    out: list[Any] = [number, hard, 1 if hard else tariff.denominator]
    applied = dict(tariff.rungs)
    for meter in range(meters):
        if meter not in applied:
            out += [None, None, None]
            continue
        numerator = 0 if hard else tariff.numerator(applied[meter][0])
        lost = any(rung.price is None for rung in applied[meter])
        out += [numerator, lost, offers.groups.get((meter, tariff.scope_of(meter)))]
    return out


def keep_conversions(stages: Stages, exchange: ExchangeRates, segments: Segments) -> bool:
    """The table of exchange rates of stated amounts: f_n / f_d per currency and segment; whether all products fit."""
    target = stages.billing.currency
    query = f"""WITH coded AS ({stages.coded()}) SELECT stated_currency, segment, max(stated) FROM coded
WHERE is_stated AND NOT own AND segment IS NOT NULL GROUP BY ALL"""
    found = stages.con.execute(query).fetchall() if stages.columns.stated else []
    rows, fit = [], True
    for currency, segment, most in found:
        worth = exchange.at(currency, target, segments.instant(segment))
        if worth is not None:
            rows.append((currency, segment, worth.numerator, worth.denominator))
            fit &= int(most * UNIT) * worth.numerator < min(LARGEST, LARGEST_COST * worth.denominator)
    kinds = {"currency": "VARCHAR", "segment": "INTEGER", "f_n": "HUGEINT", "f_d": "HUGEINT"}
    keep(stages.con, "pricing_conversions", kinds, rows)
    return fit
