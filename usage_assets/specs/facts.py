"""Facts of a site's months as a kind gives them, and what later raw rows add to the stored ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl


@dataclass(frozen=True)
class Facts:
    """What a kind makes of raw rows: of facts.intervals, facts.rejects and serving.accounts.

    The accounts say where rows and hours went; `tables` are rows of the fact assets that are a whole table, by name.
    """

    intervals: pl.DataFrame
    rejects: pl.DataFrame
    accounts: pl.DataFrame
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class AppendedFacts:
    """Facts of later raw rows: they replace the rows of the month that reach beyond `since`.

    The accounts are those of the whole month, `fingerprint` is the month's new one.
    """

    since: datetime
    facts: Facts
    fingerprint: str
