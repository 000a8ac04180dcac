"""Recommendations of a month: the rules that hold for its profiles, ranked, and preloading within its budget."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import polars as pl

from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATION_DECISIONS, RECOMMENDATIONS
from usage_assets.kinds.service.reports.profiles import ProfiledSite
from usage_assets.kinds.service.reports.rules import RULES, Advised, Profile, Rule, Ruling, ruling
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader

_LARGE_BYTES = 5 * 2**30
_LARGE_SHARE = 0.1
PRELOADED = 10
"""Models to preload where the site's file says no size."""
_QUARTER = timedelta(minutes=15)
"""Offsets of zones are whole quarters of an hour: in none the hour of the day changes."""


class AdvisedSite(ProfiledSite, Protocol):
    """What recommendations need of a site's file."""

    @property
    def preload_bytes(self) -> int | None:
        """Room for models that stay loaded."""


@dataclass(frozen=True)
class Inputs:
    """What recommendations of some months are made of."""

    profiles: pl.DataFrame
    decisions: pl.DataFrame
    newest: date | None
    """The newest month that has profiles."""


@dataclass(frozen=True)
class Advice:
    """A rule that holds for a model."""

    rule: Rule
    model: Profile
    found: Ruling


def read(reader: Reader, site: AdvisedSite, months: Sequence[date]) -> Inputs:
    """The profiles of some months, what was decided in them, and which month is the newest."""
    newest = None
    if reader.has(MODEL_PROFILES):
        sql = f"SELECT max(month) FROM {MODEL_PROFILES.qualified} WHERE site = $site"
        newest = reader.sql(sql, {"site": site.key}).item()
    return Inputs(
        reader.frame(MODEL_PROFILES, site.key, months),
        reader.frame(RECOMMENDATION_DECISIONS, site.key, months),
        newest,
    )


def make(site: AdvisedSite, months: Sequence[date], inputs: Inputs, _extracted: Mapping[date, datetime]) -> Built:
    """The recommendations of some months; rows of RECOMMENDATIONS."""
    decided = {
        (row["month"], row["kind"], row["model_id"], row["rule"]): row["status"]
        for row in inputs.decisions.iter_rows(named=True)
    }
    rows = []
    for month in months:
        profiles = list(inputs.profiles.filter(pl.col("month") == month).iter_rows(named=True))
        past = "expired" if inputs.newest is not None and inputs.newest > month else "open"
        for row in advise(site, profiles):
            status = decided.get((month, row["kind"], row["model_id"], row["rule"]), past)
            rows.append({"site": site.key, "month": month, "status": status} | row)
    frame = pl.DataFrame(rows, RECOMMENDATIONS.polars_schema, orient="row")
    return Built(frame.select(RECOMMENDATIONS.names).sort("month", "kind", "model_id", "rule"))


def advise(site: AdvisedSite, profiles: Iterable[Profile]) -> list[dict[str, Any]]:
    """Rows of RECOMMENDATIONS without site, month and status, of the profiles of one month."""
    by_window: dict[int, list[Profile]] = {}
    for profile in profiles:
        by_window.setdefault(profile["window_days"], []).append(profile)
    whole = by_window.get(site.recommend.window_days, [])
    recent = by_window.get(site.performance_window_days, [])
    if not whole:
        return []
    given = Advised(site.recommend, coming_hours(whole[0]["as_of"], site.recommend.lookahead_hours, site.reporting_tz))
    store = sum(model["bytes"] or 0 for model in whole)
    found = [
        *_found("cleanup", _held(whole), given),
        *_within_budget(_found("preload", [model for model in whole if model["succeeded"]], given), site.preload_bytes),
        *_found("performance", _held(recent), given),
    ]
    return [row for advice in _by_model(found) for row in _rows(advice, store)]


def coming_hours(as_of: datetime, lookahead_hours: int, zone: str) -> frozenset[int]:
    """Hours of the day, in a zone, that overlap [as_of, as_of + lookahead)."""
    start = as_of.replace(tzinfo=UTC)
    end = start + timedelta(hours=lookahead_hours)
    instants = [start]
    mark = start - (start - datetime.min.replace(tzinfo=UTC)) % _QUARTER + _QUARTER
    while mark < end:
        instants.append(mark)
        mark += _QUARTER
    return frozenset(instant.astimezone(ZoneInfo(zone)).hour for instant in instants)


