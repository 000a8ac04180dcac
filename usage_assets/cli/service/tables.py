"""What `usage-assets service` shows of users, models, cost and limits."""

from collections.abc import Mapping, Sequence

import polars as pl
import typer

from usage_assets.cli.service.request import Request
from usage_assets.kinds.service.reports.overview import PARTS, sums

_COUNTS = ("requests", "succeeded", "failed", "cancelled", "unfinished")
_SHOWN = (*_COUNTS, "input_tokens", "output_tokens", "cost", "cost_unrated_requests", "busy_seconds", "success_rate",
          "latency_mean_s")  # fmt: skip
_COST = ("requests", "cost", "cost_unrated_requests", "input_tokens", "cached_tokens", "output_tokens", "busy_seconds")


def show_sums(request: Request, by: Sequence[str], only: Mapping[str, str | None]) -> None:
    """Sums of the days asked about, a row per user or model."""
    what = " and ".join(f"{part}s" for part in by)
    request.show(_sums(request, by, only, _SHOWN), f"{what}, {request.days}, cost in {request.service.currency}")


def show_cost(request: Request, by: Sequence[str], only: Mapping[str, str | None]) -> None:
    """Cost of the days asked about by the parts asked for."""
    parts = list(dict.fromkeys(by))
    frame = _sums(request, parts, only, _COST)
    request.show(frame, f"cost in {request.service.currency} by {', '.join(parts)}, {request.days}")


def _sums(request: Request, by: Sequence[str], only: Mapping[str, str | None], columns: Sequence[str]) -> pl.DataFrame:
    given = {part: value for part, value in only.items() if value is not None}
    if {"user", "team"} <= {*by, *given}:
        msg = "sums are by user or by team: a user may be in several teams"
        raise typer.BadParameter(msg, param_hint="--team")
    with request.reading() as reader:
        frame = sums(reader, request.service.key, request.days, by, given)
    return frame.select(*(PARTS[part] for part in by), *columns)


def show_limits(request: Request, scope: str | None, *, crossed: bool) -> None:
    """Spending against limits as of the last run, or the thresholds crossed in the days asked about."""
    from usage_assets.kinds.service.reports.limits import crossed_in, status_at

    site, days = request.service, request.days
    with request.reading() as reader:
        found = crossed_in(reader, site.key, days) if crossed else status_at(reader, site.key, days)
    if scope is not None:
        found = found.filter(pl.col("scope_id") == scope)
    what = f"thresholds crossed, {days}" if crossed else f"spending against limits, in {site.currency}"
    request.show(found, what)
