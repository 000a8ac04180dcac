"""Months that only grew: their later raw rows are added to the stored facts, and nothing is built anew.

A kind that can do so says in a mark what a month's facts were made of. Where the mark still fits the rows of then and
the rules of now, `Kind.append_facts` gives the rows to add; else the month is built whole.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.sites.base import Site
from usage_assets.specs.asset import FactAsset
from usage_assets.specs.facts import AppendedFacts
from usage_assets.specs.kind import Facts, Kind
from usage_assets.warehouse import Reader, ReplaceAfter, Warehouse, Writer
from usage_assets.warehouse.bookkeeping import MADE_OF


def appendable_months(
    kind: Kind, site: Site, months: Sequence[date], warehouse: Warehouse, chosen: Sequence[FactAsset]
) -> dict[date, AppendedFacts]:
    """The months to which rows can be added; none unless all facts of the kind are asked for."""
    if not kind.appends_facts or len(chosen) < len(kind.facts):
        return {}
    out = {}
    with warehouse.read() as reader:
        marks = _fingerprints(reader, kind, site, months)
        for month, mark in marks.items():
            found = kind.append_facts(reader, site, month, mark)
            if found is not None:
                out[month] = found
    return out


def append_months(
    writer: Writer, kind: Kind, site: Site, fact: FactAsset, grown: Mapping[date, AppendedFacts], *, run_id: str
) -> dict[date, str]:
    """Add the rows of one fact asset; the months refused, with the reason. A refused month keeps its rows."""
    asset = kind.asset("facts", fact.name)
    refused: dict[date, str] = {}
    for month, found in grown.items():
        broken = writer.replace_tail(
            _replacements(fact, found.facts), since=found.since, site=site.key, month=month, asset=asset, run_id=run_id
        )
        if broken:
            refused[month] = "; ".join(map(str, broken))
    return refused


def write_fingerprints(writer: Writer, kind: Kind, site: Site, marks: Mapping[date, str | None], run_id: str) -> None:
    """Say what the facts of some months are made of now; null = not known, the next run builds them whole."""
    if not kind.appends_facts:
        return
    writer.ensure(MADE_OF)
    writer.delete(MADE_OF, site=site.key, months=list(marks), owned={"asset": [_name(kind)]})
    rows = [(site.key, month, _name(kind), mark, run_id) for month, mark in marks.items() if mark is not None]
    writer.put(MADE_OF, pl.DataFrame(rows, schema=MADE_OF.polars_schema, orient="row"))


def _replacements(fact: FactAsset, facts: Facts) -> list[ReplaceAfter]:
    """What a fact asset writes; the table that is its own, or its intervals, last."""
    if fact.table is not None:
        column = "end_at" if "end_at" in fact.table.names else "poll_at"
        return [ReplaceAfter(fact.table, facts.tables[fact.name], column)]
    mine, owned = pl.col("metric").is_in(list(fact.metrics)), {"metric": fact.metrics}
    return [
        ReplaceAfter(table, rows.filter(mine), "end_at", owned)
        for table, rows in ((REJECTS, facts.rejects), (INTERVALS, facts.intervals))
    ]


def _fingerprints(reader: Reader, kind: Kind, site: Site, months: Sequence[date]) -> dict[date, str]:
    if not reader.has(MADE_OF) or not months:
        return {}
    found = reader.frame(MADE_OF, site.key, months, columns=("month", "asset", "mark"))
    return {month: mark for month, asset, mark in found.iter_rows() if asset == _name(kind)}


def _name(kind: Kind) -> str:
    return f"{kind.name}/facts"
