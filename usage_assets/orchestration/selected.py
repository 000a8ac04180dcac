"""Building assets whose months do not fit into memory: their rows are selected and stored where the data are.

All months of a window are one transaction. A month whose rows break the table's declaration is found when it is stored:
everything is rolled back then, and done again without that month, which keeps its old rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.months import Window
from usage_assets.schema import Violation
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import ACCOUNTS

_Refused = Mapping[date, list[Violation]]


class _Broken(Exception):  # noqa: N818 - it never leaves this module
    """Months whose stored rows break the declaration."""

    def __init__(self, refused: _Refused) -> None:
        super().__init__()
        self.refused = refused


@dataclass(frozen=True)
class Selected:
    """The months of an asset with `select`."""

    kind: Kind
    site: Site
    window: Window
    asset: Asset
    run_id: str

    @property
    def name(self) -> str:
        """The asset as bookkeeping tables name it."""
        return self.kind.asset(self.asset.stage, self.asset.name)

    def store(
        self, warehouse: Warehouse, blocked: Mapping[date, str], extracted: Mapping[date, datetime]
    ) -> dict[date, str]:
        """Store the months; those that keep their old rows, with the reason."""
        refused = {month: [Violation(month, reason, 0)] for month, reason in blocked.items()}
        while True:
            try:
                with warehouse.write(f"{self.asset.path} of {self.window}") as writer:
                    self._store(writer, refused, extracted)
            except _Broken as broken:
                refused |= broken.refused
            else:
                return {month: "; ".join(map(str, broken)) for month, broken in refused.items()}

    def _store(self, writer: Writer, refused: _Refused, extracted: Mapping[date, datetime]) -> None:
        months = [month for month in self.window.months if month not in refused]
        broken = {month: found for month in months if (found := self._store_month(writer, month, extracted))}
        if broken:
            raise _Broken(broken)
        late = [month for month in self.window.months if month in refused]
        writer.record_readiness(self.name, self.site.key, late, refused, self.run_id)
        for view in self.asset.views:
            writer.con.execute(view).fetchall()

    def _store_month(self, writer: Writer, month: date, extracted: Mapping[date, datetime]) -> list[Violation]:
        assert self.asset.select is not None
        applies = self.asset.applies(self.site)
        found = writer.insert_month(
            self.asset.table,
            self.asset.select(writer, self.site, month, extracted) if applies else (),
            site=self.site.key,
            month=month,
            asset=self.name,
            run_id=self.run_id,
            owned=self.asset.owned,
        )
        if self.asset.accounts is not None and applies and not found:
            self._account(writer, month)
        return found

    def _account(self, writer: Writer, month: date) -> None:
        """Replace what bookkeeping says of the rows and hours of the month's sources."""
        assert self.asset.accounts is not None
        writer.ensure(ACCOUNTS)
        writer.delete(ACCOUNTS, site=self.site.key, months=[month], owned={"asset": [self.name]})
        query = self.asset.accounts(writer, self.site, month)
        found = writer.sql(query.sql, query.params)
        own = {"site": pl.lit(self.site.key), "month": pl.lit(month), "asset": pl.lit(self.name)}
        writer.put(ACCOUNTS, found.with_columns(**own))
