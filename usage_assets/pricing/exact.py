"""Costs whose sums do not fit 128 bits, computed as fractions of any size: few rows, if any."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from usage_assets.core.errors import UsageError
from usage_assets.pricing.offers import Offers
from usage_assets.pricing.sql import LARGEST_COST, keep, scaled
from usage_assets.pricing.stages import Stages, priced

_BATCH = 20_000
_LARGEST = 10**38


def keep_exact(stages: Stages, offers: Offers) -> None:
    """The table of the cost in 1e-12 (`exact`) of each row whose own sum or product is too large."""
    con, keys = stages.con, ", ".join(stages.keys)
    meters = range(len(stages.meters))
    reached = "".join(
        f", (SELECT any_value(reached) FROM pricing_reached p WHERE p.meter = {i} AND {_same(stages)}) AS r_{i}"
        for i in offers.tiered
    )
    fits = f"coalesce(TRY({scaled('stated', 12)} * f_n) // f_d < {LARGEST_COST}, false)"
    abroad = f"is_stated AND NOT own AND f_n IS NOT NULL AND NOT {fits}"
    con.execute(f"""CREATE OR REPLACE TEMP TABLE pricing_hard AS
WITH {priced(stages, offers)},
overflowed AS (SELECT * FROM priced WHERE (rated AND NOT lost AND flat IS NULL) OR ({abroad}))
SELECT row_number() OVER () AS number, {keys}, CASE WHEN is_stated THEN stated END AS stated, f_n, f_d, tariff
    {"".join(f", b_{i}" for i in meters)}{reached}
FROM overflowed""").fetchall()
    con.execute(f"CREATE OR REPLACE TEMP TABLE pricing_exact AS SELECT {keys}, 0::HUGEINT AS exact "
                "FROM pricing_hard WHERE false").fetchall()  # fmt: skip
    count = con.execute("SELECT count(*) FROM pricing_hard").fetchall()[0][0]
    for first in range(0, count, _BATCH):
        rows = con.execute(f"SELECT number, * EXCLUDE (number, {keys}) FROM pricing_hard WHERE number > $first "
                           "AND number <= $last", {"first": first, "last": first + _BATCH}).fetchall()  # fmt: skip
        costs = [(str(row[0]), _cost(row[1:], stages, offers)) for row in rows]
        keep(con, "pricing_batch", {"number": "HUGEINT", "exact": "HUGEINT"}, costs)
        con.execute(f"INSERT INTO pricing_exact SELECT {keys}, exact FROM pricing_hard "
                    "JOIN pricing_batch USING (number)").fetchall()  # fmt: skip


def _same(stages: Stages) -> str:
    return " AND ".join(f"p.{key} = overflowed.{key}" for key in stages.keys)


def _cost(row: Sequence[Any], stages: Stages, offers: Offers) -> int:
    """The cost in 1e-12 of (stated, f_n, f_d, tariff, quantities, reached)."""
    stated, f_n, f_d, tariff, *numbers = row
    meters = len(stages.meters)
    if stated is not None:
        cost = round(Fraction(stated) * 10**12 * f_n / f_d)
    else:
        quantities = {i: value for i, value in enumerate(numbers[:meters]) if value is not None}
        reached = {i: value or 0 for i, value in zip(offers.tiered, numbers[meters:], strict=True)}
        cost = offers.tariffs[tariff].cost(quantities, reached)
    if cost >= _LARGEST:
        msg = f"a cost of {cost // 10**12} {stages.billing.currency} has more than 26 digits: look at its quantities"
        raise UsageError(msg)
    return cost
