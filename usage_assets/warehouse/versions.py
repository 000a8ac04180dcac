"""Versions: how often each month of an asset was written, counted once per transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from usage_assets.core import clock
from usage_assets.warehouse.bookkeeping import VERSIONS

if TYPE_CHECKING:
    from usage_assets.warehouse import Writer


@dataclass
class Writes:
    """The months that a transaction has written so far, by site and asset."""

    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[date, int]] = field(default_factory=dict)

    def add(self, site: str, asset: str, run_id: str, rows: Mapping[date, int]) -> None:
        """Months of an asset that were written; of several tables of an asset the last one's rows count."""
        self.runs[site, asset] = run_id
        self.rows.setdefault((site, asset), {}).update(rows)

    def record(self, writer: "Writer") -> None:
        """Count each month one version further, in the transaction of its rows."""
        at = clock.naive_utc_now()
        for site in dict.fromkeys(site for site, _ in self.rows):
            mine = {asset: rows for (of, asset), rows in self.rows.items() if of == site and rows}
            if not mine:
                continue
            writer.ensure(VERSIONS)
            months = sorted({month for rows in mine.values() for month in rows})
            before = _before(writer, site, months, list(mine))
            fresh = [
                (site, month, asset, before.get((asset, month), 0) + 1, count, self.runs[site, asset], at)
                for asset, rows in mine.items()
                for month, count in rows.items()
            ]
            for same in _by_months(mine):
                writer.delete(VERSIONS, site=site, months=same[0], owned={"asset": same[1]})
            writer.put(VERSIONS, pl.DataFrame(fresh, schema=VERSIONS.polars_schema, orient="row"))


def _before(writer: "Writer", site: str, months: Sequence[date], assets: Sequence[str]) -> dict[tuple[str, date], int]:
    found = writer.frame(VERSIONS, site, months, columns=["asset", "month", "version"])
    return {(asset, month): version for asset, month, version in found.iter_rows() if asset in set(assets)}


def _by_months(mine: Mapping[str, Mapping[date, int]]) -> list[tuple[list[date], list[str]]]:
    """Assets that share their months, so that most transactions delete once."""
    out: dict[tuple[date, ...], list[str]] = {}
    for asset, rows in mine.items():
        out.setdefault(tuple(sorted(rows)), []).append(asset)
    return [(list(months), assets) for months, assets in out.items()]
