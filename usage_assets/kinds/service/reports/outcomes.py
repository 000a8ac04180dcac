"""What followed a recommendation: does its rule still hold in the month after? reports.recommendation_outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATION_OUTCOMES, RECOMMENDATIONS
from usage_assets.kinds.service.reports.recommend import AdvisedSite, coming_hours
from usage_assets.kinds.service.reports.rules import BY_NAME, Advised, Profile
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader

_COMPARED = ("uses_per_day", "success_rate", "mean_s")


@dataclass(frozen=True)
class Inputs:
    """The recommendations of some months, and the profiles of these and the months after."""

    recommendations: pl.DataFrame
    profiles: pl.DataFrame


def read(reader: Reader, site: AdvisedSite, months: Sequence[date]) -> Inputs:
    """The recommendations of some months, and the profiles that they are compared with."""
    wide = sorted({*months, *map(next_month, months)})
    return Inputs(
        reader.frame(RECOMMENDATIONS, site.key, months), reader.frame(MODEL_PROFILES, site.key, wide)
    )  # fmt: skip


def make(site: AdvisedSite, months: Sequence[date], inputs: Inputs, _extracted: Mapping[date, datetime]) -> Built:
    """What followed the recommendations of some months; none of a month after which no profile is there."""
    profiles = {
        (row["month"], row["model_id"], row["window_days"]): row for row in inputs.profiles.iter_rows(named=True)
    }
    ends = dict(inputs.profiles.select("month", "as_of").unique().iter_rows())
    rows = []
    for row in inputs.recommendations.sort("month", "kind", "model_id", "rule").iter_rows(named=True):
        after = next_month(row["month"])
        if row["month"] in months and after in ends:
            window = site.performance_window_days if row["kind"] == "performance" else site.recommend.window_days
            key = (row["model_id"], window)
            pair = profiles.get((row["month"], *key)), profiles.get((after, *key))
            rows.append(_row(site, row, pair, ends[after]))
    frame = pl.DataFrame(rows, RECOMMENDATION_OUTCOMES.polars_schema, orient="row")
    return Built(frame.select(RECOMMENDATION_OUTCOMES.names))


def _row(
    site: AdvisedSite, told: Mapping[str, Any], pair: tuple[Profile | None, Profile | None], followed_at: datetime
) -> dict[str, Any]:
    """A recommendation, and its model before and after."""
    out = {name: told[name] for name in RECOMMENDATION_OUTCOMES.names if name in told}
    for profile, side in zip(pair, ("before", "after"), strict=True):
        out |= {f"{name}_{side}": profile[name] if profile else None for name in _COMPARED}
    return out | {"followed_at": followed_at, "result": _result(site, told, *pair)}


def _result(site: AdvisedSite, told: Mapping[str, Any], before: Profile | None, after: Profile | None) -> str:
    if after is None or (before is not None and before["in_inventory"] and not after["in_inventory"]):
        return "model gone"
    rule = BY_NAME[told["kind"], told["rule"]]
    if any(after[name] is None for name in ("success_rate", "mean_s", "cv") if name in rule.needs[:1]):
        return "not known"
    hours = coming_hours(after["as_of"], site.recommend.lookahead_hours, site.reporting_tz)
    return "holds" if rule.find(after, Advised(site.recommend, hours)) else "no longer"
