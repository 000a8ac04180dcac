"""The cost of a service's requests with the column names of FOCUS 1.2, and the provider columns of 1.3 beside them.

A row is what the requests of a UTC day cost by user, team, model and provider. A fact has one exact cost of the whole
request, rounded once: it can't be split by meter, so SkuMeter is null. Requests whose cost is not known have no row;
the usage report counts them.
"""

from pathlib import Path
from typing import Any

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.reports.content import UsageReport
from usage_assets.kinds.service.reports.forms import csv_of, parquet_of
from usage_assets.warehouse import Reader

_CHARGES = f"""
WITH charged AS (
  SELECT date_trunc('day', coalesce(ended_at, submitted_at))::TIMESTAMP AS day_at, month, user_id, team_id, model_id,
         provider, session_id, cost, requests,
         CASE WHEN coalesce(input_tokens, output_tokens) IS NOT NULL
              THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) END AS tokens
  FROM {SERVICE_REQUESTS.qualified}
  WHERE site = $site AND month BETWEEN $first AND $last AND cost IS NOT NULL
    AND coalesce(ended_at, submitted_at) >= $start::TIMESTAMP AND coalesce(ended_at, submitted_at) < $end::TIMESTAMP
), added AS (
  SELECT day_at, month, user_id, team_id, model_id, provider, sum(cost) AS cost, sum(requests)::BIGINT AS requests,
         sum(tokens)::BIGINT AS tokens,
         CASE WHEN count(session_id) = count(*) AND min(session_id) = max(session_id)
              THEN min(session_id) END AS session
  FROM charged GROUP BY ALL
)
SELECT *, json_merge_patch('{{}}', json_object('session', session, 'user', nullif(user_id, '{NONE}')))::VARCHAR AS tags
FROM added ORDER BY day_at, user_id, team_id, model_id, provider
"""
_MONEY, _INSTANT = pl.Decimal(38, 12), pl.Datetime("us", "UTC")
_KEY = ("ChargePeriodStart", "x_UserId", "SubAccountId", "ResourceId", "HostProviderName")
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


def focus_rows(reader: Reader, report: UsageReport, previous: pl.DataFrame | None = None) -> pl.DataFrame:
    """The charges of a report's period, see COLUMNS; their BilledCost adds up to the known costs of the facts.

    `previous` is an earlier export of the period. Where it had a month as complete, charges that differ from it are
    ChargeClass `Correction`, and one that is no more has a row of cost 0.
    """
    period = report.period
    months = {"first": period.months[0], "last": period.months[-1]}
    found = reader.sql(_CHARGES, {"site": report.site, "start": period.start, "end": period.end} | months)
    states = report.months.select("month", x_MonthState="state")
    rows = found.join(states, on="month", how="left", maintain_order="left").select(**_columns(report)).cast(_types())
    return rows if previous is None else _corrected(rows, previous)


def focus_files(report: UsageReport, rows: pl.DataFrame) -> dict[str, bytes]:
    """CSV and Parquet of the charges, by file name."""
    text = rows.with_columns(
        pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in rows.columns if name[-5:] in _ENDS
    )
    return {f"{report.stem}_focus.csv": csv_of(text), f"{report.stem}_focus.parquet": parquet_of(rows)}


_ENDS = ("Start", "odEnd")


def last_export(report: UsageReport, folder: Path) -> Path | None:
    """The newest export of the same site and period in a folder that was made of other data."""
    every = folder.glob(f"{report.site}_{report.period.name}_*_focus.parquet")
    others = [path for path in every if path.name != f"{report.stem}_focus.parquet"]
    return max(others, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def read_export(path: Path) -> pl.DataFrame:
    """An earlier export as `focus_rows` gave it; UsageError where a file is none."""
    try:
        found = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path.name} can't be read as an earlier export ({' '.join(str(error).split())[:200]}); remove it"
        raise UsageError(msg) from None
    if missing := sorted(set(COLUMNS) - set(found.columns)):
        msg = f"{path.name} is no earlier export: it lacks {', '.join(missing[:5])}; remove it"
        raise UsageError(msg)
    return found.select(list(COLUMNS)).cast(_types())


