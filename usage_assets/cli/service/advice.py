"""What `usage-assets service` shows and records of recommendations and of retention."""

import getpass
from datetime import date, datetime

import polars as pl
import typer

from usage_assets.cli.console import console
from usage_assets.cli.service.request import Request
from usage_assets.kinds import kind_of
from usage_assets.kinds.service.reports import retention
from usage_assets.kinds.service.reports.advice_tables import RECOMMENDATIONS
from usage_assets.kinds.service.reports.decisions import Told, accept, dismiss
from usage_assets.kinds.service.reports.rules import RULES
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Reader, Warehouse

_SHOWN = ("kind", "model_id", "rule", "priority", "confidence", "combined_confidence", "status", "reason",
          "expected_effect")  # fmt: skip
_RANKS = {"high": 0, "medium": 1, "low": 2}


def show_recommendations(request: Request, kind: str | None) -> None:
    """The advice of a month, what is most urgent first; of the newest month that has some unless one is named."""
    with request.reading() as reader:
        month = _month(reader, request)
        rows = reader.frame(RECOMMENDATIONS, request.service.key, [month])
    if kind is not None:
        rows = rows.filter(kind=kind)
    rank = pl.col("priority").replace_strict(_RANKS, return_dtype=pl.Int64)
    found = rows.sort(rank, -pl.col("combined_confidence"), "kind", "model_id", "rule").select(_SHOWN)
    request.show(found, f"recommendations of {month:%Y-%m}")


def decide(request: Request, model: str | None, rule: str | None, note: str | None, *, accepted: bool) -> None:
    """Record what the caller decided on a recommendation."""
    known = {one.name: one.kind for one in RULES}
    if model is None or rule not in known:
        msg = f"name the recommendation by --model and --rule, one of: {', '.join(known)}"
        raise typer.BadParameter(msg, param_hint="--rule")
    site, record = request.service, accept if accepted else dismiss
    with Warehouse.default().write(f"a decision on advice for {site.key}") as writer:
        month = _month(writer, request)
        record(writer, Told(site.key, month, known[rule], model, rule), who=getpass.getuser(), note=note)
    done = "accepted" if accepted else "dismissed"
    console.print(f"{site.key} {month:%Y-%m}: {known[rule]} of {model} ({rule}) is {done}")


def _month(reader: Reader, request: Request) -> date:
    """The month asked for, else the newest one with recommendations, else that of the days asked about."""
    if request.month is None and reader.has(RECOMMENDATIONS):
        sql = f"SELECT max(month) FROM {RECOMMENDATIONS.qualified} WHERE site = $site"
        newest = reader.sql(sql, {"site": request.service.key}).item()
        if isinstance(newest, date):
            return newest
    return request.days.first.replace(day=1)


def remove_old_months(site: ServiceSite, as_of: datetime, *, apply: bool) -> None:
    """List the months that are old enough to go and, with `apply`, remove those that nothing keeps back."""
    if apply:
        with Warehouse.default().write(f"retention of {site.key}") as writer:
            found = retention.apply(writer, kind_of(site), site, as_of)
    else:
        with Warehouse.default().read() as reader:
            found = retention.plan(reader, kind_of(site), site, as_of)
    for one in found:
        size = f"{one.rows:,} rows, {one.bytes / 1e6:.1f} MB"
        done = "removed" if apply else f"kept: {one.kept_because}" if one.kept_because else "would be removed"
        console.print(f"{site.key} {one.month:%Y-%m} {one.part.asset}: {size}, {done}")
    if not found:
        console.print(f"{site.key}: nothing to remove as of {as_of:%Y-%m-%d %H:%M} UTC")
    elif apply:
        console.print("The room is given back by: usage-assets compact")
