"""What requests cost: as the source states it in the site's currency; null where nothing says it."""

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS

_KEPT = tuple(name for name in SERVICE_REQUESTS.names if name not in {"cost", "cost_source"})


def with_cost(requests: str, *, zero_is_unknown: bool) -> str:
    """The rows of `requests` with cost and cost_source; `$currency` is the site's.

    With `zero_is_unknown` a stated 0 counts as not stated, but where cost_known says that it is a price.
    """
    unknown = "stated_cost = 0 AND cost_known IS DISTINCT FROM true" if zero_is_unknown else "false"
    return f"""WITH stated AS (
    SELECT *, CASE WHEN {unknown} THEN NULL ELSE stated_cost END AS known_cost,
        coalesce(stated_currency, $currency) = $currency AS is_own
    FROM ({requests})
)
SELECT {", ".join(_KEPT)}, CASE WHEN is_own THEN known_cost END AS cost,
    CASE WHEN known_cost IS NULL THEN 'unrated' WHEN is_own THEN 'stated' ELSE 'unconverted' END AS cost_source
FROM stated"""