def _types() -> Any:
    return COLUMNS  # a mapping of names, which polars' types do not tell from one of types


def _columns(report: UsageReport) -> dict[str, pl.Expr]:
    """FOCUS column -> how it is made of a charge."""
    month, day = pl.col("month").cast(pl.Datetime("us")), pl.col("day_at")
    # facts know who ran a model, not who made it
    provider = pl.when(pl.col("provider") != NONE).then("provider").otherwise(pl.lit(report.name))
    texts = {
        "BillingAccountId": report.site, "BillingAccountName": report.name, "BillingCurrency": report.currency,
        "ChargeCategory": "Usage", "ChargeClass": None, "InvoiceIssuerName": report.name, "PricingUnit": "Requests",
        "ServiceCategory": _CATEGORY, "ServiceSubcategory": _SUBCATEGORY, "ServiceName": report.name,
        "ResourceType": "Model", "SkuId": None, "SkuMeter": None, "SkuPriceId": None,
    }  # fmt: skip
    made: dict[str, pl.Expr] = {name: pl.lit(text, dtype=pl.String) for name, text in texts.items()}
    made |= dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), pl.col("cost"))
    made |= dict.fromkeys(("ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName"), provider)
    made |= dict.fromkeys(("SubAccountId", "SubAccountName"), pl.col("team_id"))
    made |= dict.fromkeys(("ResourceId", "ResourceName"), pl.col("model_id"))
    made |= {
        "BillingPeriodStart": month.dt.replace_time_zone("UTC"),
        "BillingPeriodEnd": month.dt.offset_by("1mo").dt.replace_time_zone("UTC"),
        "ChargePeriodStart": day.dt.replace_time_zone("UTC"),
        "ChargePeriodEnd": day.dt.offset_by("1d").dt.replace_time_zone("UTC"),
        "ChargeDescription": pl.lit("Requests to ") + pl.col("model_id"),
        "PricingQuantity": pl.col("requests"),
        "ConsumedQuantity": pl.col("tokens"),
        "ConsumedUnit": pl.when(pl.col("tokens").is_not_null()).then(pl.lit("Tokens")),
        "Tags": pl.col("tags"),
        "x_UserId": pl.col("user_id"),
        "x_MonthState": pl.col("x_MonthState"),
    }
    return {name: made[name] for name in COLUMNS}


def _corrected(rows: pl.DataFrame, previous: pl.DataFrame) -> pl.DataFrame:
    """The rows, those that differ from an earlier export of a complete month marked, and those that are gone as 0."""
    costs = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity")
    correction = pl.lit("Correction")
    closed = previous.filter(pl.col("x_MonthState") == "complete")
    same = (*_KEY, "BilledCost", "PricingQuantity", "ConsumedQuantity")
    unchanged = rows.join(closed, on=same, how="semi", nulls_equal=True).select(_KEY).with_columns(same=True)
    of_closed = closed.select("BillingPeriodStart").unique().with_columns(closed=True)
    marked = (
        rows.join(unchanged, on=_KEY, how="left", nulls_equal=True, maintain_order="left")
        .join(of_closed, on="BillingPeriodStart", how="left", maintain_order="left")
        .with_columns(ChargeClass=pl.when(pl.col("closed") & pl.col("same").is_null()).then(correction))
        .select(list(COLUMNS))
    )
    gone = closed.join(rows, on=_KEY, how="anti", nulls_equal=True).with_columns(
        *(pl.lit(0).cast(COLUMNS[name]).alias(name) for name in costs), ChargeClass=correction
    )
    order = ("ChargePeriodStart", "x_UserId", "SubAccountId", "ResourceId", "HostProviderName")
    return pl.concat([marked, gone]).sort(order, maintain_order=True) if gone.height else marked
