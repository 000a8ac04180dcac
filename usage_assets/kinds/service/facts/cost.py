"""What requests cost: as the source states it, else by the site's rates; null where nothing says it."""

from collections.abc import Iterable, Iterator

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.pricing.columns import Billing, Columns
from usage_assets.pricing.cost import cost_query
from usage_assets.pricing.exchange import ExchangeRates, read_exchange_rates
from usage_assets.pricing.rates import Rates, read_rates
from usage_assets.warehouse import Query, Writer, bound

SCOPES = ("site", "provider", "model_id")
"""What a rate may be for, in rising weight."""
OPTIONAL = frozenset({"requests", "duration_s", "cached_tokens"})
"""Meters that are billed only where a rate applies to them."""
_KEPT = tuple(name for name in SERVICE_REQUESTS.names if name not in {"cost", "cost_source"})
_COLUMNS = Columns(
    key=("number",),
    at="ended_at",
    order=("request_id",),
    scopes={name: name for name in SCOPES},
    quantities={
        "requests": "succeeded_requests",
        **{name: name for name in ("input_tokens", "output_tokens", "cached_tokens", "duration_s")},
    },
    meters="meters",
    stated="stated_cost",
    stated_currency="stated_currency",
    zero_known="cost_known",
)
_FOLDED = "service_folded"


def rates_of(site: ServiceSite) -> Rates:
    """The rates that hold at the site; SiteError names file, line and key of a fault."""
    rates = Rates.of((), SCOPES) if site.rates is None else read_rates(site.rates, SCOPES)
    return rates.within("site", site.key)


def exchange_of(site: ServiceSite) -> ExchangeRates:
    """The exchange rates of the site; SiteError names file, line and key of a fault."""
    return ExchangeRates() if site.exchange_rates is None else read_exchange_rates(site.exchange_rates)


def priced(writer: Writer, site: ServiceSite, parts: Iterable[Query]) -> Iterator[Query]:
    """Rows of facts.service_requests from rows without `cost` and `cost_source`, all of one month in some parts.

    The parts are priced one by one; together where rates have tiers, which rise over the month's requests.
    """
    if site.rates is None and site.exchange_rates is None:
        for part in parts:
            yield _as_stated(part, site)
        return
    rates, exchange = rates_of(site), exchange_of(site)
    billing = Billing(
        currency=site.currency,
        optional=OPTIONAL,
        deducted={"cached_tokens": "input_tokens"},
        zero_is_unknown=site.zero_cost == "unknown",
    )
    groups = [list(parts)] if any(rate.from_quantity for rate in rates.rows) else ([part] for part in parts)
    for group in groups:
        _keep(writer, group)
        numbered = f"(SELECT rowid AS number, * FROM {_FOLDED})"
        costs = cost_query(writer.con, numbered, _COLUMNS, rates=rates, billing=billing, exchange=exchange)
        kept = ", ".join(f"f.{name}" for name in _KEPT)
        yield Query(f"SELECT {kept}, c.cost, c.cost_source FROM {_FOLDED} f JOIN ({costs}) c ON f.rowid = c.number")
    writer.con.execute(f"DROP TABLE IF EXISTS {_FOLDED}").fetchall()


def _keep(writer: Writer, parts: Iterable[Query]) -> None:
    """Put the rows of some parts into a temporary table."""
    create = f"CREATE OR REPLACE TEMP TABLE {_FOLDED} AS"
    for part in parts:
        succeeded = "CASE WHEN final_state = 'succeeded' THEN requests END AS succeeded_requests"
        columns = f"{', '.join(_KEPT)}, cost_known, {succeeded}"
        writer.con.execute(f"{create} SELECT {columns} FROM ({part.sql})", bound(part.params)).fetchall()
        create = f"INSERT INTO {_FOLDED}"


def _as_stated(part: Query, site: ServiceSite) -> Query:
    """The rows with the cost that is stated in the site's currency."""
    unknown = "stated_cost = 0 AND cost_known IS DISTINCT FROM true" if site.zero_cost == "unknown" else "false"
    sql = f"""WITH stated AS (
    SELECT *, CASE WHEN {unknown} THEN NULL ELSE stated_cost END AS known_cost,
        coalesce(stated_currency, $currency) = $currency AS is_own
    FROM ({part.sql})
)
SELECT {", ".join(_KEPT)}, CASE WHEN is_own THEN known_cost END AS cost,
    CASE WHEN known_cost IS NULL THEN 'unrated' WHEN is_own THEN 'stated' ELSE 'unconverted' END AS cost_source
FROM stated"""
    return Query(sql, {**part.params, "currency": site.currency})
