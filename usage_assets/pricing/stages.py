"""SQL of the rows to price, stage by stage: as codes and whole numbers, with their tariff, and what they come to.

Names in it: k_ key, o_ order, s_ code of a scope, q_ quantity, b_ quantity to bill; of the tariff n_ numerator of a
meter (null = no row applies), x_ no exchange rate, g_ group of rows whose quantities tiers add up, d denominator; f_n
and f_d the exchange rate of a stated amount. Quantities are HUGEINT, scaled by the places of `Stages.scales`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb

from usage_assets.core.errors import UsageError
from usage_assets.pricing.columns import Billing, Columns
from usage_assets.pricing.offers import Offers
from usage_assets.pricing.rates import Rates
from usage_assets.pricing.sql import LARGEST_COST, any_of, name, scaled, scaled_float
from usage_assets.pricing.values import QUANTITY_PLACES

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


@dataclass(frozen=True)
class Stages:
    """The relation to price and what is asked of it; `con` holds the temporary tables that the SQL reads."""

    con: duckdb.DuckDBPyConnection
    rows: str
    columns: Columns
    rates: Rates
    billing: Billing

    @cached_property
    def meters(self) -> list[str]:
        """The meters that some rate names; no other is read."""
        return self.rates.meters

    @property
    def keys(self) -> list[str]:
        """The key columns, numbered."""
        return [f"k_{i}" for i in range(len(self.columns.key))]

    @property
    def named_keys(self) -> list[str]:
        """The key columns under their own names."""
        return [f"{key} AS {name(column)}" for key, column in zip(self.keys, self.columns.key, strict=True)]

    @property
    def orders(self) -> list[str]:
        """The columns that order rows of one instant, numbered."""
        return [f"o_{i}" for i in range(len(self.columns.order or self.columns.key))]

    @cached_property
    def scopes(self) -> list[str]:
        """The scopes for which some rate gives a value, in rising weight."""
        return [scope for scope in self.rates.scopes if self.rates.named(scope)]

    @property
    def codes(self) -> list[str]:
        """The columns that say the tariff of a row: the segment of its instant, and the codes of its scopes."""
        return ["segment", *(f"s_{i}" for i in range(len(self.scopes)))]

    @cached_property
    def types(self) -> dict[str, str]:
        """DuckDB's type of each column of the rows."""
        found = self.con.execute(f"DESCRIBE SELECT * FROM {self.rows} AS r").fetchall()
        return {row[0]: row[1] for row in found}

    @cached_property
    def scales(self) -> list[int]:
        """Decimal places of each meter's whole numbers: none of whole numbers that are billed by whole ones."""
        plain = {meter for meter in self.meters if self._is_whole(meter)}
        for part, whole in self.billing.deducted.items():
            if not {part, whole} & set(self.meters) <= plain:
                plain -= {part, whole}
        return [0 if meter in plain else QUANTITY_PLACES for meter in self.meters]

    def _is_whole(self, meter: str) -> bool:
        kind = self.types.get(self.columns.quantities.get(meter, ""), "")
        starts = (row.from_quantity for row in self.rates.rows if row.meter == meter)
        return kind in _WHOLE and all(start == int(start) for start in starts)

    def coded(self) -> str:
        """SQL of the rows with numbered keys, codes of their scopes and whole quantities of the meters."""
        columns, stated = self.columns, self.columns.stated
        currency = self._column(columns.stated_currency, "NULL")
        zero = f"NOT coalesce({self._column(columns.zero_known, 'false')}, false)"
        unknown = f"{self._column(stated)} = 0 AND {zero}" if self.billing.zero_is_unknown else "false"
        picked = [
            *(f"{self._column(key)} AS k_{i}" for i, key in enumerate(columns.key)),
            *(f"{self._column(key)} AS o_{i}" for i, key in enumerate(columns.order or columns.key)),
            f"{self._column(columns.at)} AS instant", "seg.segment",
            *(f"coalesce(c_{i}.code, 0) AS s_{i}" for i in range(len(self.scopes))),
            *(f"{self._quantity(i)} AS q_{i}" for i in range(len(self.meters))),
            f"CAST({self._column(stated)} AS DECIMAL(38,12)) AS stated",
            f"coalesce({currency}, names.currency) AS stated_currency",
            f"coalesce({currency}, names.currency) = names.currency AS own",
            f"{self._column(stated)} IS NOT NULL AND NOT ({unknown}) AS is_stated",
            f"coalesce({self._column(columns.billed, 'true')}, false) AS is_billed",
        ]  # fmt: skip
        joins = [
            f"LEFT JOIN pricing_codes_{i} c_{i} ON {self._column(columns.scopes.get(scope))} = c_{i}.value"
            for i, scope in enumerate(self.scopes)
        ]
        at = self._column(columns.at)
        return f"""SELECT {", ".join(picked)}
FROM {self.rows} AS r CROSS JOIN pricing_names AS names
LEFT JOIN pricing_segments seg ON CAST({at} AS DATE) = seg.day AND {at} >= seg.starts AND {at} < seg.ends
{" ".join(joins)}"""

    def _column(self, column: str | None, otherwise: str = "NULL") -> str:
        if column is None:
            return otherwise
        if column not in self.types:
            msg = f"the rows to price have no column {column}; they have {', '.join(self.types)}"
            raise UsageError(msg)
        return f"r.{name(column)}"

    def _quantity(self, meter: int) -> str:
        """HUGEINT of a meter's quantity."""
        column = self.columns.quantities.get(self.meters[meter])
        if column is None and self.columns.meters is not None:
            return scaled(f"{self._column(self.columns.meters)}[names.meter_{meter}]", QUANTITY_PLACES)
        value = self._column(column)
        if not self.scales[meter]:
            return f"CAST({value} AS HUGEINT)"
        kind = self.types.get(column or "")
        if kind == "DOUBLE":
            return scaled_float(value, QUANTITY_PLACES)
        return scaled(f"CAST({value} AS VARCHAR)" if kind == "FLOAT" else value, QUANTITY_PLACES)

    def billable(self, meter: int) -> str:
        """HUGEINT of what is billed of a meter: without its parts that a row of their own applies to."""
        parts = [self.meters.index(part) for part, whole in self.billing.deducted.items()
                 if whole == self.meters[meter] and part in self.meters]  # fmt: skip
        if not parts:
            return f"q_{meter}"
        taken = " - ".join(f"CASE WHEN n_{part} IS NULL THEN 0 ELSE coalesce(q_{part}, 0) END" for part in parts)
        return f"CASE WHEN q_{meter} IS NOT NULL THEN greatest(q_{meter} - {taken}, 0) END"


