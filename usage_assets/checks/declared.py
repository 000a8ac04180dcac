"""The checks that assets have: those that all of a stage share, and those that an asset declares as its own."""

from collections.abc import Iterator
from functools import partial

from usage_assets.checks import facts, usage
from usage_assets.checks.readiness import contract, coverage
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Check
from usage_assets.specs.kind import Kind

_CONTRACT = "Columns, key and rules hold; a month that breaks them keeps its old rows."
_COVERAGE = "The month was built from good inputs."


def checks_of(kind: Kind, asset: Asset) -> list[Check]:
    """The checks of an asset after the raw stage."""
    # of reports one result per run: an evaluation per month costs as much as the month itself
    refused, missing = ("that broke the declaration", "not covered") if asset.stage == "reports" else (None, None)
    name = kind.asset(asset.stage, asset.name)
    own = {"timelines/usage": _of_usage, "timelines/usage_steps": _of_steps}.get(asset.path) if not kind.usage else None
    return [
        Check("contract", _CONTRACT, partial(contract, name), per_run=refused),
        *(own(kind, name) if own else [Check("coverage", _COVERAGE, partial(coverage, name), per_run=missing)]),
        *(_of_metrics(name, asset) if asset.metrics else ()),
        *asset.checks,
    ]


def _of_metrics(name: str, asset: Asset) -> Iterator[Check]:
    yield Check(
        "conservation",
        "Rows in = kept + rejected + outside; hours in = kept + clipped + rejected; stored rows agree.",
        partial(facts.conservation, name, asset),
    )
    yield Check(
        "rejects_share",
        f"At most {facts.REJECTED_SHARE:.0%} of a month's rows are rejected.",
        partial(facts.rejects_share, name, asset),
        "WARN",
        per_run="with many rows rejected",
    )


def _of_usage(kind: Kind, name: str) -> Iterator[Check]:
    every = partial(usage.buckets, kind, name)
    yield Check("coverage", "Every bucket since the site's first month, up to the dump.", every)
    yield Check(
        "conservation",
        "For each series of a month, the hours of its buckets are the resource-hours of its facts.",
        usage.conservation,
    )
    yield Check("base_not_negative", "Counted metrics are never below zero.", usage.base_not_negative)
    yield Check(
        "order",
        "Total >= reservable >= committed >= occupied_reservation, and no derived metric is negative.",
        usage.order,
        "WARN",
    )


def _of_steps(_kind: Kind, name: str) -> Iterator[Check]:
    yield Check("coverage", "Every series has a value at the month's start.", partial(usage.month_starts, name))
