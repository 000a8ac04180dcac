"""Months to which later raw rows are appended: they are added to the stored facts, and nothing is built anew.

A kind that can do so gives a fingerprint of what a month's facts were made of. Where it still fits the rows of then and
the rules of now, `Kind.append_facts` gives the rows to add; else the month is built whole.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from usage_assets.facts.assets import split
from usage_assets.facts.tables import REJECTS
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset
from usage_assets.specs.facts import AppendedFacts
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader, ReplaceAfter, Writer
from usage_assets.warehouse.bookkeeping import MADE_OF


@dataclass(frozen=True)
class Appended:
    """What is appended to the facts of some months of a site; nothing unless all facts of the kind are built."""

    kind: Kind
    site: Site
    applies: bool
    is_complete: bool
    months: Mapping[date, AppendedFacts] = field(default_factory=dict)

    @classmethod
    def find(
        cls, reader: Reader, kind: Kind, site: Site, assets: Sequence[Asset], months: Sequence[date]
    ) -> "Appended":
        """The months to which rows can be appended."""
        names = {asset.path for asset in assets}
        facts = {fact.path for fact in kind.facts}
        applies = kind.appends_facts and bool(names & facts)
        out: dict[date, AppendedFacts] = {}
        if applies and facts <= names and months and reader.has(MADE_OF):
            stored = reader.frame(MADE_OF, site.key, months, where=f"asset = '{_name(kind)}'")
            for month, fingerprint in stored.select("month", "mark").iter_rows():
                if (found := kind.append_facts(reader, site, month, fingerprint)) is not None:
                    out[month] = found
        return cls(kind, site, applies, facts <= names, out)

    def fingerprints_of(self, reader: Reader, months: Sequence[date]) -> dict[date, str]:
        """What the facts of months that are built whole are made of."""
        return {month: self.kind.fingerprint(reader, self.site, month) for month in months} if self.applies else {}

    def write(self, writer: Writer, asset: Asset, run_id: str) -> dict[date, str | None]:
        """Add the rows of one asset; per month why it was refused and keeps its rows, or None."""
        out: dict[date, str | None] = {}
        for month, found in self.months.items():
            broken = writer.replace_tail(
                self._replacements(asset, found),
                since=found.since,
                site=self.site.key,
                month=month,
                asset=self.kind.asset(asset.stage, asset.name),
                run_id=run_id,
            )
            out[month] = "; ".join(map(str, broken)) or None
        return out

    def accounts_of(self, asset: Asset) -> list[pl.DataFrame | None]:
        """Accounts of an asset, of the whole of each month."""
        return [split(self.kind, found.facts, [asset.name])[asset.name].accounts for found in self.months.values()]

    def remember(
        self,
        writer: Writer,
        months: Sequence[date],
        fingerprints: Mapping[date, str],
        refused: Collection[date],
        run_id: str,
    ) -> None:
        """Store what the facts of the months are made of now; of months not known the next run builds all."""
        if not self.applies:
            return
        known = {month: found.fingerprint for month, found in self.months.items()} | dict(fingerprints)
        good = [month for month in months if self.is_complete and month in known and month not in refused]
        rows = [(self.site.key, month, _name(self.kind), known[month], run_id) for month in good]
        writer.ensure(MADE_OF)
        writer.delete(MADE_OF, site=self.site.key, months=list(months), owned={"asset": [_name(self.kind)]})
        writer.put(MADE_OF, pl.DataFrame(rows, schema=MADE_OF.polars_schema, orient="row"))

    def _replacements(self, asset: Asset, found: AppendedFacts) -> list[ReplaceAfter]:
        """What an asset replaces; the table that is its own, or its intervals, last."""
        built = split(self.kind, found.facts, [asset.name])[asset.name]
        column = "end_at" if "end_at" in asset.table.names else "poll_at"
        own = ReplaceAfter(asset.table, built.rows, column, asset.owned)
        if built.rejects is None:
            return [own]
        return [ReplaceAfter(REJECTS, built.rejects, "end_at", {"metric": asset.rejects_of}), own]


def _name(kind: Kind) -> str:
    return f"{kind.name}/facts"