def priced(stages: Stages, offers: Offers) -> str:
    """SQL of the common table expression `priced` and those it reads.

    The coded rows with their tariff; `rated`: whether rates give an amount, `lost`: whether part of it has no exchange
    rate, `flat`: the amount of meters without tiers in 1e-12 / d, null where it is not exact in 128 bits.
    """
    meters = range(len(stages.meters))
    optional = stages.billing.optional
    known = any_of(f"n_{i} IS NOT NULL AND b_{i} IS NOT NULL" for i in meters)
    lacking = any_of(f"n_{i} IS NULL AND b_{i} > 0" for i in meters if stages.meters[i] not in optional)
    lost = any_of(f"x_{i} AND b_{i} IS NOT NULL" for i in meters)
    on = " AND ".join(f"coded.{code} = offers.{code}" for code in stages.codes)
    billed = "".join(f", {stages.billable(i)} AS b_{i}" for i in meters)
    return f"""coded AS ({stages.coded()}),
billable AS (
    SELECT coded.*, offers.* EXCLUDE ({", ".join(stages.codes)}), f_n, f_d{billed}
    FROM coded LEFT JOIN pricing_offers AS offers ON {on}
    LEFT JOIN pricing_conversions AS f ON coded.stated_currency = f.currency AND coded.segment = f.segment
),
priced AS (
    SELECT *, NOT is_stated AND is_billed AND {known} AND NOT {lacking} AS rated, {lost} AS lost,
        {_flat(meters, offers)} AS flat
    FROM billable
)"""


def _flat(meters: Sequence[int], offers: Offers) -> str:
    terms = []
    for i in meters:
        term = f"coalesce(b_{i} * n_{i}, 0)"
        terms.append(f"CASE WHEN g_{i} IS NULL THEN {term} ELSE 0 END" if i in offers.tiered else term)
    total = " + ".join(["0::HUGEINT", *terms])
    return total if offers.fit else f"CASE WHEN NOT hard AND TRY({total}) // d < {LARGEST_COST} THEN TRY({total}) END"
