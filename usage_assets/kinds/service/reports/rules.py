"""Rules of recommendations: when each holds for a model's profile, how sure it is, and the sentence that says why."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from usage_assets.kinds.service.site.model import Recommend

Profile = Mapping[str, Any]
"""A row of reports.model_profiles."""
_SOME_USE = 0.1
"""Uses per day above which rising use is worth a place in memory."""


@dataclass(frozen=True)
class Advised:
    """What rules are given beside a profile."""

    limits: Recommend
    coming_hours: frozenset[int]
    """Hours of the day, in the site's zone, that the time looked ahead touches."""


@dataclass(frozen=True)
class Ruling:
    """A rule that holds for a model."""

    confidence: float
    reason: str
    thresholds: Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A rule of one kind of advice; `find` gives none where it does not hold."""

    kind: str
    name: str
    find: Callable[[Profile, Advised], Ruling | None]
    effect: str
    """What following it is expected to bring."""
    needs: tuple[str, ...]
    """Columns of the profile that it is made of."""
    counts: bool = True
    """It needs `min_requests` in its window."""


def _unused(model: Profile, given: Advised) -> Ruling | None:
    days, most = model["days_since_use"], given.limits.unused_days
    if days is None or days <= most:
        return None
    reason = f"last used {days:.1f} days ago, more than {most} days"
    return Ruling(0.5 + 0.5 * min(1, (days - most) / 60), reason, {"unused_days": most})


def _rarely_used(model: Profile, given: Advised) -> Ruling | None:
    uses, rare = model["uses_per_day"], given.limits.rare
    if uses >= rare:
        return None
    reason = f"{uses:.3f} requests a day over {model['window_days']} days, under {rare:g}"
    return Ruling(0.6 * (1 - uses / rare), reason, {"rare": rare})


def _mostly_failing(model: Profile, given: Advised) -> Ruling | None:
    rate, failing = model["success_rate"], given.limits.failing
    if rate is None or rate >= failing:
        return None
    reason = (
        f"{100 * rate:.1f} % of {model['succeeded'] + model['failed']} requests succeeded, under {100 * failing:g} %"
    )
    return Ruling(0.5 * (1 - rate / failing), reason, {"failing": failing})


def _never_used(model: Profile, given: Advised) -> Ruling | None:
    since, most = model["inventory_since"], given.limits.unused_days
    if model["first_used"] is not None or since is None:
        return None
    days = _days(since, model["as_of"])
    if days <= most:
        return None
    reason = f"in the inventory for {days:.1f} days, more than {most} days, and never asked"
    return Ruling(0.9, reason, {"unused_days": most})


def _often_used(model: Profile, given: Advised) -> Ruling | None:
    uses, rate = model["uses_per_day"], model["success_rate"]
    often, steady = given.limits.often, given.limits.steady_success
    if uses <= often or rate is None or rate <= steady:
        return None
    reason = (
        f"{uses:.3f} requests a day, more than {often:g}, of which {100 * rate:.1f} % succeeded, "
        f"more than {100 * steady:g} %"
    )
    return Ruling(min(1, uses / 2), reason, {"often": often, "steady_success": steady})


def _rising(model: Profile, given: Advised) -> Ruling | None:
    if model["trend"] != "rising" or model["uses_per_day"] <= _SOME_USE:
        return None
    reason = (
        f"{model['last_week']} requests in the last 7 days after {model['week_before']} in the 7 before, "
        f"at least {given.limits.rising:g} times as many"
    )
    return Ruling(0.5, reason, {"rising": given.limits.rising, "uses_per_day_above": _SOME_USE})


def _peak_ahead(model: Profile, given: Advised) -> Ruling | None:
    hours = sorted(given.coming_hours.intersection(json.loads(model["peak_hours"])))
    if not hours:
        return None
    ahead = given.limits.lookahead_hours
    reason = f"its busiest hours of the day include {', '.join(map(str, hours))}, within the next {ahead} hours"
    return Ruling(0.4, reason, {"lookahead_hours": ahead})


def _slow(model: Profile, given: Advised) -> Ruling | None:
    mean, slow = model["mean_s"], given.limits.slow_s
    if mean is None or mean <= slow:
        return None
    reason = f"requests took {mean:.1f} s on average over {model['window_days']} days, more than {slow:g} s"
    return Ruling(min(1, mean / 600), reason, {"slow_s": slow})


def _unreliable(model: Profile, given: Advised) -> Ruling | None:
    rate, least = model["success_rate"], given.limits.unreliable
    if rate is None or rate >= least:
        return None
    reason = (
        f"{100 * rate:.1f} % of {model['succeeded'] + model['failed']} requests of {model['window_days']} days "
        f"succeeded, under {100 * least:g} %"
    )
    return Ruling(1 - rate, reason, {"unreliable": least})


def _uneven(model: Profile, given: Advised) -> Ruling | None:
    cv, most = model["cv"], given.limits.cv
    if cv is None or cv <= most:
        return None
    reason = f"the standard deviation of durations is {cv:.3f} times their mean, more than {most:g}"
    return Ruling(min(1, cv / 2), reason, {"cv": most})


def _days(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() / 86400


_FREES, _LOADED = "removing it frees its space", "keeping it loaded saves its users the wait for loading"
RULES: tuple[Rule, ...] = (
    Rule("cleanup", "unused", _unused, _FREES, ("days_since_use", "last_used"), counts=False),
    Rule("cleanup", "rarely used", _rarely_used, _FREES, ("uses_per_day", "requests"), counts=False),
    Rule("cleanup", "mostly failing", _mostly_failing, _FREES, ("success_rate", "succeeded", "failed", "requests")),
    Rule("cleanup", "never used", _never_used, _FREES, ("first_used", "inventory_since"), counts=False),
    Rule("preload", "often used", _often_used, _LOADED, ("uses_per_day", "success_rate", "requests")),
    Rule("preload", "rising", _rising, _LOADED, ("trend", "last_week", "week_before", "uses_per_day", "requests")),
    Rule("preload", "peak ahead", _peak_ahead, _LOADED, ("peak_hours", "requests")),
    Rule("performance", "slow", _slow, "offloading it or a smaller batch shortens requests", ("mean_s", "requests")),
    Rule("performance", "unreliable", _unreliable, "an integrity check, or rolling it back, makes fewer requests fail",
         ("success_rate", "succeeded", "failed", "requests")),
    Rule("performance", "uneven", _uneven, "pinning its resources makes durations more even",
         ("cv", "mean_s", "requests")),
)  # fmt: skip
BY_NAME = {(rule.kind, rule.name): rule for rule in RULES}


def ruling(rule: Rule, model: Profile, given: Advised) -> Ruling | None:
    """The rule for a profile, none where it does not hold or the window has too few requests for it."""
    if rule.counts and model["requests"] < given.limits.min_requests:
        return None
    return rule.find(model, given)
