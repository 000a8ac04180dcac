"""The usage timelines of a kind as assets: means and hours per bucket, and their exact steps."""

from collections.abc import Collection, Sequence
from datetime import date
from functools import partial
from typing import Any

from usage_assets.facts.assets import fact_assets
from usage_assets.facts.tables import INTERVALS, RESOURCE_NAMES
from usage_assets.specs.asset import Asset, Built, Extracted, Together
from usage_assets.specs.kind import Kind
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.timelines.usage import build_usage
from usage_assets.timelines.views import USAGE_VIEWS
from usage_assets.warehouse import Reader

_AMOUNTS = ("start_at", "end_at", *RESOURCE_NAMES)
_DERIVED = {
    "timestamp": ("start_at", "end_at"),
    "metric": ("metric",),
    "node_type": ("node_type",),
    "resource": RESOURCE_NAMES,
    "value": _AMOUNTS,
    "hours": _AMOUNTS,
}
"""Columns of the timelines, and those of the facts that they are made of."""


def usage_assets(kind: Kind) -> tuple[Asset, ...]:
    """`usage` and `usage_steps`: those of the kind, or made of all its facts as those of machines are."""
    if kind.usage:
        return kind.usage

    def read(reader: Reader, site: Any, months: Sequence[date]) -> dict[str, Any]:
        return {
            "intervals": reader.frame(INTERVALS, site.key, months),
            "node_types": kind.node_types(reader, site, months),
            "observed": kind.observed(reader, site, months),
        }

    def make(
        site: Any, months: Sequence[date], inputs: dict[str, Any], extracted: Extracted, names: Collection[str]
    ) -> dict[str, Built]:
        del names
        usage = build_usage(kind.usage_scope(site), months, extracted=extracted, **inputs)
        return {"usage": Built(usage.usage), "usage_steps": Built(usage.steps)}

    declared = partial(
        Asset,
        stage="timelines",
        after=tuple(fact.path for fact in kind.facts),
        read=read,
        make=Together(make),
        owned={"collector_type": ("current",)},  # rows of other collectors stand beside theirs
    )
    derived = {
        column: tuple(f"{fact.path}.{name}" for fact in kind.facts if fact.metrics for name in names)
        for column, names in _DERIVED.items()
    }
    stepped = {column: names for column, names in derived.items() if column in USAGE_STEPS.names}
    return (
        declared(name="usage", table=USAGE, views=USAGE_VIEWS, derived=derived),
        declared(name="usage_steps", table=USAGE_STEPS, derived=stepped),
    )


def assets_of(kind: Kind) -> tuple[Asset, ...]:
    """All assets of a kind after the raw stage: facts, usage, and its other tables."""
    return (*fact_assets(kind), *usage_assets(kind), *kind.tables)
