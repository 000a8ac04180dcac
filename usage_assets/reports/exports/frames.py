"""Rows of the exported tables from a site's usage: frames in, frames out.

Unknown values are null and stay null. Only what a site can't have at all is filled with 0, see `filled_columns`.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Literal

import polars as pl

from usage_assets.reports.exports.reading import PARITY_METRICS
from usage_assets.reports.exports.tables import PARITY, USAGE_LONG, USAGE_WIDE
from usage_assets.timelines.usage import Scope

_OF_METRIC = {name: name for name in ("total", "reservable", "committed", "occupied_ondemand")}
_OF_METRIC["occupied_reserved"] = "occupied_reservation"
_ACTIVE = {"active_ondemand": "occupied_ondemand", "active_reserved": "occupied_reserved"}
_BUCKET = ["month", "timestamp", "resource"]
_DECIMALS = 9
_DUST = 6  # decimals of hours below which a difference is the rounding of sums

Filled = Literal["no such thing at the site", "not counted: a copy of occupied"]


def filled_columns(counted: Collection[str]) -> dict[str, Filled]:
    """Columns of usage_wide that are filled instead of measured, and with what.

    A site that counts servers but none of a booking has no such booking; one that counts machines but nothing
    reservable has nothing to reserve: 0. Activity that the site does not count is a copy of occupancy. What a site
    might have but does not count stays null.
    """
    out: dict[str, Filled] = {}
    serves = {"occupied_ondemand", "occupied_reservation"} & set(counted)
    if "total" in counted and "reservable" not in counted:
        out |= dict.fromkeys(("reservable", "committed"), "no such thing at the site")
    for column in ("occupied_ondemand", "occupied_reserved"):
        if serves and _OF_METRIC[column] not in counted:
            out[column] = "no such thing at the site"
    for column, occupied in _ACTIVE.items():
        if occupied in out:
            out[column] = "no such thing at the site"
        elif "active" not in counted and serves:
            out[column] = "not counted: a copy of occupied"
    return out


def wide(added: pl.LazyFrame, active: pl.LazyFrame, scope: Scope, extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """usage_wide: time, site, resource and a column per metric, dense; node types added up.

    `added` and `active` are those of `reading.SiteUsage`; the last bucket of a month that was read before its end is
    cut at `extracted`.
    """
    filled = filled_columns(scope.counted)
    one = pl.col("value").filter
    metrics = _OF_METRIC | {"runs": "active"}
    values = {column: one(pl.col("metric") == metric).first() for column, metric in metrics.items()}
    complete = pl.col("complete").filter(pl.col("metric").is_in(list(metrics.values()))).all()
    rows = added.group_by(_BUCKET).agg(**values, complete=complete)
    for column, occupied in _ACTIVE.items():
        booking = active.filter(pl.col("metric") == _OF_METRIC[occupied]).rename({"hours": column})
        rows = rows.join(booking.select(*_BUCKET, column), on=_BUCKET, how="left")
    until = pl.min_horizontal(pl.col("timestamp") + pl.duration(minutes=scope.bucket_minutes), "read_at")
    width = (until - pl.col("timestamp")).dt.total_microseconds() / 3_600_000_000
    rows = rows.join(_reads(extracted), on="month", how="left").with_columns(
        # null where the occupancy, or the site's activity as a whole, is unknown
        pl.when(pl.col(occupied).is_not_null() & pl.col("runs").is_not_null())
        .then((pl.col(column).fill_null(0) / width).round(_DECIMALS))
        .alias(column)
        for column, occupied in _ACTIVE.items()
    )
    no_such = [pl.lit(0.0).alias(name) for name, why in filled.items() if why == "no such thing at the site"]
    copies = [pl.col(_ACTIVE[name]).alias(name) for name, why in filled.items() if name in _ACTIVE and "copy" in why]
    return (
        rows.with_columns(*no_such)
        .with_columns(*copies)
        .with_columns(time="timestamp", site=pl.lit(scope.site))
        .sort("time", "resource")
        .select("month", *USAGE_WIDE.names)
    )


def _reads(extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """Month and read_at."""
    schema = {"month": pl.Date(), "read_at": pl.Datetime("us")}
    return pl.LazyFrame(list(extracted.items()), schema=schema, orient="row")


def long(added: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """usage_long: a row per bucket, resource and metric, derived ones too; a share is one of sums."""
    parts = [added.select("month", "timestamp", "resource", "metric", "value", "complete")]
    for metric in scope.derived:
        if metric.is_ratio:
            bases = [name for name in metric.over if name in scope.counted]
            bases = [scope.utilization_of] if scope.utilization_of in bases else bases
            parts.append(_share(added, metric.name, metric.plus[0], bases))
    return (
        pl.concat(parts)
        .with_columns(time="timestamp", site=pl.lit(scope.site))
        .sort("time", "resource", "metric")
        .select("month", *USAGE_LONG.names)
    )


def _share(added: pl.LazyFrame, name: str, of: str, bases: list[str]) -> pl.LazyFrame:
    """`of` as a share of the first base in months in which nothing ran on demand, else of the last."""
    one = pl.col("value").filter
    wanted = dict.fromkeys((of, *bases, "occupied_ondemand"))
    rows = added.group_by(_BUCKET).agg(
        *(one(pl.col("metric") == each).first().alias(each) for each in wanted),
        *(pl.col("complete").filter(pl.col("metric") == each).all().alias(f"{each}_complete") for each in (of, *bases)),
    )
    on_demand = (pl.col("occupied_ondemand").fill_null(0) > 0).any().over("month")
    over, whole = (
        pl.when(on_demand).then(pl.col(f"{bases[-1]}{end}")).otherwise(pl.col(f"{bases[0]}{end}"))
        for end in ("", "_complete")
    )
    return rows.select(
        *_BUCKET,
        metric=pl.lit(name),
        value=pl.when(over > 0).then(pl.col(of) / over),
        complete=pl.col(f"{of}_complete") & whole,
    ).select("month", "timestamp", "resource", "metric", "value", "complete")


def parity(daily: pl.LazyFrame, *, site: str, extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """node_usage_report_cache: whole node-hours per day and node type, whose four parts add up to total.

    Built of daily integrals; the day in which a month was read is left out. Each part is rounded down, and the hours
    that total has more go one each to the parts with the greatest fractions (of equal ones the first), so no part is
    further than an hour from its own value. A part with an unknown term is null.
    """
    one = pl.col("hours").filter
    rows = (
        daily.join(_reads(extracted), on="month", how="left")
        .filter((pl.col("date").dt.offset_by("1d") <= pl.col("read_at")).fill_null(value=True))
        .group_by("month", "date", "node_type")
        .agg(*(one(pl.col("metric") == name).first().alias(name) for name in PARITY_METRICS), pl.col("complete").all())
    )
    parts = {
        "maint_hours": pl.col("total") - pl.col("reservable"),
        "reserved_hours": pl.col("committed") - pl.col("occupied_reservation"),
        "used_hours": pl.col("occupied_reservation"),
        "idle_hours": pl.col("reservable") - pl.col("committed"),
    }
    exact = rows.with_columns(total=pl.col("total").round(_DUST)).with_columns(
        **{name: hours.round(_DUST) for name, hours in parts.items()}
    )
    return (
        _whole(exact, list(parts))
        .with_columns(site=pl.lit(site), total_hours=pl.col("total").floor().cast(pl.Int64))
        .sort("date", "node_type")
        .select("month", *PARITY.names)
    )


def _whole(rows: pl.LazyFrame, parts: list[str]) -> pl.LazyFrame:
    """Parts as whole hours that add up to the total's."""
    # the later of equal fractions is made a little smaller, so that ranks are a permutation
    fractions = [
        (pl.col(name) - pl.col(name).floor()).round(_DUST) - number * 1e-9 for number, name in enumerate(parts)
    ]
    lower = [pl.col(name).floor() for name in parts]
    short = pl.col("total").floor() - sum(lower, pl.lit(0.0))
    ranks = [sum(((other > fraction).cast(pl.Int64) for other in fractions), pl.lit(0)) for fraction in fractions]
    return rows.with_columns(
        (floor + (rank < short).fill_null(value=False).cast(pl.Float64)).cast(pl.Int64).alias(name)
        for name, floor, rank in zip(parts, lower, ranks, strict=True)
    )
