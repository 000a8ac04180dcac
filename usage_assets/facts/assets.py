"""Assets of the facts stage: how a kind declares its metrics, and how all facts of a kind are built together."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl

from usage_assets.facts.tables import INTERVALS
from usage_assets.facts.views import TIMELINE
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset, Built, Extracted, Together
from usage_assets.specs.check import Check
from usage_assets.specs.facts import Facts
from usage_assets.specs.kind import Kind


def metric_asset(
    name: str,
    description: str,
    metrics: tuple[str, ...],
    sources: Sequence[str],
    *,
    optional: Mapping[str, Callable[[Any], bool]] | None = None,
    shown_after: Sequence[str] = (),
    sharing: tuple[str, ...] = (),
    checks: tuple[Check, ...] = (),
    derived: Mapping[str, tuple[str, ...]] | None = None,
) -> Asset:
    """An asset that owns the intervals and rejects of some metrics; `sources` are its raw tables."""
    return Asset(
        stage="facts",
        name=name,
        table=INTERVALS,
        after=_raw(sources),
        description=f"{description} Rows of metric {', '.join(metrics)} in facts.intervals and facts.rejects.",
        owned={"metric": metrics},
        rejects_of=metrics,
        optional={f"raw/{source}": condition for source, condition in (optional or {}).items()},
        shown_after=tuple(f"facts/{other}" for other in shown_after),
        views=(TIMELINE,),
        checks=checks,
        derived=derived or {},
        sharing=sharing,
    )


def fact_table(table: Table, description: str, sources: Sequence[str], *, shown_after: Sequence[str] = ()) -> Asset:
    """An asset of a kind's facts that is a whole table."""
    return Asset(
        stage="facts",
        name=table.name,
        table=table,
        after=_raw(sources),
        description=f"{description} {table.description}",
        shown_after=tuple(f"facts/{other}" for other in shown_after),
    )


def fact_assets(kind: Kind) -> tuple[Asset, ...]:
    """The facts of a kind, with its functions that read the raw rows and build all facts of them."""

    def make(
        site: Any, months: Sequence[date], raw: Any, extracted: Extracted, names: Collection[str]
    ) -> dict[str, Built]:
        return split(kind, kind.build_facts(site, months, raw, extracted, names), names)

    together = Together(make)
    return tuple(
        fact
        if fact.select or fact.make
        else replace(fact, read=kind.read_raw, make=together, months_at_once=kind.months_at_once)
        for fact in kind.facts
    )


def split(kind: Kind, facts: Facts, names: Collection[str]) -> dict[str, Built]:
    """What each of some fact assets owns of the facts of a kind."""
    out = {}
    for fact in kind.facts:
        if fact.name in names and fact.metrics:
            owned = pl.col("metric").is_in(list(fact.metrics))
            accounts = facts.accounts.filter(pl.col("asset") == kind.asset("facts", fact.name))
            out[fact.name] = Built(facts.intervals.filter(owned), facts.rejects.filter(owned), accounts)
        elif fact.name in names:
            out[fact.name] = Built(facts.tables.get(fact.name, fact.table.empty()))
    return out


def _raw(sources: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"raw/{source}" for source in sources)
