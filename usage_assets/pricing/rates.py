"""Rates: what a quantity of a meter costs in a scope while the row is valid, with tiers; and their files.

A scope is a tuple of named columns in rising weight, `("place", "vendor", "item")`: each counts more than all before it
together. A row gives a value for some of them (null = any); of the rows that apply to a meter at an instant the one of
the greatest weight wins. Rows of one scope and meter with rising `from_quantity` are tiers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.pricing.files import Records, read_records
from usage_assets.pricing.validity import Valid, refuse_overlaps, text_of
from usage_assets.pricing.values import Field, instant, money, quantity, text

Scope = tuple[str | None, ...]


@dataclass(frozen=True)
class Rate(Valid):
    """`price` of each `per_quantity` of a meter beyond `from_quantity`, in a currency, for a scope."""

    scope: Scope
    meter: str
    price: Decimal
    per_quantity: Decimal
    currency: str
    from_quantity: Decimal = Decimal(0)
    note: str | None = None


def rate_fields(scopes: Sequence[str]) -> dict[str, Field]:
    """The columns of a rates file whose rows are for these scopes."""
    return {name: text() for name in scopes} | {
        "meter": text(required=True), "price": money(required=True), "per_quantity": quantity(required=True),
        "currency": text(required=True), "from_quantity": quantity(), "valid_from": instant(required=True),
        "valid_to": instant(), "note": text(),
    }  # fmt: skip


def read_rates(path: Path, scopes: Sequence[str], error: type[UsageError] = SiteError) -> "Rates":
    """The rates of a file; `error` names file, line and key of what is wrong, or both rows that overlap."""
    records = read_records(path, rate_fields(scopes), error)
    return Rates.of(_rates(records, scopes), scopes, error)


def _rates(records: Records, scopes: Sequence[str]) -> list[Rate]:
    out = []
    for place, row in records.rows():
        scope = tuple(row.pop(name) for name in scopes)
        out.append(Rate(place=place, scope=scope, **row | {"from_quantity": row["from_quantity"] or Decimal(0)}))
    return out


@dataclass(frozen=True)
class Rates:
    """The rates of one site that were found to be consistent; made by `Rates.of` or `read_rates`."""

    scopes: tuple[str, ...]
    rows: tuple[Rate, ...]
    _by_scope: Mapping[tuple[str, Scope], list[Rate]]

    @classmethod
    def of(cls, rows: Iterable[Rate], scopes: Sequence[str], error: type[UsageError] = SiteError) -> "Rates":
        """The rates; `error` for a bad amount, rows that overlap, or tiers without a row from quantity 0."""
        found = tuple(rows)
        by_scope = defaultdict(list)
        for row in found:
            _refuse_amounts(row, error)
            by_scope[row.meter, row.scope].append(row)
        for (meter, scope), some in by_scope.items():
            named = f"meter {meter} of {_scope_text(scopes, scope)}"
            refuse_overlaps(some, lambda row: row.from_quantity, f"rates of {named} and one from_quantity", error)
            _refuse_open_tiers(some, named, error)
        return cls(tuple(scopes), found, dict(by_scope))

    def within(self, scope: str, value: str) -> "Rates":
        """The rows that give this value for a scope, or none: what a file says of other sites names no meter here."""
        at = self.scopes.index(scope)
        return Rates.of((row for row in self.rows if row.scope[at] in {None, value}), self.scopes)

    @property
    def meters(self) -> list[str]:
        """Every meter that some row names, sorted."""
        return sorted({row.meter for row in self.rows})

    def named(self, scope: str) -> list[str]:
        """The values of a scope column that some row names, sorted."""
        at = self.scopes.index(scope)
        return sorted({value for row in self.rows if (value := row.scope[at]) is not None})

    def ladder(self, meter: str, scope: Scope, at: datetime) -> list[Rate]:
        """The rows that price a meter at an instant, by from_quantity: of the most specific scope that has any.

        `scope` gives a value (null = none known) for each scope column.
        """
        for mask in range(2 ** len(scope) - 1, -1, -1):
            wanted = tuple(value if mask >> place & 1 else None for place, value in enumerate(scope))
            if any(mask >> place & 1 and value is None for place, value in enumerate(scope)):
                continue
            rows = [row for row in self._by_scope.get((meter, wanted), ()) if row.covers(at)]
            if rows:
                return sorted(rows, key=lambda row: row.from_quantity)
        return []


def _refuse_amounts(row: Rate, error: type[UsageError]) -> None:
    faults = {
        "price": "is below 0" if row.price < 0 else None,
        "per_quantity": "must be above 0" if row.per_quantity <= 0 else None,
        "from_quantity": "is below 0" if row.from_quantity < 0 else None,
    }
    for key, fault in faults.items():
        if fault is not None:
            msg = f"{row.place}: {key}: {getattr(row, key)} {fault}"
            raise error(msg)
    row.refuse_empty(error)


def _refuse_open_tiers(rows: list[Rate], named: str, error: type[UsageError]) -> None:
    """`error` where a tier is valid at an instant at which the scope has no row from quantity 0."""
    edges = sorted({row.valid_from for row in rows} | {row.valid_to for row in rows if row.valid_to is not None})
    for at in edges:
        valid = [row for row in rows if row.covers(at)]
        if valid and all(row.from_quantity for row in valid):
            msg = (
                f"{valid[0].place}: from_quantity: tiers of {named} begin at {text_of(valid[0].from_quantity)} from "
                f"{at:%Y-%m-%dT%H:%M:%SZ} on; add a row from 0 with the same validity"
            )
            raise error(msg)


def _scope_text(scopes: Sequence[str], scope: Scope) -> str:
    given = [f"{name}={value}" for name, value in zip(scopes, scope, strict=True) if value is not None]
    return ", ".join(given) or "every scope"
