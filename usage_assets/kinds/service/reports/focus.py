"""The cost of a service's requests with the column names of FOCUS 1.2, and the provider columns of 1.3 beside them.

A row is what the requests of a UTC day cost by user, team, model and provider. A fact has one exact cost of the whole
request, rounded once: it can't be split by meter, so SkuMeter is null. Requests whose cost is not known have no row;
the usage report counts them. Rows are made day by day and written as they are made: a month may have millions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.core.months import month_of, next_month
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.reports.content import UsageReport
from usage_assets.warehouse import Reader

AT_ONCE = 50_000
"""Rows that are in memory with all their columns."""
_CHARGES = f"""
WITH charged AS (
  SELECT user_id, team_id, model_id, CASE WHEN provider = '{NONE}' THEN $name ELSE provider END AS provider, session_id,
         cost, requests,
         CASE WHEN coalesce(input_tokens, output_tokens) IS NOT NULL
              THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) END AS tokens
  FROM {SERVICE_REQUESTS.qualified}
  WHERE site = $site AND month = $month AND cost IS NOT NULL
    AND coalesce(ended_at, submitted_at) >= $day::TIMESTAMP
    AND coalesce(ended_at, submitted_at) < $day::TIMESTAMP + INTERVAL 1 DAY
), added AS (
  SELECT user_id, team_id, model_id, provider, sum(cost) AS cost, sum(requests)::BIGINT AS requests,
         sum(tokens)::BIGINT AS tokens,
         CASE WHEN count(session_id) = count(*) AND min(session_id) = max(session_id)
              THEN min(session_id) END AS session
  FROM charged GROUP BY ALL
)
SELECT * EXCLUDE (session),
       json_merge_patch('{{}}', json_object('session', session, 'user', nullif(user_id, '{NONE}')))::VARCHAR AS tags
FROM added
"""
_MONEY, _INSTANT = pl.Decimal(38, 12), pl.Datetime("us", "UTC")
_KEY = ("user_id", "team_id", "model_id", "provider")
_EARLIER = {
    "x_UserId": "user_id", "SubAccountId": "team_id", "ResourceId": "model_id", "HostProviderName": "provider",
    "BilledCost": "cost", "PricingQuantity": "requests", "ConsumedQuantity": "tokens", "Tags": "tags",
}  # fmt: skip
"""Column of an export -> column of a charge."""
_ONE_DAY = timedelta(days=1)
_CATEGORY, _SUBCATEGORY = "AI and Machine Learning", "Generative AI"
COLUMNS: dict[str, pl.DataType] = {
    "BilledCost": _MONEY, "EffectiveCost": _MONEY, "ListCost": _MONEY, "ContractedCost": _MONEY,
    "BillingAccountId": pl.String(), "BillingAccountName": pl.String(), "BillingCurrency": pl.String(),
    "BillingPeriodStart": _INSTANT, "BillingPeriodEnd": _INSTANT,
    "ChargePeriodStart": _INSTANT, "ChargePeriodEnd": _INSTANT,
    "ChargeCategory": pl.String(), "ChargeClass": pl.String(), "ChargeDescription": pl.String(),
    "InvoiceIssuerName": pl.String(), "PricingQuantity": pl.Int64(), "PricingUnit": pl.String(),
    "ProviderName": pl.String(), "PublisherName": pl.String(),
    "ServiceProviderName": pl.String(), "HostProviderName": pl.String(),
    "ServiceCategory": pl.String(), "ServiceSubcategory": pl.String(), "ServiceName": pl.String(),
    "SubAccountId": pl.String(), "SubAccountName": pl.String(),
    "ResourceId": pl.String(), "ResourceName": pl.String(), "ResourceType": pl.String(),
    "SkuId": pl.String(), "SkuMeter": pl.String(), "SkuPriceId": pl.String(),
    "ConsumedQuantity": pl.Int64(), "ConsumedUnit": pl.String(), "Tags": pl.String(),
    "x_UserId": pl.String(), "x_MonthState": pl.String(),
}  # fmt: skip
"""Columns of the export; the last two are ours: who asked, and how final the month was, see content.STATES."""


@dataclass(frozen=True)
class Earlier:
    """An earlier export of the same period, and the months that it had as complete."""

    path: Path
    months: frozenset[date]

    @classmethod
    def of(cls, path: Path) -> "Earlier":
        """The export in a Parquet file; UsageError where it is none."""
        try:
            there = pl.read_parquet_schema(path)
            if missing := sorted(set(COLUMNS) - set(there)):
                msg = f"{path.name} is no earlier export: it lacks {', '.join(missing[:5])}; remove it"
                raise UsageError(msg)
            complete = pl.scan_parquet(path).filter(pl.col("x_MonthState") == "complete")
            months = complete.select("BillingPeriodStart").unique().collect()["BillingPeriodStart"]
        except (OSError, pl.exceptions.PolarsError) as error:
            text = " ".join(str(error).split())[:200]
            msg = f"{path.name} can't be read as an earlier export ({text}); remove it"
            raise UsageError(msg) from None
        return cls(path, frozenset(month.date() for month in months))

    def charges(self, day: date) -> pl.DataFrame:
        """What it had of a day, as charges."""
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        of_day = pl.scan_parquet(self.path).filter(pl.col("ChargePeriodStart") == at)
        return of_day.select(pl.col(name).alias(own) for name, own in _EARLIER.items()).collect()


def last_export(report: UsageReport, folder: Path) -> Earlier | None:
    """The newest export of the same site and period in a folder that was made of other data."""
    every = folder.glob(f"{report.site}_{report.period.name}_*_focus.parquet")
    others = [path for path in every if path.name != f"{report.stem}_focus.parquet"]
    newest = max(others, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
    return None if newest is None else Earlier.of(newest)


def focus_rows(reader: Reader, report: UsageReport, earlier: Earlier | None = None) -> Iterator[pl.DataFrame]:
    """The charges of a report's period in the order of their days, see COLUMNS, in parts of at most AT_ONCE rows.

    Their BilledCost adds up to the known costs of the facts. Where an earlier export had a month as complete, charges
    that differ from it are ChargeClass `Correction`, and one that is no more has a row of cost 0.
    """
    states = dict(report.months.select("month", "state").iter_rows())
    day = report.period.start
    while day < report.period.end:
        params = {"site": report.site, "name": report.name, "month": month_of(day), "day": day}
        charges = reader.sql(_CHARGES, params).with_columns(charge_class=pl.lit(None, dtype=pl.String))
        if earlier is not None and month_of(day) in earlier.months:
            charges = _corrected(charges, earlier.charges(day))
        charges = charges.sort(_KEY, nulls_last=True)
        columns = _columns(report, day, states[month_of(day)])
        for part in charges.iter_slices(AT_ONCE):
            yield part.select(**columns).cast(_types())
        day += _ONE_DAY


def _types() -> Any:
    return COLUMNS  # a mapping of names, which polars' types do not tell from one of types


def _corrected(charges: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The charges of a day, those that differ from before marked, and those that are gone with a cost of 0."""
    same = [*_KEY, "cost", "requests", "tokens"]
    before = before.cast(dict(charges.select(before.columns).schema))  # type: ignore[arg-type]  # a mapping of names
    kept = charges.join(before, on=same, how="semi", nulls_equal=True)
    changed = charges.join(before, on=same, how="anti", nulls_equal=True)
    gone = before.join(charges, on=_KEY, how="anti", nulls_equal=True).with_columns(
        pl.lit(0).cast(charges.schema[name]).alias(name) for name in ("cost", "requests", "tokens")
    )
    fresh = pl.concat([changed.drop("charge_class"), gone.select(changed.drop("charge_class").columns)])
    return pl.concat([kept, fresh.with_columns(charge_class=pl.lit("Correction")).select(kept.columns)])


