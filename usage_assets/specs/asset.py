"""Declarations of assets: those of the facts stage, and those that write one table; with their checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from usage_assets.core.months import Window
from usage_assets.schema import Table
from usage_assets.warehouse import Reader

if TYPE_CHECKING:
    from usage_assets.specs.finding import Finding


@dataclass(frozen=True)
class Built:
    """What a table asset makes of its inputs: its rows, and where it rejects rows, those and the accounts.

    `files` are pages that belong to the rows of a month, by their names below the folder of plots: they are written
    once the rows are, and not at all where the month keeps its old ones.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame | None = None
    accounts: pl.DataFrame | None = None
    files: Mapping[date, Mapping[str, bytes]] = field(default_factory=dict, kw_only=True)


class Evaluate(Protocol):
    """A function that evaluates a check: (reader, site, window) -> a finding per month."""

    __name__: str

    def __call__(self, reader: Reader, site: Any, window: Window, /) -> Mapping[date, "Finding"]:
        """Findings by month."""


@dataclass(frozen=True)
class TableCheck:
    """A check of one asset, one evaluation per month; with `per_run` one per run, and it says what failing is."""

    name: str
    description: str
    evaluate: Evaluate
    warn: bool = False
    per_run: str | None = None


@dataclass(frozen=True)
class TableAsset:
    """An asset that is one table, or its own part of one, made month by month from other tables of the warehouse.

    `read` only reads, while the warehouse's file is held; `make` is pure. `owned` limits what a write replaces to rows
    with these values in a column, `rejects_of` names the metrics of facts.rejects whose rows it owns.
    """

    stage: str
    name: str
    table: Table
    after: tuple[str, ...]
    """Assets of the kind that it is made of, as `<stage>/<table>`: its lineage and its gates."""
    read: Callable[[Reader, Any, Sequence[date]], Any]
    make: Callable[[Any, Sequence[date], Any, Mapping[date, datetime]], Built]
    """(site, months, what read gave, extraction per month) -> the rows of all months."""
    description: str = ""
    owned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejects_of: tuple[str, ...] = ()
    applies: Callable[[Any], bool] = lambda _: True
    """Whether the site has it; where not, its months are written empty."""
    views: tuple[str, ...] = ()
    """Views over the table, made anew after each write."""
    checks: tuple[TableCheck, ...] = ()


@dataclass(frozen=True)
class FactAsset:
    """One asset of the facts stage, and the raw tables that it reads.

    It owns the rows of its metrics in facts.intervals and facts.rejects or, with `table`, that whole table.
    """

    name: str
    description: str
    metrics: tuple[str, ...]
    reads: tuple[str, ...]
    table: Table | None = None
    after: tuple[str, ...] = ()
    """Fact assets that it builds on, for the lineage shown."""
    may_read: tuple[str, ...] = ()
    """Raw tables that it reads too, of sites for which `reads_more` holds."""
    reads_more: Callable[[Any], bool] = lambda site: False  # noqa: ARG005 - most facts read the same of every site
    reads_if_listed: tuple[str, ...] = ()
    """Raw tables that it reads only where the site lists them among the sources of a metric."""
    sharing: tuple[str, ...] = ()
    """Sources whose rows may share what they hold: that one of them owns the time is no fault of the others."""
    checks: tuple[TableCheck, ...] = ()
    """What is asked of it beside what is asked of every fact."""
