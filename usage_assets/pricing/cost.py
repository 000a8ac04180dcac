"""Cost of every row of a relation: as its source stated it, else by rates, else null.

`cost_query` gives the SQL of (key columns, cost DECIMAL(38,12), cost_source), a row per row of the relation:

- `stated`: the source's own amount, converted where it is in another currency;
- `rated`: the sum over meters of quantity / per_quantity x price, converted where a rate is in another currency; exact,
  rounded once half even to 12 places;
- `unconverted`: an amount in a currency without an exchange rate at that instant; cost is null, no rate is tried;
- `unrated`: cost is null. No row applies to a known quantity, a meter that some row names has a positive quantity and
  no row that applies, or the row is not to be billed.

Quantities are whole numbers, decimals or floats. Decimals and floats count with 9 places (floats by their shortest
decimal text); a null quantity is not known. Instants are naive UTC; a row without one has no rate.
"""

import duckdb

from usage_assets.pricing.columns import Billing, Columns
from usage_assets.pricing.exact import keep_exact
from usage_assets.pricing.exchange import ExchangeRates
from usage_assets.pricing.offers import Offers, keep_conversions, keep_lookups, keep_offers
from usage_assets.pricing.rates import Rates
from usage_assets.pricing.sql import half_even, scaled, unscaled
from usage_assets.pricing.stages import Stages, priced
from usage_assets.pricing.tariffs import Segments, Tariffs
from usage_assets.pricing.tiers import keep_parts

__all__ = ["Billing", "Columns", "cost_query"]


def cost_query(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    columns: Columns,
    *,
    rates: Rates,
    billing: Billing,
    exchange: ExchangeRates | None = None,
) -> str:
    """SQL of the key columns, `cost` and `cost_source` of every row of `rows`, a table or a query in parentheses.

    It reads the rows for their days, scopes and largest quantities, and puts what these cost into temporary tables
    `pricing_*` of the connection; the next call replaces them, so run the query before it. `rows` must hold whole UTC
    months of what has tiers. Memory does not grow with the rows, but where tiers sort those of their scopes.
    """
    exchange = exchange or ExchangeRates()
    segments = Segments.of(rates, exchange)
    stages = Stages(con, rows, columns, rates, billing)
    keep_lookups(stages, segments)
    tariffs = Tariffs(rates, exchange, billing.currency, segments, stages.scales)
    offers = keep_offers(stages, tariffs)
    converted = keep_conversions(stages, exchange, segments)
    if offers.tiered:
        keep_parts(stages, offers)
    exact = not (offers.fit and converted)
    if exact:
        keep_exact(stages, offers)
    return _query(stages, offers, exact=exact)


def _query(stages: Stages, offers: Offers, *, exact: bool) -> str:
    keys = ", ".join(stages.keys)
    named = ", ".join(stages.named_keys)
    joins = f" LEFT JOIN pricing_parts USING ({keys})" if offers.tiered else ""
    joins += f" LEFT JOIN pricing_exact USING ({keys})" if exact else ""
    total = "flat + coalesce(parts, 0)" if offers.tiered else "flat"
    abroad = f"{scaled('stated', 12)} * f_n"
    whole = half_even("total", "divisor")
    return f"""WITH {priced(stages, offers)},
totals AS (
    SELECT *, TRY(CASE WHEN is_stated AND NOT own THEN {abroad} WHEN rated AND NOT lost THEN {total} END) AS total,
        CASE WHEN is_stated THEN f_d ELSE d END AS divisor
    FROM priced{joins}
),
wholes AS (SELECT *, {f"coalesce(exact, {whole})" if exact else whole} AS whole FROM totals)
SELECT {named}, CASE WHEN is_stated AND own THEN stated ELSE {unscaled("whole", 12)} END AS cost,
    CASE WHEN is_stated THEN CASE WHEN own OR f_n IS NOT NULL THEN 'stated' ELSE 'unconverted' END
        WHEN rated THEN CASE WHEN lost THEN 'unconverted' ELSE 'rated' END ELSE 'unrated' END AS cost_source
FROM wholes"""