def _columns(report: UsageReport, day: date, month_state: str) -> dict[str, pl.Expr]:
    """FOCUS column -> how it is made of a charge of a day."""
    texts = {
        "BillingAccountId": report.site, "BillingAccountName": report.name, "BillingCurrency": report.currency,
        "ChargeCategory": "Usage", "InvoiceIssuerName": report.name, "PricingUnit": "Requests",
        "ServiceCategory": _CATEGORY, "ServiceSubcategory": _SUBCATEGORY, "ServiceName": report.name,
        "ResourceType": "Model", "SkuId": None, "SkuMeter": None, "SkuPriceId": None, "x_MonthState": month_state,
    }  # fmt: skip
    month = month_of(day)
    instants = {
        "BillingPeriodStart": month, "BillingPeriodEnd": next_month(month),
        "ChargePeriodStart": day, "ChargePeriodEnd": day + _ONE_DAY,
    }  # fmt: skip
    made: dict[str, pl.Expr] = {name: pl.lit(text, dtype=pl.String) for name, text in texts.items()}
    made |= {name: pl.lit(at).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") for name, at in instants.items()}
    made |= dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), pl.col("cost"))
    # facts know who ran a model, not who made it; where not even that is known the service answers for it
    providers = ("ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName")
    made |= dict.fromkeys(providers, pl.col("provider"))
    made |= dict.fromkeys(("SubAccountId", "SubAccountName"), pl.col("team_id"))
    made |= dict.fromkeys(("ResourceId", "ResourceName"), pl.col("model_id"))
    made |= {
        "ChargeClass": pl.col("charge_class"),
        "ChargeDescription": pl.lit("Requests to ") + pl.col("model_id"),
        "PricingQuantity": pl.col("requests"),
        "ConsumedQuantity": pl.col("tokens"),
        "ConsumedUnit": pl.when(pl.col("tokens").is_not_null()).then(pl.lit("Tokens")),
        "Tags": pl.col("tags"),
        "x_UserId": pl.col("user_id"),
    }
    return {name: made[name] for name in COLUMNS}
