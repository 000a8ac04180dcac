"""When requests are made: more each month, by day of the week and hour, all that ended before an instant."""

from datetime import datetime, timedelta

import polars as pl

from usage_assets.demo.service.chance import normal, uniform
from usage_assets.demo.service.models import FIRST, Model, model_frame
from usage_assets.demo.service.people import people, user_number

_MOST_A_DAY = 100_000
_AFTERNOON = timedelta(hours=20)  # 14 o'clock of the campus, in UTC
_GROWS_FOR = 400


def arrivals(per_day: float, until: datetime, seed: int) -> pl.DataFrame:
    """Requests of every day up to that of `until`: number, day (0 = the first), at; number is of the day and place."""
    days = (until - FIRST) // timedelta(days=1) + 1
    day = pl.col("day")
    weekday = (day + FIRST.weekday()) % 7
    week = pl.when(weekday >= 5).then(0.35).otherwise(1.26)
    growth = 0.6 + 0.8 * pl.min_horizontal(day, pl.lit(_GROWS_FOR)) / _GROWS_FOR
    some = 0.9 + 0.2 * uniform(day, "day", seed)
    frame = pl.select(day=pl.int_range(0, max(days, 0), dtype=pl.Int64)).with_columns(
        place=pl.int_ranges(0, (per_day * growth * week * some).round().cast(pl.Int64))
    )
    each = frame.explode("place", empty_as_null=False).select("day", number=day * _MOST_A_DAY + pl.col("place"))
    number = pl.col("number")
    by_night = uniform(number, "by night", seed) < 0.2
    hours = (
        pl.when(by_night)
        .then(24 * uniform(number, "hour", seed))
        .otherwise((_AFTERNOON.total_seconds() / 3600 + 3.4 * normal(number, "hour", seed)) % 24)
    )
    at = pl.lit(FIRST).cast(pl.Datetime("us")) + pl.duration(days="day", microseconds=(hours * 3.6e9).cast(pl.Int64))
    return each.with_columns(at=at).filter(pl.col("at") < until)


def requests(models: tuple[Model, ...], per_day: float, until: datetime, seed: int) -> pl.DataFrame:
    """Requests with who asked, for which model, and what it took.

    number, day, at, user, user_id, team_id, session_id, tokens_in, tokens_out, cached, first_s, seconds (start to
    end), and the columns of the model.
    """
    number = pl.col("number")
    drawn = arrivals(per_day, until, seed).with_columns(
        user=user_number(number, seed),
        share=uniform(number, "model", seed),
        wide_in=normal(number, "tokens in", seed),
        wide_out=normal(number, "tokens out", seed),
        cached=uniform(number, "cached", seed),
        sitting=(uniform(number, "sitting", seed) * 3).floor().cast(pl.Int64),
    )
    known = (
        drawn.with_columns(model=_place(models))
        .join(people(), on="user", maintain_order="left")
        .join(model_frame(models).drop("upto", "share"), on="model", maintain_order="left")
    )
    sized = known.with_columns(
        tokens_in=_spread("tokens_in", "wide_in", 0.8),
        tokens_out=pl.when(pl.col("tokens_out") > 0).then(_spread("tokens_out", "wide_out", 0.7)).otherwise(0),
        first_s=pl.col("first_output_s") * (0.35 * normal(number, "first", seed)).exp(),
    )
    cached = pl.col("cached")
    return sized.with_columns(
        cached=pl.when(cached < 0.3).then((pl.col("tokens_in") * cached * 2.5).cast(pl.Int64)).otherwise(0),
        seconds=pl.col("first_s") + pl.col("tokens_out") / pl.col("per_second"),
        session_id=pl.format("chat-{}-{}-{}", "user_id", "day", "sitting"),
    )


def _place(models: tuple[Model, ...]) -> pl.Expr:
    """The place of the model that `share`, a number from [0, 1), stands for."""
    upto = model_frame(models)["upto"].to_list()[:-1]
    return pl.sum_horizontal([(pl.col("share") >= edge).cast(pl.Int64) for edge in upto])


def _spread(median: str, normals: str, width: float) -> pl.Expr:
    return (pl.col(median) * (width * pl.col(normals)).exp()).clip(1, 100_000).cast(pl.Int64)


def seconds_of(span: str) -> pl.Expr:
    """A duration of a column of seconds, of whole microseconds."""
    return pl.duration(microseconds=(pl.col(span) * 1e6).cast(pl.Int64), time_unit="us")


def nanoseconds(at: pl.Expr) -> pl.Expr:
    """An instant as nanoseconds since 1970."""
    return at.cast(pl.Datetime("us")).dt.epoch("us") * 1000