def _held(models: Sequence[Profile]) -> Sequence[Profile]:
    """The models of the inventory; all of a site that has none."""
    if all(model["inventory_since"] is None for model in models):
        return models
    return [model for model in models if model["in_inventory"]]


def _found(kind: str, models: Iterable[Profile], given: Advised) -> list[Advice]:
    """The rules of a kind that hold, by model."""
    rules = [rule for rule in RULES if rule.kind == kind]
    pairs = ((rule, model, ruling(rule, model, given)) for model in models for rule in rules)
    return [Advice(rule, model, found) for rule, model, found in pairs if found is not None]


def _within_budget(found: Sequence[Advice], room: int | None) -> list[Advice]:
    """The advice on the models that are worth most of the room; without one, on the first ten by uses."""
    models = {advice.model["model_id"]: advice.model for advice in found}
    if room is None:
        order = sorted(models.values(), key=lambda model: (-model["uses_per_day"], model["model_id"]))
        taken = {model["model_id"] for model in order[:PRELOADED]}
    else:
        taken = set()
        for model in sorted(models.values(), key=lambda model: (-_worth(model), model["model_id"])):
            if model["bytes"] is not None and model["bytes"] <= room:
                room -= model["bytes"]
                taken.add(model["model_id"])
    return [advice for advice in found if advice.model["model_id"] in taken]


def _worth(model: Profile) -> float:
    """Uses per day and byte."""
    if model["bytes"] is None:
        return 0.0
    return float(model["uses_per_day"] / model["bytes"]) if model["bytes"] else math.inf


def _by_model(found: Iterable[Advice]) -> list[list[Advice]]:
    """Advice of one kind on one model, together."""
    out: dict[tuple[str, str], list[Advice]] = {}
    for advice in found:
        out.setdefault((advice.rule.kind, advice.model["model_id"]), []).append(advice)
    return list(out.values())


def _rows(several: Sequence[Advice], store: int) -> list[dict[str, Any]]:
    """The rows of one kind and model, whose rules add up to one confidence."""
    combined = round(1 - math.prod(1 - advice.found.confidence for advice in several), 9)
    kind, model = several[0].rule.kind, several[0].model
    return [
        {
            "as_of": model["as_of"],
            "kind": kind,
            "model_id": model["model_id"],
            "rule": advice.rule.name,
            "priority": _priority(kind, model, combined, store),
            "confidence": round(advice.found.confidence, 3),
            "combined_confidence": round(combined, 3),
            "reason": f"{model['model_id']}: {advice.found.reason}.",
            "evidence": _evidence(advice),
            "bytes": model["bytes"],
            "expected_effect": _effect(advice),
        }
        for advice in several
    ]


def _priority(kind: str, model: Profile, combined: float, store: int) -> str:
    if kind == "preload":
        return "high" if model["uses_per_day"] > 1 else "medium"
    size = model["bytes"]
    large = size is not None and (size >= _LARGE_BYTES or size >= _LARGE_SHARE * store)
    if combined >= 0.8 and (large or kind == "performance"):
        return "high"
    return "medium" if combined >= 0.5 else "low"


def _evidence(advice: Advice) -> str:
    """Every input of the rule, as JSON with sorted keys."""
    used = ("as_of", "window_days", *advice.rule.needs)
    values = {name: advice.model[name] for name in used} | dict(advice.found.thresholds)
    return json.dumps(values, sort_keys=True, default=lambda value: value.isoformat(), ensure_ascii=False)


def _effect(advice: Advice) -> str:
    """What following the rule brings, with the size that is known."""
    size = advice.model["bytes"]
    if size is None or advice.rule.kind == "performance":
        return advice.rule.effect
    amount = f"{size / 2**30:.1f} GiB"
    return f"{advice.rule.effect}: {amount}" if advice.rule.kind == "cleanup" else f"{advice.rule.effect}, for {amount}"
