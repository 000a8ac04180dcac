"""Tiers: what each row's part of a month's quantity costs, in the order in which the rows reached it."""

from usage_assets.pricing.offers import Offers
from usage_assets.pricing.sql import any_of, keep
from usage_assets.pricing.stages import Stages, priced


def keep_parts(stages: Stages, offers: Offers) -> None:
    """Tables of what the month had reached before each row with tiers, and of the cost of its parts (1e-12 / d).

    Rows of one meter and scope that are rated add up per UTC month, also while the scope has a single price.
    """
    _keep_rungs(stages, offers)
    keys, orders = ", ".join(stages.keys), ", ".join(stages.orders)
    entries = ", ".join(f"{{'meter': {i}, 'scope': g_{i}, 'quantity': b_{i}}}" for i in offers.tiered)
    stages.con.execute(f"""CREATE OR REPLACE TEMP TABLE pricing_reached AS
WITH {priced(stages, offers)},
entries AS (
    SELECT {keys}, {orders}, instant, tariff, unnest([{entries}]) AS entry
    FROM priced WHERE rated AND {any_of(f"g_{i} IS NOT NULL" for i in offers.tiered)}
)
SELECT {keys}, tariff, entry.meter AS meter, entry.quantity AS quantity, coalesce(sum(entry.quantity) OVER (
        PARTITION BY entry.meter, entry.scope, date_trunc('month', instant) ORDER BY instant, {orders}
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS reached
FROM entries WHERE entry.scope IS NOT NULL AND entry.quantity > 0""").fetchall()
    until = "(reached + quantity)"
    stages.con.execute(f"""CREATE OR REPLACE TEMP TABLE pricing_parts AS
SELECT {keys}, sum((least(coalesce(ends, {until}), {until}) - greatest(starts, reached)) * n) AS parts
FROM pricing_reached JOIN pricing_rungs USING (tariff, meter)
WHERE starts < {until} AND (ends IS NULL OR ends > reached)
GROUP BY {keys}""").fetchall()


def _keep_rungs(stages: Stages, offers: Offers) -> None:
    rows = [
        (number, meter, rung.start, rung.end, tariff.numerator(rung))
        for number, tariff in enumerate(offers.tariffs)
        if number not in offers.hard
        for meter, rungs in tariff.rungs
        if (meter, tariff.scope_of(meter)) in offers.groups
        for rung in rungs
    ]
    kinds = {"tariff": "INTEGER", "meter": "INTEGER", "starts": "HUGEINT", "ends": "HUGEINT", "n": "HUGEINT"}
    keep(stages.con, "pricing_rungs", kinds, rows)
