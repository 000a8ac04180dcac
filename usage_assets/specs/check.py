"""Check: what is asked of an asset, per month or once per run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from usage_assets.core.months import Window
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Reader

Severity = Literal["ERROR", "WARN"]
Findings = Mapping[date, Finding]
Evaluate = Callable[[Reader, Any, Window], Findings]
"""A function that evaluates a check: (reader, site, window) -> a finding per month."""


@dataclass(frozen=True)
class Check:
    """A check of one asset, evaluated per month; `per_run` reports it once per run and says what a failing month is."""

    name: str
    description: str
    evaluate: Evaluate | None = None
    """None: the step that writes the asset finds it out while it works."""
    severity: Severity = "ERROR"
    per_run: str | None = None
    of_now: bool = False
    """It asks how a site is now, so that its newest result stands for all months."""


def warning(name: str, evaluate: Evaluate, description: str, per_run: str) -> Check:
    """A check of severity WARN, reported once per run."""
    return Check(name, description, evaluate, "WARN", per_run)
